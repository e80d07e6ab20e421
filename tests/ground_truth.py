#!/usr/bin/env python3
"""What a screening of the demonstration's list must answer, worked out without the product.

    python3 tests/ground_truth.py DIR TODAY        (TODAY as yyyy-mm-dd)

DIR holds the list and the registers as plain files. Numbers are compared as text: no pseudonyms, no network,
nothing but Python's standard library. The output is JSON with sorted keys.
"""

import csv
import json
import sys
from datetime import date, datetime
from pathlib import Path

# File, encoding, delimiter, and the columns of BSN and birth date with the date's format.
LIST = ("top150.csv", "utf-8", ";", "bsn", "geboortedatum", "%d-%m-%Y")
REGISTERS = {
    "leerplicht": ("leerplicht.csv", "utf-8-sig", ";", "bsn", "geboortedatum", "%d-%m-%Y"),
    "schuldhulpverlening": (
        "schuldhulpverlening.csv", "utf-8", ",", "burgerservicenummer", "geboortedatum", "%Y-%m-%d"),
    "regieteams": ("regieteams.csv", "cp1252", ";", "bsn", "geboortedatum", "%d-%m-%Y"),
    "om-reclassering": ("om-reclassering.tsv", "utf-8", "\t", "BSN", "GEBOORTEDATUM", "%Y%m%d"),
}
MUNICIPAL = ["leerplicht", "schuldhulpverlening", "regieteams"]


def rows(folder, style):
    """Yields (bsn, birth date, row) of every row that has a BSN."""
    name, encoding, delimiter, bsn_column, birth_column, date_format = style
    with open(folder / name, encoding=encoding, newline="") as file:
        for row in csv.DictReader(file, delimiter=delimiter):
            if row[bsn_column]:
                birth_date = datetime.strptime(row[birth_column], date_format).date()
                # A register that keeps the BSN as a number has lost its leading zeros.
                yield row[bsn_column].zfill(9), birth_date, row


def is_minor(birth_date, today):
    had_birthday = (today.month, today.day) >= (birth_date.month, birth_date.day)
    return today.year - birth_date.year - (not had_birthday) < 18


def deals_with(partner, minor):
    """Leerplicht deals with minors, schuldhulpverlening with adults, the others with everybody."""
    return {"leerplicht": minor, "schuldhulpverlening": not minor}.get(partner, True)


def ground_truth(folder, today):
    known = {
        partner: {
            bsn for bsn, birth_date, _ in rows(folder, style) if deals_with(partner, is_minor(birth_date, today))
        }
        for partner, style in REGISTERS.items()
    }

    per_person = []
    for bsn, birth_date, row in rows(folder, LIST):
        statuses = {}
        for partner in REGISTERS:
            if not deals_with(partner, is_minor(birth_date, today)):
                statuses[partner] = "does_not_apply"
            else:
                statuses[partner] = "known" if bsn in known[partner] else "not_known"
        per_person.append([row["huishouden"], row["kenmerk"], statuses])

    households = {household for household, _, _ in per_person}
    indicated = {h for h, _, statuses in per_person if any(statuses[p] == "known" for p in MUNICIPAL)}
    at_om = {h for h, _, statuses in per_person if statuses["om-reclassering"] == "known"}
    without = households - indicated
    return {
        "households": len(households),
        "persons": len(per_person),
        "households_without_municipal_indication": len(without),
        "of_those_known_at_om": len(without & at_om),
        "hits_per_partner": {
            partner: sum(statuses[partner] == "known" for _, _, statuses in per_person) for partner in REGISTERS
        },
        "per_person": per_person,
    }


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    answer = ground_truth(Path(sys.argv[1]), date.fromisoformat(sys.argv[2]))
    print(json.dumps(answer, indent=2, sort_keys=True, ensure_ascii=False))

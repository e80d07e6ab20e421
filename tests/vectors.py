#!/usr/bin/env python3
"""Checks the published vectors without Hitmachine's own code; standard library only.

For whoever builds or audits a node: frames, tokens, key check values and canonical person numbers,
computed here in another way and compared with the JSON files. Tags are left out: they need BLAKE3,
which Python does not have, and only the broker makes them (the Rust tests check them).
"""
import hashlib, hmac, json, re, struct, sys
from pathlib import Path

CRATES = Path(__file__).resolve().parent.parent / "crates"


class Refused(Exception):
    """Carries the code of the reason."""


def check(name, computed, published):
    if computed != published:
        sys.exit(f"FAILED {name}: computed {computed}, published {published}")


def frame(purpose, deployment, epoch, code, body):
    rest = struct.pack(">16sIBH", deployment, epoch, code, len(body))  # big-endian
    return b"hitmachine/v1/" + purpose + b"\0" + rest + body


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def canonical(case, prefixes):
    kind, field = case["parse"].split("-", 1)  # bsn or skn; text, number or numeric-text
    text = str(case["input"]).strip(" \t\r\n\f")
    if field == "numeric-text":
        text = text.removesuffix(".0")
    between = "[-. ]*" if case["parse"] == "bsn-text" else ""
    if text and not re.fullmatch(f"[0-9]({between}[0-9])*", text):  # not \d: that is not only ASCII
        raise Refused(kind + "_character")
    text = re.sub("[-. ]", "", text)
    width = {"bsn": 9, "skn": 8}[kind]
    significant = text.lstrip("0") if kind == "skn" else text
    if len(text) < (8 if case["parse"] == "bsn-text" else 1) or len(significant) > width:
        raise Refused(kind + "_length")
    text = significant.rjust(width, "0")
    if text == "0" * width:
        raise Refused(kind + "_zero")
    if kind == "bsn":
        if sum(weight * int(digit) for weight, digit in zip((9, 8, 7, 6, 5, 4, 3, 2, -1), text)) % 11:
            raise Refused("bsn_check_digit")
        is_test = text.startswith(tuple(case.get("test_prefixes", prefixes)))
        if is_test == (case["deployment"] == "production"):
            raise Refused("bsn_test_range" if is_test else "bsn_not_test_range")
    return text


def main():
    sets = json.loads((CRATES / "pseudonym/vectors/v1.json").read_text("utf-8"))["sets"]
    for group in sets:
        key, deployment = bytes.fromhex(group["node_key"]), bytes.fromhex(group["deployment"])
        name = f"deployment {group['deployment']} epoch {group['epoch']}"
        framed = frame(b"kcv", deployment, group["epoch"], 0, b"")
        check(f"{name}: kcv frame", framed.hex(), group["kcv_frame"])
        check(f"{name}: kcv", mac(key, framed)[:16], group["kcv"])
        canary = group["canary"]
        framed = frame(b"canary", deployment, group["epoch"], 0x0F, canary["oin"].encode("ascii"))
        check(f"{name}: frame of the canary", framed.hex(), canary["frame"])
        check(f"{name}: token of the canary", mac(key, framed), canary["token"])
        for case in group["identifiers"]:
            framed = frame(b"id", deployment, group["epoch"], case["code"], case["id"].encode("ascii"))
            check(f"{name}: frame of {case['type']} {case['id']}", framed.hex(), case["frame"])
            check(f"{name}: token of {case['type']} {case['id']}", mac(key, framed), case["token"])
    numbers = json.loads((CRATES / "identifier/vectors/canonical.json").read_text("utf-8"))
    for case in numbers["cases"]:
        try:
            answer = canonical(case, numbers["default_test_prefixes"])
        except Refused as reason:
            answer = str(reason)
        check(f"{case['parse']}: {case['name']}", answer, case.get("canonical") or case.get("error"))
    tokens = sum(len(group["identifiers"]) for group in sets)
    print(f"ok: {len(sets)} keys, {tokens} tokens, {len(numbers['cases'])} canonical forms")


if __name__ == "__main__":
    main()

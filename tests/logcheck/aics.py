#!/usr/bin/env python3
"""Checks a published audit log with somebody else's code: aics-tlog, by another author.

    aics.py FOLDER LOG-KEY [WITNESS-KEY ...]

Tiles, bundles, checkpoint, cosignatures and proofs, all with that library. Only what an opened entry looks like in the
log is ours: `entry_of` of deploy/audit-verify.py. Exit status 1 if anything does not fit.
"""
import importlib.util
import sys
from pathlib import Path

from aics_tlog import (
    FileSystemTileReader,
    audit_tiles,
    consistency_proof_from_tiles,
    parse_note,
    parse_vkey,
    verify_checkpoint,
    verify_consistency,
    verify_leaf_inclusion,
)
from aics_tlog.note import b64_decode

OURS = Path(__file__).resolve().parents[2] / "deploy" / "audit-verify.py"


def refuse(problem):
    sys.exit(f"REFUSED: {problem}")


def entry_of():
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location("audit_verify", OURS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.entry_of


def opened(text, log, witnesses, quorum):
    result = verify_checkpoint(parse_note(text), log, witnesses, quorum, expected_origin=log.name)
    if not result.ok:
        refuse(result.error)
    return result


def main():
    folder = Path(sys.argv[1])
    log, *witnesses = map(parse_vkey, sys.argv[2:])
    quorum = 1 + 2 * len(witnesses) // 3 if witnesses else 0
    head = opened((folder / "checkpoint").read_bytes(), log, witnesses, quorum)
    reader = FileSystemTileReader(folder)
    seen = audit_tiles(reader, head.size, head.root)

    proofs, entry = sorted(folder.rglob("*.tlog-proof")), entry_of()
    for path in proofs:
        first, note = path.read_bytes().split(b"\n\n", 1)
        title, extra, index, *hashes = first.decode().split("\n")
        if title != "c2sp.org/tlog-proof@v1":
            refuse(f"{path}: not a proof")
        old = opened(note, log, witnesses, 0)
        leaf = entry(b64_decode(extra.removeprefix("extra ")))
        hashes = [b64_decode(line) for line in hashes]
        if not verify_leaf_inclusion(leaf, int(index.removeprefix("index ")), old.size, hashes, old.root):
            refuse(f"{path}: entry is not in the tree")
        grown = consistency_proof_from_tiles(reader, old.size, head.size)
        if not verify_consistency(old.size, head.size, old.root, head.root, grown):
            refuse(f"{path}: tree is not the beginning of this log")
    print(f"ok: {seen.tiles} tiles, {seen.bundles} bundles, {head.cosignature_count} cosignatures, {len(proofs)} proofs")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, IndexError, KeyError) as error:
        refuse(error)

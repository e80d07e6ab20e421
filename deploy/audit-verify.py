#!/usr/bin/env python3
"""Checks a published audit log without Hitmachine's own code. Needs Python 3.9 and the library `cryptography`.

    audit-verify.py FOLDER LOG-KEY [WITNESS-KEY ...]

FOLDER holds `checkpoint` and `tile`, and perhaps proofs: files ending in .tlog-proof. Get the keys in another way
than the folder. Ends with 0 if all of it fits, otherwise with 1, naming the first bad index (counted from 0).
"""
import base64, hashlib, hmac, sys
from pathlib import Path
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

def sha(*parts): return hashlib.sha256(b"".join(parts)).digest()
def half(count): return 1 << (count - 1).bit_length() - 1  # the largest power of two below it
def unbase64(text): return base64.b64decode(text, validate=True)
def check(fits, problem):
    if not fits: sys.exit("NOT IN ORDER: " + problem)

def root(hashes):  # one fingerprint of a whole list: change, drop or move one entry, and it is another (RFC 6962, 2.1)
    if len(hashes) < 2: return hashes[0] if hashes else sha()
    k = half(len(hashes))
    return sha(b"\1", root(hashes[:k]), root(hashes[k:]))

def root_from(start, end):  # of a stretch of the entries, remembered: each proof asks for the log as it was then
    if end - start <= 256: return root(leaves[start:end])
    if (start, end) not in roots:
        k = start + half(end - start)
        roots[start, end] = sha(b"\1", root_from(start, k), root_from(k, end))
    return roots[start, end]

def root_by_path(leaf, index, count, path):  # the same from one entry and the fingerprints beside its way up
    if count == 1: return leaf
    k, beside = half(count), path.pop()
    if index < k: return sha(b"\1", root_by_path(leaf, index, k, path), beside)
    return sha(b"\1", beside, root_by_path(leaf, index - k, count - k, path))

def read_key(text, kind):  # name+id+key; the id guards against typing errors
    name, key_id, key = text.split("+", 2)
    key = unbase64(key)
    check(key[:1] == kind and sha(name.encode(), b"\n", key).hex()[:8] == key_id, f"{name}: no key for this use")
    return name, bytes.fromhex(key_id), Ed25519PublicKey.from_public_bytes(key[1:])

def open_note(note):  # the log signs size and root; a witness signs that they go on from all that it saw before
    text, lines = note.decode().rsplit("\n\n", 1)
    text, signers = text + "\n", set()
    for _, name, blob in (line.split(" ") for line in lines[:-1].split("\n")):
        key_id, signature, message = unbase64(blob)[:4], unbase64(blob)[4:], text
        for key in (key for key in (log, *witnesses) if key[:2] == (name, key_id)):
            if key != log:  # a witness also says when
                time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
                message = f"cosignature/v1\ntime {time}\n{text}"
            try: key[2].verify(signature, message.encode())
            except InvalidSignature: check(False, f"signature of {name} does not fit")
            signers.add(key[:2])
    origin, size, root_hash = text[:-1].split("\n")
    check(origin == log[0] and log[:2] in signers, "checkpoint is not signed by the log")
    return int(size), unbase64(root_hash), len(signers) - 1

def entry_of(extra):  # the log holds nothing about persons, only a fingerprint that cannot be guessed without the salts
    if extra[0] == 2: return extra  # a public entry, as it is
    salt_a, salt_b, at = extra[1:33], extra[33:65], 65 if extra[0] == 1 else 33
    digests, count, at = {}, extra[at], at + 1
    for _ in range(count):
        field, end = extra[at:at + 1], at + 3 + int.from_bytes(extra[at + 1:at + 3], "big")
        salt = hmac.digest(salt_b if field[0] in (3, 5, 10) else salt_a, b"f" + field, "sha256")
        digests[field], at = sha(b"f", field, salt, extra[at + 3:end]), end
    if extra[0] == 3:  # user and case are not shown; their fingerprints stand in their place
        for at in range(at + 1, len(extra), 33): digests[extra[at:at + 1]] = extra[at + 1:at + 33]
    fields = b"".join(field + digest for field, digest in sorted(digests.items()))
    return b"\1" + sha(b"hitmachine/audit/v1\n", bytes([len(digests)]), fields)

def read(row, number, width):  # file 1234067 of a row is x001/x234/067; one that is not full says how much it holds
    digits = str(number).zfill(-(-len(str(number)) // 3) * 3)
    *above, last = (digits[at:at + 3] for at in range(0, len(digits), 3))
    path = Path(folder, "tile", row, *("x" + group for group in above), last)
    part = Path(f"{path}.p", str(width))
    path = part if width < 256 and part.is_file() else path
    return path.read_bytes() if path.is_file() else b""

def entry_hashes(data):  # from a bundle of entries, each after its length
    at, hashes = 0, []
    while at < len(data):
        start, at = at + 2, at + 2 + int.from_bytes(data[at:at + 2], "big")
        hashes.append(sha(b"\0", data[start:at]))
    return hashes

def compare(ours, level, number, width):  # with the published fingerprints; remembers where the two part
    data = read(str(level), number, width)
    theirs = [data[at:at + 32] for at in range(0, len(data), 32)]
    ours, theirs = (side[:width] if len(side) == 256 else side for side in (ours, theirs))
    if ours != theirs or len(ours) != width:
        parted = (place for place in range(width) if ours[place:place + 1] != theirs[place:place + 1])
        first, span = (256 * number + next(parted, width - 1)) * 256 ** level, 256 ** level
        if not any(first <= found < first + span for found in bad): bad.append(first)
    return (ours + theirs[len(ours):])[:width]

def verify():
    size, root_hash, cosigned = open_note(Path(folder, "checkpoint").read_bytes())
    # Of n witnesses 1 + 2n/3 have to sign: a few dishonest ones are then not enough to show two histories.
    check(not witnesses or cosigned >= 1 + 2 * len(witnesses) // 3, f"only {cosigned} witnesses have cosigned")
    for number in range(-(-size // 256)):  # from the entries themselves
        width = min(256, size - 256 * number)
        leaves.extend(compare(entry_hashes(read("entries", number, width)), 0, number, width))
    row = leaves
    for level in range(1, 8):  # one fingerprint of each 256, one of each 256 of these, and so on
        row = [root(row[at:at + 256]) for at in range(0, len(row) // 256 * 256, 256)]
        for number in range(-(-len(row) // 256)):
            ours = row[256 * number:256 * number + 256]
            compare(ours, level, number, len(ours))
    check(not bad, f"first bad index {min(bad, default=0)}")
    check(root_from(0, size) == root_hash, "the entries do not give the signed root")
    proofs = sorted(Path(folder).rglob("*.tlog-proof"))
    for path in proofs:
        head, note = path.read_bytes().decode().split("\n\n", 1)
        title, *lines = head.split("\n")
        extra = unbase64(lines.pop(0)[6:]) if lines[0].startswith("extra ") else None
        index, beside = int(lines[0].split(" ")[1]), [unbase64(line) for line in lines[1:]]
        old_size, old_root, _ = open_note(note.encode())
        leaf = sha(b"\0", entry_of(extra)) if extra else leaves[index]
        fits = title == "c2sp.org/tlog-proof@v1" and 0 <= index < old_size
        fits = fits and root_by_path(leaf, index, old_size, beside) == old_root and not beside
        check(fits, f"{path} does not prove entry {index}")
        check(old_size <= size and root_from(0, old_size) == old_root, f"{path} is not of this log (entry {index})")
    print(f"IN ORDER: {size} entries, cosigned by {cosigned} witnesses, {len(proofs)} proofs")

if __name__ == "__main__":
    if len(sys.argv) < 3: sys.exit(__doc__)
    folder, bad, leaves, roots = sys.argv[1], [], [], {}
    log, witnesses = read_key(sys.argv[2], b"\1"), [read_key(key, b"\4") for key in sys.argv[3:]]
    check(len({key.split("+", 2)[2] for key in sys.argv[3:]}) == len(witnesses), "a witness is named twice")
    try: verify()
    except (ValueError, IndexError, OSError) as error: check(False, f"a file is not of its form ({error})")

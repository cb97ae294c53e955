"""A small reader of seals, written from docs/spec/reading-a-seal.md and from nothing else of rawtrace.

``python mini_verifier.py FILE [SEAL]`` prints ``sound`` or that page's problem codes; no SEAL for a seal inside FILE.
Left out: trust (another page), redactions, time, checksums of PNG, the bounds of rule 3, and what is in assertions
that nobody has to decode for this.
"""

import hashlib
import sys
from pathlib import Path

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

CURVES = dict.fromkeys((-7, -9), 256) | dict.fromkeys((-35, -51), 384) | dict.fromkeys((-36, -52), 521)
DIGESTS = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
PSS = dict(zip((-37, -38, -39), DIGESTS.values(), strict=True))
TAIL = bytes.fromhex("00110010800000aa00389b71")
number = int.from_bytes  # big end first


def boxes(data):  # rule 1
    while data:
        size, head = (number(data[8:16]), 16) if data[:4] == b"\0\0\0\1" else (number(data[:4]), 8)
        if not head <= size <= len(data):
            raise ValueError
        yield data[4:8], data[head:size]
        data = data[size:]


class Super:  # rule 2
    def __init__(self, content):
        (kind, about), *rest = boxes(content)
        self.content, self.type = content, about[:4].decode() if (kind, about[4:16]) == (b"jumd", TAIL) else ""
        self.label = about[17 : about.index(0, 17)].decode() if about[16] & 2 else ""
        self.kind, self.data = self.label.split("__")[0], rest[0][1] if rest else b""
        self.supers = [Super(inside) for kind, inside in rest if kind == b"jumb"]


def signature_holds(claim, signature):  # rules 14 to 16
    protected, loose, payload, value = cbor2.loads(signature).value
    header = cbor2.loads(protected)
    chain = header.get(33) or header.get("x5chain") or loose.get(33) or loose["x5chain"]
    code, half, signed = header[1], len(value) // 2, cbor2.dumps(["Signature1", protected, b"", claim])
    key = x509.load_der_x509_certificate(chain if isinstance(chain, bytes) else chain[0]).public_key()
    try:
        if code in (-8, -19) and isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(value, signed)
        elif isinstance(key, ec.EllipticCurvePublicKey) and len(value) == (CURVES[code] + 7) // 8 * 2:
            pair = utils.encode_dss_signature(number(value[:half]), number(value[half:]))
            key.verify(pair, signed, ec.ECDSA(DIGESTS[CURVES[code]]))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(value, signed, padding.PSS(padding.MGF1(PSS[code]), PSS[code].digest_size), PSS[code])
        else:
            return False
    except InvalidSignature:
        return False
    return payload is None


def embedded(data):  # rule 20
    png, ranges, store = data[:4] == b"\x89PNG", [], b""
    at = 8 if png else 2
    while data[at + 4 : at + 8] != b"IEND" if png else data[at + 1] != 0xDA:
        end = at + 12 + number(data[at : at + 4]) if png else at + 2 + number(data[at + 2 : at + 4])
        if end > len(data):
            raise ValueError
        if data[at + 4 : at + 8] == b"caBX" if png else (data[at + 1], data[at + 4 : at + 6]) == (0xEB, b"JP"):
            if ranges and (png or ranges[0][1] != at):
                raise ValueError
            store += data[at + 8 : end - 4] if png else data[at + (20 if ranges else 12) : end]
            ranges = [[ranges[0][0] if ranges else at, end]]
        at = end
    return store, ranges


def check(data, store, ranges):
    ((_, top),) = boxes(store)  # rule 4
    manifests = {box.label: box for box in Super(top).supers}
    pending, binds, problems = [list(manifests)[-1]], True, []
    problems += ["label-twice"] * (len(manifests) < len(Super(top).supers))
    for manifest in map(manifests.__getitem__, pending):  # the active one, then all that it leads to
        part = {box.type: box for box in manifest.supers}
        claim, boxed = cbor2.loads(part["c2cl"].data), part["c2as"].supers
        there, usual = {box.label: box for box in boxed}, claim.get("alg", "sha256")
        created = claim.get("created_assertions", claim.get("assertions", []))
        listed = {e["url"].split("/")[-1]: e for e in [*created, *claim.get("gathered_assertions", [])]}
        if not signature_holds(part["c2cl"].data, part["c2cs"].data):
            problems.append("signature-invalid")
        problems += ["assertion-unlisted"] * any(name not in listed for name in there)
        problems += ["assertion-twice"] * (len(there) < len(boxed))
        for name, entry in listed.items():  # rule 11
            box = there.get(name)
            if not box or hashlib.new(entry.get("alg", usual), box.content).digest() != entry["hash"]:
                problems.append("assertion-changed" if box else "assertion-missing")
        attested = [there[name] for name in list(listed)[: len(created)] if name in there]
        bindings = [box for box in attested if box.kind.startswith("c2pa.hash.")]
        if len(bindings) != (manifest.type == "c2ma"):  # rule 13
            problems.append("several-bindings" if bindings else "binding-missing")
        elif bindings and binds:  # rules 19 and 20
            said, rest, binds = cbor2.loads(bindings[0].data), data, False
            ranged = [e for e in said.get("exclusions") or [] if e["length"]]
            left_out = sorted([e["start"], e["start"] + e["length"]] for e in ranged)
            problems += [["exclusions-in-sidecar", "data-outside-seal"][bool(ranges)]] * (left_out != ranges)
            for start, end in reversed(left_out):
                rest = rest[:start] + rest[end:]
            kind = said.get("alg", usual) if ranges else "sha256"  # a sidecar has no other
            if hashlib.new(kind, rest).digest() != said["hash"]:
                problems.append("bytes-changed")
        for said in (cbor2.loads(box.data) for box in boxed if box.kind.startswith("c2pa.ingredient")):  # rule 17
            target = said.get("activeManifest", said.get("c2pa_manifest"))
            if binds and manifest.type == "c2um" and (not target or said["relationship"] != "parentOf"):
                problems.append("update-malformed")
            parent = target and manifests.get(target["url"].split("/")[2])
            if target and (
                not parent or hashlib.new(target.get("alg", usual), parent.content).digest() != target["hash"]
            ):
                problems.append("ingredient-changed" if parent else "ingredient-missing")
            pending += [parent.label] if parent and parent.label not in pending else []
    return sorted({*problems, *([] if problems or not binds else ["update-malformed"])})


def verdict(*names):
    try:
        asset, *seal = (Path(name).read_bytes() for name in names)
        return check(asset, *((seal[0], []) if seal else embedded(asset))) or ["sound"]
    except Exception as error:  # noqa: BLE001  whatever a hostile file does, it is no good seal
        return [f"unreadable: {type(error).__name__}"]


if __name__ == "__main__":
    found = verdict(*sys.argv[1:])
    print("\n".join(found))  # noqa: T201
    sys.exit(found != ["sound"])

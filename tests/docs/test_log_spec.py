"""The worked example of docs/spec/log.md, made anew and compared; run this file as a script to print it."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rawtrace.ledger import merkle
from rawtrace.ledger.checkpoint import Checkpoint, cosign, sign_checkpoint
from rawtrace.ledger.entry import Entry, canonical, commitment
from rawtrace.ledger.note import ED25519, ED25519_COSIGNATURE, NoteSigner
from rawtrace.ledger.policy import Policy
from rawtrace.ledger.receipt import Receipt, check_receipt, pack_extra, read_receipts
from rawtrace.ledger.tiles import encode_bundle, entries_path, tile_path
from rawtrace.ledger.witness import Request

PAGE = Path(__file__).resolve().parents[2] / "docs" / "spec" / "log.md"
ORIGIN = "store.example.org/log"
TIME_S = 1_767_225_600  # 2026-01-01T00:00:00Z


def _signer(name: str, seed: int, kind: int) -> NoteSigner:
    private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return NoteSigner(name, private.sign, private.public_key().public_bytes_raw(), kind)


def example() -> dict[str, str]:
    """Return each block of the worked example by name."""
    log = _signer(ORIGIN, 1, ED25519)
    witness = _signer("witness.example.net", 2, ED25519_COSIGNATURE)
    records = [canonical({"kind": "file", "sha256": f"{number:02x}" * 32, "size": 1000, "v": 1}) for number in range(3)]
    salts = [bytes([0xA0 + number]) * 32 for number in range(3)]
    entries = [
        Entry(kind="file", issuer=ORIGIN, key="", commitment=commitment(salt, record)).encode()
        for salt, record in zip(salts, records, strict=True)
    ]
    leaves = [merkle.leaf_hash(entry) for entry in entries]
    note = sign_checkpoint(Checkpoint(ORIGIN, 3, merkle.root_of(leaves)), log)
    note += cosign(note, witness, TIME_S).encode()
    proof = (leaves[0], leaves[2])
    receipt = Receipt(extra=pack_extra(salts[1], entries[1], records[1]), index=1, proof=proof, checkpoint=note)
    policy = f"log {log.key.text} https://store.example.org/log\nwitness one {witness.key.text}\nquorum one\n"
    request = Request(2, (leaves[2],), sign_checkpoint(Checkpoint(ORIGIN, 3, merkle.root_of(leaves)), log))
    return {
        "record": records[1].decode() + "\n",
        "entry": entries[1].decode() + "\n",
        "hashes": "".join(f"leaf {number}   {leaf.hex()}\n" for number, leaf in enumerate(leaves))
        + f"root     {merkle.root_of(leaves).hex()}\n",
        "files": f"checkpoint\n{tile_path(0, 0, 3)}          96 bytes: the three leaf hashes\n"
        f"{entries_path(0, 3)}    {len(encode_bundle(entries))} bytes: each entry, its length in two bytes before it\n",
        "receipt": receipt.text,
        "policy": policy,
        "request": request.encode().decode(),
    }


def test_every_block_of_the_page_is_what_the_program_makes() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, block in example().items():
        fenced = f"<!-- {name} -->\n```{'json' if name in {'record', 'entry'} else 'text'}\n{block}```\n"
        assert fenced in page, f"the block {name} is not as the program makes it"


def test_the_receipt_of_the_page_holds_under_its_policy() -> None:
    blocks = example()
    (receipt,) = read_receipts(blocks["receipt"].encode())
    found = check_receipt(receipt, Policy.parse(blocks["policy"]))
    assert found.checked.time_s == TIME_S
    assert found.record.decode() + "\n" == blocks["record"]
    head = found.checked.checkpoint
    leaves = [bytes.fromhex(line.split()[-1]) for line in blocks["hashes"].splitlines()]
    asked = Request.parse(blocks["request"].encode())
    old_root = merkle.root_of(leaves[:2])
    merkle.verify_consistency(old=2, new=3, proof=asked.proof, old_root=old_root, new_root=head.root)


if __name__ == "__main__":
    for title, text in example().items():
        print(f"<!-- {title} -->\n{text}")  # noqa: T201

"""What stores, readers and instruments get from a network: notes, tiles, policies, receipts, requests, records.

The invariants: whatever the bytes, an answer or one of our own errors; and what
is signed or committed to is never anything but what was made.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from rawtrace.errors import Error

#: Inputs to begin with, and what is done with each.
Made = tuple[tuple[bytes, ...], Callable[[bytes], None]]
_TIME_S = 1_800_000_000


def made(lab: Any, in_time: Callable[[], contextlib.AbstractContextManager[None]]) -> Iterator[tuple[str, Made]]:
    """Yield all targets, with their names; each input must be done in the time that ``in_time`` allows."""

    def timed(run: Callable[[bytes], None]) -> Callable[[bytes], None]:
        def run_in_time(data: bytes) -> None:
            with in_time():
                run(data)

        return run_in_time

    log = _Log()
    for name, make in _TARGETS.items():
        seeds, run = make(lab, log)
        yield name, (seeds, timed(run))


class _Log:
    """A log of seven entries, its witness, the policy that names both, and a receipt."""

    def __init__(self) -> None:
        from rawtrace.ledger import merkle
        from rawtrace.ledger.checkpoint import Checkpoint, cosign, sign_checkpoint
        from rawtrace.ledger.entry import Entry, canonical, commitment
        from rawtrace.ledger.note import ED25519, ED25519_COSIGNATURE
        from rawtrace.ledger.policy import Policy
        from rawtrace.ledger.receipt import Receipt, pack_extra

        log, witness = _signer("log.example.org/log", ED25519), _signer("witness.example.org", ED25519_COSIGNATURE)
        record, salt = canonical({"kind": "seal", "v": 1, "claim": "a" * 64}), bytes(32)
        entry = Entry(kind="seal", issuer="Example", key="0" * 16, commitment=commitment(salt, record)).encode()
        self.entries = (b"one", b"two", entry, *(b"%d" % number for number in range(4)))
        leaves = [merkle.leaf_hash(one) for one in self.entries]

        def read(level: int, index: int) -> bytes:
            return merkle.root_of(leaves[index << level : (index + 1) << level])

        root = merkle.root_of(leaves)
        note = sign_checkpoint(Checkpoint("log.example.org/log", 7, root), log)
        self.note = note + cosign(note, witness, _TIME_S).encode()
        self.policy_text = (
            f"log {log.key.text} https://log.example.org\nwitness w {witness.key.text} https://witness.example.org\n"
            "group all-of-them all w\nquorum all-of-them\n"
        ).encode()
        self.policy = Policy.parse(self.policy_text)
        self.log, self.record, self.entry = log, record, entry
        proof = merkle.inclusion_proof(2, 7, read)
        self.receipt = Receipt(
            extra=pack_extra(salt, entry, record), index=2, proof=tuple(proof), checkpoint=self.note
        ).encode()


def _signer(name: str, kind: int) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from rawtrace.ledger.note import NoteSigner

    key = Ed25519PrivateKey.generate()
    return NoteSigner(name, key.sign, key.public_key().public_bytes_raw(), kind)


def _note(_lab: Any, log: _Log) -> Made:
    from rawtrace.ledger.note import read_note

    signed = read_note(log.note).text

    def run(data: bytes) -> None:
        with contextlib.suppress(Error):
            read = read_note(data)
            assert read_note(read.encode()) == read
        with contextlib.suppress(Error):
            checked = log.policy.check(data)
            assert (read_note(data).text, checked.time_s) == (signed, _TIME_S)

    return (log.note,), run


def _policy(_lab: Any, log: _Log) -> Made:
    from rawtrace.ledger.policy import Policy

    def run(data: bytes) -> None:
        with contextlib.suppress(Error):
            policy = Policy.parse(data)
            assert Policy.parse(policy.text) == policy
            with contextlib.suppress(Error):
                policy.check(log.note)

    return (log.policy_text,), run


def _receipt(_lab: Any, log: _Log) -> Made:
    from rawtrace.ledger.receipt import check_receipt, read_receipts

    def run(data: bytes) -> None:
        with contextlib.suppress(Error):
            for one in read_receipts(data):
                with contextlib.suppress(Error):
                    checked = check_receipt(one, log.policy)
                    assert (checked.index, checked.record, one.entry) == (2, log.record, log.entry)

    return (log.receipt, log.receipt * 2), run


def _bundle(_lab: Any, log: _Log) -> Made:
    from rawtrace.ledger.tiles import decode_bundle, encode_bundle, parse_path

    def run(data: bytes) -> None:
        for count in (1, 7, 256):
            with contextlib.suppress(Error):
                assert encode_bundle(decode_bundle(data, count)) == data
        with contextlib.suppress(Error):
            parse_path(data[:200].decode("utf-8", "replace"))

    return (encode_bundle(log.entries), b"tile/entries/x001/234.p/17", b"tile/0/000"), run


def _upload(_lab: Any, log: _Log) -> Made:
    from rawtrace.ledger.addentries import Info, Upload, UploadReader, build, decompress
    from rawtrace.ledger.witness import Request

    asked = Request(0, (bytes(32),), log.note).encode()
    sent = build(
        Upload("log.example.org/log", 0, 7, b"ticket"),
        entries=lambda start, end: log.entries[start:end],
        prove=lambda *_: (bytes(32),),
    )

    def run(data: bytes) -> None:
        for read in (Request.parse, Info.parse, lambda body: decompress(body, "gzip")):
            with contextlib.suppress(Error):
                read(data)
        with contextlib.suppress(Error):
            for package in UploadReader(data).packages():
                assert package.entries

    return (asked, sent, Info(7, 3, b"x").encode()), run


def _csr(lab: Any, _log: _Log) -> Made:
    from cryptography.hazmat.primitives.serialization import Encoding

    from rawtrace.trust import enrolment, estforms
    from rawtrace.trust.certificates import SignerKind
    from rawtrace.trust.instruments import new_record, summary

    told = {"manufacturer": "Example Optics", "model": "Widefield 1"}
    record = new_record(kind=SignerKind.INSTRUMENT, name="new", owner="https://ror.org/0exampe44", **told)
    grant = enrolment.grant_of(summary(record)["pid"], SignerKind.INSTRUMENT, record)
    der = enrolment.make_csr(grant, lab.scope.key).public_bytes(Encoding.DER)

    def run(data: bytes) -> None:
        for form in (data, None):
            with contextlib.suppress(Error):
                body = form or estforms.from_base64(data, what="the request", limit=enrolment.MAX_CSR_BYTES)
                asked = enrolment.request_of(enrolment.read_csr(body), grant)
                assert (asked.record, asked.kind) == (grant.record, grant.kind)
        with contextlib.suppress(Error):
            estforms.read_certificates(data, what="the answer")

    answer = estforms.write_certificates(lab.scope.chain)
    return (der, estforms.to_base64(der), answer), run


def _handle(_lab: Any, _log: _Log) -> Made:
    from rawtrace.trust.handles import site as sites
    from rawtrace.trust.handles.values import SITE, read_answer

    value = {"index": 1, "ttl": 86400, "timestamp": "2026-01-01T00:00:00Z"}
    server = {
        "serverId": 1, "address": "127.0.0.1",
        "publicKey": {"format": "key", "value": {"kty": "RSA", "n": "AQAB" * 86, "e": "AQAB"}},
        "interfaces": [{"query": True, "admin": False, "protocol": "HTTPS", "port": 443}],
    }  # fmt: skip
    site = {
        "version": 1, "protocolVersion": "2.10", "serialNumber": 1, "primarySite": True, "multiPrimary": False,
        "attributes": [{"name": "domain", "value": "store.example.org"}], "servers": [server],
    }  # fmt: skip
    documents = [
        {"responseCode": 1, "handle": "20.500.12345/x", "values": [{**value, "type": kind, "data": data}]}
        for kind, data in (
            ("URL", {"format": "string", "value": "https://example.org"}),
            ("HS_SITE", {"format": "site", "value": site}),
            ("HS_ADMIN", {"format": "admin", "value": {"handle": "0.NA/x", "index": 200, "permissions": "1" * 12}}),
            ("HS_VLIST", {"format": "vlist", "value": [{"handle": "0.NA/x", "index": 200}]}),
        )
    ]

    def run(data: bytes) -> None:
        with contextlib.suppress(Error):
            for one in read_answer(data, what="the answer").values or ():
                if one.is_a(SITE):
                    with contextlib.suppress(Error):
                        sites.decode(one.data)
        with contextlib.suppress(Error):
            sites.encode(sites.decode(data))

    return tuple(json.dumps(one).encode() for one in documents), run


def _time_request(lab: Any, _log: _Log) -> Made:
    from rawtrace.sealing.timeclient import check_token, request
    from rawtrace.trust.timeauthority import TimeAuthority, create_time_authority

    create_time_authority(lab.folder / "time", authority=lab.folder / "authority")
    clock = TimeAuthority(lab.folder / "time")
    seed = request(bytes(32), nonce=b"12345678")
    assert callable(check_token)

    def run(data: bytes) -> None:
        assert clock.answer(data).body[:1] == b"\x30"

    return (seed, request(bytes(64), algorithm="sha512")), run


def _ocsp(lab: Any, _log: _Log) -> Made:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import ocsp as forms

    from rawtrace.trust import ocsp

    responder = ocsp.open_responder(lab.folder / "authority")
    leaf, issuer = lab.scope.chain[:2]
    builder = forms.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA1())  # noqa: S303
    seed = builder.build().public_bytes(Encoding.DER)

    def run(data: bytes) -> None:
        said = forms.load_der_ocsp_response(ocsp.answer(responder, data))
        if said.response_status is forms.OCSPResponseStatus.SUCCESSFUL:
            assert said.certificate_status is not forms.OCSPCertStatus.REVOKED

    return (seed, base64.b64encode(seed)), run


_TARGETS: dict[str, Callable[[Any, _Log], Made]] = {
    "note": _note,
    "policy": _policy,
    "receipt": _receipt,
    "bundle": _bundle,
    "upload": _upload,
    "csr": _csr,
    "handle": _handle,
    "time-request": _time_request,
    "ocsp-request": _ocsp,
}

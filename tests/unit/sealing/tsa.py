"""A time stamp authority for tests: answers RFC 3161 requests, in the ways that real ones do and in wrong ones."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


class Authority:
    """Stamps with one key; ``chain`` goes into every token, in any order."""

    def __init__(self, key: Any, certificate: x509.Certificate, *chain: x509.Certificate, pss: bool = False) -> None:
        self.key, self.certificate, self.chain, self.pss = key, certificate, chain, pss

    def info(self, message: bytes, *, digest: str = "sha256", **fields: Any) -> tsp.TSTInfo:
        imprint = {"hash_algorithm": {"algorithm": digest}, "hashed_message": hashlib.new(digest, message).digest()}
        return tsp.TSTInfo(
            {
                "version": "v1",
                "policy": "1.3.6.1.4.1.99999.1",
                "message_imprint": imprint,
                "serial_number": int.from_bytes(os.urandom(8), "big"),
                "gen_time": datetime.now(UTC).replace(microsecond=0),
                "accuracy": {"seconds": 1, "millis": 500},
                **fields,
            }
        )

    def token(
        self,
        info: tsp.TSTInfo,
        *,
        content: bytes | None = None,
        content_type: str = "tst_info",
        attributes: tuple[str, ...] = ("content_type", "message_digest", "signing_certificate_v2"),
        named: x509.Certificate | None = None,
        digest: str = "sha256",
        signers: int = 1,
        with_certificates: bool = True,
    ) -> bytes:
        stamped = info.dump()
        own = asn1_x509.Certificate.load(der(self.certificate))
        named_der = der(named or self.certificate)
        values = {
            "content_type": content_type,
            "message_digest": hashlib.new(digest, stamped).digest(),
            "signing_certificate_v2": tsp.SigningCertificateV2(
                {"certs": [{"cert_hash": hashlib.sha256(named_der).digest()}]}
            ),
            "signing_certificate": tsp.SigningCertificate({"certs": [{"cert_hash": hashlib.sha1(named_der).digest()}]}),  # noqa: S324
        }
        signed = cms.CMSAttributes([{"type": name, "values": [values[name]]} for name in attributes])
        name, raw = self._sign(signed.dump(), digest)
        signer = {
            "version": "v1",
            "sid": {"issuer_and_serial_number": {"issuer": own.issuer, "serial_number": own.serial_number}},
            "digest_algorithm": {"algorithm": digest},
            "signed_attrs": signed,
            "signature_algorithm": name,
            "signature": raw,
        }
        data = {
            "version": "v3",
            "digest_algorithms": [{"algorithm": digest}],
            "encap_content_info": {
                "content_type": content_type,
                "content": core.ParsableOctetString(stamped if content is None else content),
            },
            "signer_infos": [signer] * signers,
        }
        if with_certificates:
            data["certificates"] = [asn1_x509.Certificate.load(der(item)) for item in (*self.chain, self.certificate)]
        return cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(data)}).dump()

    def _sign(self, message: bytes, digest: str) -> tuple[Any, bytes]:
        kind = getattr(hashes, digest.upper())()
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return {"algorithm": "ed25519"}, self.key.sign(message)
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return {"algorithm": f"{digest}_ecdsa"}, self.key.sign(message, ec.ECDSA(kind))
        assert isinstance(self.key, rsa.RSAPrivateKey)
        if self.pss:
            parameters = algos.RSASSAPSSParams(
                {
                    "hash_algorithm": {"algorithm": digest},
                    "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": {"algorithm": digest}},
                    "salt_length": kind.digest_size,
                }
            )
            made = self.key.sign(message, padding.PSS(padding.MGF1(kind), kind.digest_size), kind)
            return {"algorithm": "rsassa_pss", "parameters": parameters}, made
        return {"algorithm": f"{digest}_rsa"}, self.key.sign(message, padding.PKCS1v15(), kind)

    def stamp(self, message: bytes, *, digest: str = "sha256", **fields: Any) -> bytes:
        return self.token(self.info(message, digest=digest, **fields))

    @staticmethod
    def response(token: bytes, status: str = "granted") -> bytes:
        return tsp.TimeStampResp({"status": {"status": status}, "time_stamp_token": cms.ContentInfo.load(token)}).dump()

    def answer(self, request: bytes) -> bytes:
        asked = tsp.TimeStampReq.load(request)
        nonce = {"nonce": asked["nonce"].native} if asked["nonce"].native is not None else {}
        info = self.info(b"", message_imprint=asked["message_imprint"], **nonce)
        return self.response(self.token(info))


@contextlib.contextmanager
def serving(authority: Authority) -> Iterator[str]:
    """Serve on loopback; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = authority.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

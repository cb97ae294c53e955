"""Keys in a token, with SoftHSM as the token; the cases that need no token run everywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from rawtrace import strictjson
from rawtrace.errors import CertificateError, KeyUnavailableError, MissingExtraError
from rawtrace.trust import authority as authorities
from rawtrace.trust import certificates, identity, instruments, keys
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.keys import Algorithm, Protection
from rawtrace.trust.pkcs11 import TokenKey, TokenOptions

MODULES = [Path("/usr/lib/softhsm/libsofthsm2.so"), Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")]
PIN = "24681357"


def has_softhsm() -> str:
    """Why the token cases cannot run; empty if they can."""
    if shutil.which("softhsm2-util") is None or not any(module.is_file() for module in MODULES):
        return "SoftHSM2 is not installed"
    try:
        import pkcs11  # noqa: F401
    except ImportError:
        return "python-pkcs11 (the extra hsm) is not installed"
    return ""


needs_token = pytest.mark.skipif(bool(has_softhsm()), reason=has_softhsm() or "-")


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A token of its own for this module: SoftHSM reads its settings once per process."""
    folder = tmp_path_factory.mktemp("token")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    (folder / "pin").write_text(PIN + "\n")
    (folder / "pin").chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        command = [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            "example",
            "--pin",
            PIN,
            "--so-pin",
            "12345678",
        ]
        subprocess.run(command, check=True, capture_output=True)
        module = next(module for module in MODULES if module.is_file())
        yield TokenOptions(module=module, token="example", pin_file=folder / "pin")


def record(**fields: Any) -> dict[str, Any]:
    owner, maker = "https://ror.org/0exampe44", "Example Optics"
    return instruments.new_record(
        kind=SignerKind.INSTRUMENT, name="Widefield 1", owner=owner, manufacturer=maker, **fields
    )


def pointer_in(folder: Path, **changes: Any) -> dict[str, Any]:
    """Write a ``key.json`` and return it."""
    pointer = {"kind": "pkcs11", "module": "/m.so", "token": "t", "key": "k", "pin_file": "/pin"} | changes
    folder.mkdir(exist_ok=True)
    (folder / "key.json").write_bytes(strictjson.dumps(pointer))
    (folder / "key.json").chmod(0o600)
    return pointer


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"module": 5}, "missing: module"),
        ({"pin_file": ""}, "missing: pin_file"),
        ({"token": None, "key": []}, "missing: token, key"),
        ({"module": "relative.so"}, "in full"),
        ({"pin_file": "../pin"}, "in full"),
        ({"module": "/no/such/module.so"}, "no PKCS#11 module"),
        ({"token": "x" * 65}, "1 to 64 characters"),
    ],
)
def test_a_pointer_that_names_no_token_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    pytest.importorskip("pkcs11", reason="python-pkcs11 (the extra hsm) is not installed")
    pointer_in(tmp_path, **change)
    with pytest.raises(KeyUnavailableError, match=said):
        keys.open_in_folder(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="POSIX permission bits")
def test_a_pointer_that_others_could_write_loads_no_library(tmp_path: Path) -> None:
    pointer_in(tmp_path)
    (tmp_path / "key.json").chmod(0o666)
    with pytest.raises(KeyUnavailableError, match="names a library to load and is open to other accounts"):
        keys.open_in_folder(tmp_path)


def test_a_folder_does_not_bring_the_library_that_opens_it(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "m.so").write_bytes(b"code")
    pointer_in(tmp_path, module=str(tmp_path / "lib" / ".." / "lib" / "m.so"))
    with pytest.raises(KeyUnavailableError, match="lies in that very folder"):
        keys.open_in_folder(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="POSIX permission bits")
def test_a_library_that_others_could_change_is_not_loaded(tmp_path: Path) -> None:
    pytest.importorskip("pkcs11", reason="python-pkcs11 (the extra hsm) is not installed")
    (tmp_path / "m.so").write_bytes(b"code")
    (tmp_path / "m.so").chmod(0o666)
    pointer_in(tmp_path / "scope", module=str(tmp_path / "m.so"))
    with pytest.raises(KeyUnavailableError, match="can be changed by other accounts"):
        keys.open_in_folder(tmp_path / "scope")


def test_without_the_extra_the_install_line_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(MissingExtraError, match="python-pkcs11") as caught:
        TokenKey.create(TokenOptions(module=tmp_path, token="t", pin_file=tmp_path), Algorithm.ES256)
    assert caught.value.hint == 'pip install "rawtrace[hsm]"'


@needs_token
@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (b"00000000\n", 0o600, "the token says"),
        (PIN.encode(), 0o644, "open to other accounts"),
        (b"", 0o600, "one line"),
        (b"\n", 0o600, "one line"),
        (b"1\n2\n", 0o600, "one line"),
        (b"\xff\xfe", 0o600, "one line"),
        (b"1" * 300, 0o600, "one line"),
        (None, 0o600, "cannot be opened"),
    ],
)
def test_a_bad_pin_file_is_refused_and_the_pin_never_shown(
    options: TokenOptions, tmp_path: Path, content: bytes | None, mode: int, said: str
) -> None:
    pin_file = tmp_path / "pin"
    if content is not None:
        pin_file.write_bytes(content)
        pin_file.chmod(mode)
    # In a process of its own: a log-in holds for the whole process.
    code = (
        "import sys, pathlib\n"
        "from rawtrace.errors import KeyUnavailableError\n"
        "from rawtrace.trust.pkcs11 import *\n"
        "module, token, pin_file = sys.argv[1:]\n"
        "options = TokenOptions(module=pathlib.Path(module), token=token, pin_file=pathlib.Path(pin_file))\n"
        "try: TokenKey.create(options, Algorithm.ES256)\n"
        "except KeyUnavailableError as error: print(error, error.hint)\n"
    )
    command = [sys.executable, "-c", code, options.module, options.token, pin_file]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert said in done.stdout
    assert PIN not in done.stdout + done.stderr


@needs_token
def test_an_absent_token_is_named(options: TokenOptions) -> None:
    absent = TokenOptions(module=options.module, token="absent", pin_file=options.pin_file)
    with pytest.raises(KeyUnavailableError, match="'absent' failed"):
        TokenKey.create(absent, Algorithm.ES256)


@needs_token
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_key_is_made_in_the_token_and_signs(options: TokenOptions, algorithm: Algorithm) -> None:
    key, pointer = TokenKey.create(options, algorithm)
    assert (key.algorithm, key.protection, key.pkcs8_pem()) == (algorithm, Protection.HARDWARE, None)
    signature, public = key.sign(b"data"), key.public_key()
    assert len(signature) == 64
    if isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(signature, b"data")
        with pytest.raises(InvalidSignature):
            public.verify(signature, b"date")
    else:
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        public.verify(encode_dss_signature(r, s), b"data", ec.ECDSA(hashes.SHA256()))
    assert PIN not in str(pointer)


@needs_token
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_the_key_cannot_be_had(options: TokenOptions, algorithm: Algorithm) -> None:
    private = TokenKey.create(options, algorithm)[0].issuing_key()
    with pytest.raises(KeyUnavailableError, match="cannot leave"):
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@needs_token
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_an_instrument_and_an_authority_with_keys_in_a_token(
    options: TokenOptions, tmp_path: Path, algorithm: Algorithm
) -> None:
    folder = tmp_path / "authority"
    authorities.create_authority(folder, name="Example", algorithm=algorithm, token=options)
    assert not (folder / "issuing" / "key.pem").exists()
    made = identity.create_identity(
        tmp_path / "scope", SignerKind.INSTRUMENT, record(), authority=folder, algorithm=algorithm, token=options
    )
    assert not (made.folder / "key.pem").exists()
    assert PIN.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert certificates.key_protection(made.leaf) is Protection.HARDWARE
    assert certificates.is_issued_by(*made.chain)
    again = identity.load_identity(made.folder)
    assert again.key.public_key() == made.leaf.public_key()
    renewed = identity.renew_identity(made.folder, authority=folder, new_key=True)
    assert renewed.key.public_key() != made.key.public_key()
    assert certificates.key_protection(renewed.leaf) is Protection.HARDWARE


@needs_token
def test_a_creation_that_fails_leaves_no_key_in_the_token(
    options: TokenOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, Any]] = []
    create = TokenKey.create.__func__  # type: ignore[attr-defined]

    def remember(cls: type[TokenKey], *arguments: Any) -> Any:
        key, pointer = create(cls, *arguments)
        made.append(pointer)
        return key, pointer

    def refuse(*_: Any, **__: Any) -> None:
        msg = "refused"
        raise CertificateError(msg)

    monkeypatch.setattr(TokenKey, "create", classmethod(remember))
    monkeypatch.setattr(identity.authorities, "issue", refuse)
    monkeypatch.setattr(identity.authorities, "open_authority", lambda folder: folder)
    with pytest.raises(CertificateError, match="refused"):
        identity.create_identity(tmp_path / "scope", SignerKind.INSTRUMENT, record(), authority=tmp_path, token=options)
    assert list(tmp_path.iterdir()) == []
    pointer_in(tmp_path / "left", **made[0])
    with pytest.raises(KeyUnavailableError, match="0 private and 0 public"):
        keys.open_in_folder(tmp_path / "left")


@needs_token
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_builders_of_cryptography_take_the_key(options: TokenOptions, algorithm: Algorithm) -> None:
    private = TokenKey.create(options, algorithm)[0].issuing_key()
    digest = None if algorithm is Algorithm.ED25519 else hashes.SHA256()
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(private, digest)
    assert csr.is_signature_valid


@needs_token
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_revocations_are_signed_in_the_token(tmp_path: Path, options: TokenOptions, algorithm: Algorithm) -> None:
    """The issuing key signs the CRL, and a responder with a key in the token answers by OCSP."""
    from cryptography import x509
    from cryptography.x509 import ocsp as forms

    from rawtrace.trust import crl, ocsp

    folder = tmp_path / "authority"
    made = authorities.create_authority(folder, name="Example", algorithm=algorithm, token=options)
    found = x509.load_der_x509_crl(crl.current(folder))
    assert found.is_signature_valid(made.certificate.public_key())
    responder = ocsp.open_responder(folder, algorithm=algorithm, token=options)
    assert responder.key.protection is Protection.HARDWARE
    names, keys_ = ocsp._named(made.certificate, "sha256")
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    request = forms.OCSPRequestBuilder().add_certificate_by_hash(names, keys_, 7, hashes.SHA256()).build()
    answer = forms.load_der_ocsp_response(ocsp.answer(responder, request.public_bytes(Encoding.DER)))
    assert answer.certificate_status is forms.OCSPCertStatus.UNKNOWN

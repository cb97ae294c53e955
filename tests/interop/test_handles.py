"""Our handles before the Handle System's own client library, and before pyhandle."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import toolbox as programs
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.conftest import make_record

from rawtrace.errors import ResolutionError
from rawtrace.server import handles
from rawtrace.server.store import Store
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.handles import digest, site, values, wire
from rawtrace.trust.handles.names import read_handle
from rawtrace.trust.handles.values import Administrator, HandleValue, Reference
from rawtrace.trust.handles.wire import RsaKey
from rawtrace.trust.identity import create_identity
from stores import PREFIX, client, found, running

pytestmark = pytest.mark.interop

HERE = Path(__file__).parent
HANDLE = f"{PREFIX}/widefield-1"
PID = f"https://hdl.handle.net/{HANDLE}"


@pytest.fixture(scope="module")
def their_client(need: Any, toolbox: programs.Toolbox, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Compile the class beside this test, and return what runs it."""
    need("handle-client")
    jars = f"{programs.PLACE / 'handle-client'}/*"
    classes = tmp_path_factory.mktemp("classes")
    source = HERE / "handles" / "HandleCheck.java"
    subprocess.run(["javac", "-d", classes, "-cp", jars, source], check=True, timeout=120)

    def ask(*arguments: str | Path) -> str:
        command = [toolbox.path_of("handle-client"), "-cp", f"{jars}:{classes}", "HandleCheck"]
        done = subprocess.run(
            [*command, *map(str, arguments)], capture_output=True, check=False, encoding="utf-8", timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return ask


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("handles")
    with Store.open(found(folder / "store")) as opened:
        record = make_record(pid=PID)
        create_identity(folder / "it", SignerKind.INSTRUMENT, record, authority=opened.authority_folder)
        handles.create_handle_key(opened.folder)
        tls = dataclasses.replace(opened.settings.listen, tls=True)
        opened.settings = dataclasses.replace(opened.settings, listen=tls)
        yield opened


@pytest.fixture(scope="module")
def answers(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the store says of an instrument and of its prefix, in files."""
    folder = tmp_path_factory.mktemp("answers")
    asked = client(store)
    for name, handle in (("record", HANDLE), ("prefix", f"0.NA/{PREFIX}")):
        (folder / name).write_bytes(asked.get(f"/api/handles/{handle}").content)
    return {"record": folder / "record", "prefix": folder / "prefix"}


def values_in(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    return text[text.index('"values":') + len('"values":') : -1]


@pytest.mark.parametrize("which", ["record", "prefix"])
def test_handle_client_writes_our_values_byte_for_byte(
    their_client: Callable[..., str], answers: dict[str, Path], which: str
) -> None:
    assert their_client("rewrite", answers[which]) == values_in(answers[which])


def test_handle_client_writes_every_kind_of_value_as_we_do(their_client: Callable[..., str], tmp_path: Path) -> None:
    key = wire.encode_key(RsaKey.of(rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()))
    interfaces = tuple(
        site.Interface(protocol=name, port=2641, query=n % 2 == 0, admin=n > 0)
        for n, name in enumerate(("UDP", "TCP", "HTTP", "HTTPS"))
    )
    servers = tuple(
        site.Server(id=n, address=address, key=key, interfaces=interfaces)
        for n, address in enumerate(("127.0.0.1", "2001:db8::1", "0.0.0.0"), 1)  # noqa: S104
    )
    made: list[HandleValue] = [
        *(
            HandleValue(index=n + 1, type="X", data=bytes([ord("a"), n, ord("b")]))
            for n in range(128)
        ),
        *(
            values.text_value(200 + n, "ä", text)
            for n, text in enumerate(("", "é\u2028\u2029<>&'\"\\/", "😀\ufeff\u202e", "\x80\xa0"))
        ),
        HandleValue(index=300, type="X", data=b"\xff\xfe"),
        values.admin_value(301, Administrator(handle="0.NA/é", index=300, permissions=0b011111110011)),
        HandleValue(index=302, type="HS_ADMIN", data=b"\x01"),
        HandleValue(index=303, type="HS_VLIST", data=values.encode_references([Reference("a/b", 1)])),
        *(
            values.site_value(310 + n, site.Site(servers=servers, hash_option=n, primary=n == 1, multi_primary=n == 2,
            attributes=(("desc", "é"), ("domain", "a.example")), hash_filter=b"\x01x"))
            for n in range(3)
        ),
        values.site_value(320, site.Site(servers=servers[:1]), kind="HS_SITE.PREFIX"),
        HandleValue(index=330, type="HS_PUBKEY", data=key, permissions=0b1100, timestamp=1_700_000_000),
        values.text_value(331, "URL", "x", ttl=1_800_000_000, absolute=True, references=(Reference("a/é", 2),)),
    ]  # fmt: skip
    answer = values.Answer(code=1, handle=read_handle("20.5/x"), values=tuple(made))
    (tmp_path / "all").write_bytes(values.write_answer(answer))
    theirs, ours = their_client("rewrite", tmp_path / "all"), values_in(tmp_path / "all")
    for one, other in zip(json.loads(theirs), json.loads(ours), strict=True):
        assert one == other
    assert theirs == ours


def test_handle_client_holds_our_signature_good(
    their_client: Callable[..., str], answers: dict[str, Path], tmp_path: Path
) -> None:
    said = json.loads(their_client("signature", answers["record"], answers["prefix"]))
    assert {said[name] for name in ("validPayload", "signatureVerifies", "dateInRange", "correctHandle")} == {True}
    assert len(said["verifiedValues"]) > 10
    assert (said["missingValues"], said["badDigestValues"]) == ([], [])
    changed = tmp_path / "changed"
    changed.write_text(answers["record"].read_text().replace("https://store.example.org", "https://evil.example.org"))
    assert json.loads(their_client("signature", changed, answers["prefix"]))["badDigestValues"] == [1]


@pytest.mark.parametrize("about", [f"0.NA/{PREFIX}", HANDLE])
@pytest.mark.parametrize(
    "what", [digest.EVERYTHING, digest.THIS_HANDLE, digest.DERIVED_PREFIXES, digest.UNDER_THIS_PREFIX]
)
def test_handle_client_holds_our_key_certificate_good(
    their_client: Callable[..., str],
    store: Store,
    answers: dict[str, Path],
    tmp_path: Path,
    about: str,
    what: str,
) -> None:
    key = handles.handle_key(store.folder)
    assert key is not None
    now = datetime.now(UTC)
    own = Reference(f"0.NA/{PREFIX}", 300)
    jws = digest.sign_key(
        own,
        RsaKey.of(key.public_key()),
        permissions=[(about, what)],
        key=key,
        issuer=own,
        not_before=now - timedelta(hours=1),
        expires=now + timedelta(hours=1),
        issued=now,
    )
    (tmp_path / "jws").write_text(jws)
    root = wire.RsaKey.of(key.public_key())
    certificate = digest.check_key(jws, key=root, at=now)
    asked = (HANDLE, HANDLE.upper(), f"{PREFIX}.7/x", "20.5/x", f"0.NA/{PREFIX}", f"0.NA/{PREFIX}.7")
    said = json.loads(their_client("certificate", tmp_path / "jws", answers["prefix"], *asked))
    assert {said[name] for name in ("validPayload", "signatureVerifies", "dateInRange")} == {True}
    assert {one: said[one] for one in asked} == {one: certificate.permits(read_handle(one)) for one in asked}


def test_what_handle_client_signs_holds_with_us(their_client: Callable[..., str], answers: dict[str, Path]) -> None:
    said = json.loads(their_client("sign", answers["record"]))
    key = wire.rsa_key(values.value_from_json(said["key"]).data)
    assert key is not None
    answer = values.read_answer(answers["record"].read_bytes(), what="it")
    at, given = datetime.now(UTC), answer.values or ()
    handle = read_handle(HANDLE)
    made = digest.check_signature(said["signature"], handle=handle, values=given, key=key, at=at)
    assert made.indexes == {value.index for value in given}
    assert digest.check_key(said["certificate"], key=key, at=at).permits(handle)
    with pytest.raises(ResolutionError):
        digest.check_signature(said["signature"], handle=handle, values=given[1:], key=key, at=at)


def test_handle_client_chooses_the_server_that_we_choose(their_client: Callable[..., str], tmp_path: Path) -> None:
    named = ["20.500.12345/abc", "20.500.12345/ABC", "0.NA/20.500.12345", "10.1000/é", "10.1000/x/y", "a/b"]
    (tmp_path / "named").write_text("\n".join(named), encoding="utf-8")
    theirs = [[int(one) for one in line.split()] for line in their_client("hash", tmp_path / "named").splitlines()]
    assert theirs == [[site.hash_of(read_handle(one), option) for option in range(3)] for one in named]


def test_pyhandle_reads_our_server(need: Any, toolbox: programs.Toolbox, store: Store) -> None:
    need("pyhandle")
    plain = dataclasses.replace(store.settings.listen, tls=False)
    store.settings = dataclasses.replace(store.settings, listen=plain)
    code = """
import json, sys
from pyhandle.handleclient import PyHandleClient
asked = PyHandleClient("rest").instantiate_for_read_access(handle_server_url=sys.argv[1])
print(json.dumps({
    "url": asked.get_value_from_handle(sys.argv[2], "URL"),
    "record": asked.retrieve_handle_record_json(sys.argv[2]),
    "nothing": asked.retrieve_handle_record_json(sys.argv[2] + "x"),
}))
"""
    with running(store) as server:
        # Its own code warns, and warnings are errors here, so it gets a process of its own.
        command = [toolbox.path_of("pyhandle"), "-W", "ignore", "-c", code, server.url, HANDLE]
        done = subprocess.run(command, capture_output=True, check=True, encoding="utf-8", timeout=60)
    said = json.loads(done.stdout)
    assert said["url"] == f"https://store.example.org/instruments/{HANDLE}"
    assert {"URL", "HS_ADMIN", "HS_SIGNATURE"} <= {one["type"] for one in said["record"]["values"]}
    assert said["nothing"] is None

"""Every fuzz target: known cases, a few thousand mutations, seals that are signed anew; and atheris where it is."""

from __future__ import annotations

import importlib.util
import os
import random
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rawtrace.report import Verdict
from rawtrace.sealing.seal import seal

HERE = Path(__file__).parent
fuzz = SimpleNamespace(**runpy.run_path(str(HERE / "targets.py")))
forge = SimpleNamespace(**runpy.run_path(str(HERE.parent / "unit" / "sealing" / "forge.py")))
NAMES = (
    "sidecar", "family", "png", "jpeg", "index", "trust-list", "image", "reader-tiff", "reader-zarr", "note", "policy",
    "receipt", "bundle", "upload", "csr", "handle", "time-request", "ocsp-request",
)  # fmt: skip
#: Of hunting for each target. New finds are for whoever goes hunting: RAWTRACE_FUZZ_SECONDS=600 make soak.
SECONDS = int(os.environ.get("RAWTRACE_FUZZ_SECONDS", "4"))
INTERESTING = (b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\0\0\0\1", b"\x9f", b"\xbf", b"\xd8\x40")


@pytest.fixture(scope="module")
def lab() -> Iterator[Any]:
    made = fuzz.Lab()
    yield made
    made.close()


@pytest.fixture(scope="module")
def targets() -> Iterator[dict[str, Any]]:
    """Targets over a lab of their own, whose files they leave as the last input was."""
    made = fuzz.Lab()
    yield fuzz.targets(made)
    made.close()


def mutate(chance: random.Random, seeds: tuple[bytes, ...]) -> bytes:
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(data) + 1)
        what = chance.randrange(7)
        if what <= 1 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif what == 2:
            del data[at : at + chance.choice((1, 4, 40))]
        elif what == 3:
            data[at : at + chance.choice((0, 4))] = chance.choice(INTERESTING)
        elif what == 4:
            data[at:at] = data[at : at + chance.randrange(200)]
        elif what == 5:
            other = chance.choice(seeds)
            start = chance.randrange(len(other))
            data[at:at] = other[start : start + chance.randrange(400)]
        else:
            del data[at:]
        if not data:
            return b""
    return bytes(data)


@pytest.mark.parametrize("name", NAMES)
def test_seeds_and_regressions(name: str, targets: dict[str, Any]) -> None:
    for data in (*targets[name].seeds, b""):
        targets[name].run(data)
    for path in sorted((HERE / "regressions").glob(f"{name}-*")):
        assert path.stat().st_size <= 4096
        targets[name].run(path.read_bytes())


@pytest.mark.parametrize("name", NAMES)
def test_mutations(name: str, targets: dict[str, Any]) -> None:
    chance = random.Random(20_260_401)  # noqa: S311
    for _ in range(150):
        data = mutate(chance, targets[name].seeds)
        try:
            targets[name].run(data)
        except BaseException:
            (Path(os.environ.get("TMPDIR", "/tmp")) / f"crash-{name}").write_bytes(data)  # noqa: S108
            raise


def test_the_oracle_sees_a_good_seal_that_is_not_the_one_that_was_made() -> None:
    made = fuzz.Lab()
    try:
        target = fuzz.targets(made)["sidecar"]
        sidecar = made.data.with_name(made.data.name + ".c2pa")
        sidecar.unlink()
        seal(made.data, signer=made.scope)
        with pytest.raises(AssertionError):
            target.run(sidecar.read_bytes())
        target.run(target.seeds[0])
    finally:
        made.close()


# -- seals that are changed where they mean something, and signed anew -----------------------------


def assertions_of(store: bytes) -> list[tuple[str, Any]]:
    from rawtrace.sealing.manifest import read_store

    read = read_store(store)
    return [(one.label, one.data) for one in read.manifests[read.active].assertions]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    key, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = changed(value[key], tuple(rest), new)
    return copy


ODD = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=40)
    | st.lists(st.text(max_size=3), max_size=3)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=3)
)


def private(identity: Any) -> Any:
    return identity.key.issuing_key()


def chain(identity: Any) -> list[bytes]:
    from cryptography.hazmat.primitives.serialization import Encoding

    return [one.public_bytes(Encoding.DER) for one in identity.chain]


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_a_wrong_signer_signs_is_never_good(data: st.DataObject, lab: Any) -> None:
    """Changed statements under the certificate of the scope: by a key of nobody, and by keys of other signers."""
    sidecar = lab.data.with_name(lab.data.name + ".c2pa")
    original = sidecar.read_bytes()
    said = assertions_of(original)
    for _ in range(data.draw(st.integers(0, 3))):
        number = data.draw(st.integers(0, len(said) - 1))
        label, value = said[number]
        path = data.draw(st.sampled_from(list(places(value))))
        said[number] = (label, changed(value, path, data.draw(ODD)))
    stolen = [("stolen", lab.other, lab.scope), ("unlisted", None, None), ("desk", lab.desk, lab.desk)]
    what, signer, shown = data.draw(st.sampled_from(stolen))
    # A workstation is listed and signs truly, but it may not state a capture; a scope's certificate needs its key.
    key = private(signer) if signer is not None else forge.KEY
    chosen = chain(shown) if shown is not None else None
    made = forge.store(
        forge.manifest([forge.cbor_assertion(label, value) for label, value in said], key=key, chain=chosen)
    )
    try:
        sidecar.write_bytes(made)
        report = lab.verify(lab.data)
    finally:
        sidecar.write_bytes(original)
    assert report is not None
    states_capture = any("digitalCapture" in str(value) for _, value in said)
    if what != "desk" or states_capture:
        assert report.verdict not in fuzz.GOOD, report.summary


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_the_right_signer_states_in_odd_ways_is_still_a_report(data: st.DataObject, lab: Any) -> None:
    """A listed instrument gone bad may say what it likes: a report, and no other data passes for what was sealed."""
    sidecar = lab.data.with_name(lab.data.name + ".c2pa")
    original, content = sidecar.read_bytes(), lab.data.read_bytes()
    said = assertions_of(original)
    for _ in range(data.draw(st.integers(0, 4))):
        number = data.draw(st.integers(0, len(said) - 1))
        label, value = said[number]
        if label == "c2pa.hash.data":
            continue
        path = data.draw(st.sampled_from(list(places(value))))
        said[number] = (label, changed(value, path, data.draw(ODD)))
    other = data.draw(st.booleans())
    boxes = [forge.cbor_assertion(label, value) for label, value in said]
    try:
        sidecar.write_bytes(forge.store(forge.manifest(boxes, key=private(lab.scope), chain=chain(lab.scope))))
        if other:
            lab.data.write_bytes(content + b"!")
        report = lab.verify(lab.data)
    finally:
        sidecar.write_bytes(original)
        lab.data.write_bytes(content)
    assert report is not None
    if other:
        assert report.verdict in {Verdict.ALTERED, Verdict.REJECTED}
    report.to_dict()
    cbor2.dumps(str(report.to_dict()))


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 180)
@pytest.mark.parametrize("name", NAMES)
def test_atheris(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: there is no wheel of it for this Python or this system")
    command = [
        sys.executable, str(HERE / "fuzz_verifier.py"), name, f"-max_total_time={SECONDS}",
        "-timeout=5", "-rss_limit_mb=1500", "-max_len=20000", "-print_final_stats=1", f"-artifact_prefix={tmp_path}/",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS + 120, check=False, cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    print(f"{name}: {runs.group(1) if runs else 'no'} inputs in {SECONDS} s")  # noqa: T201
    assert done.returncode == 0, done.stderr[-4000:]
    assert runs is not None
    assert int(runs.group(1)) > 100

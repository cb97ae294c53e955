"""What others say of our seals, as the table "Our seals, other programs" says they do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from specimens import SEALED, Bench, Case, columns, table
from toolbox import Toolbox, agrees, mini_verifier, rawtrace

from rawtrace.trust import authority as authorities
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.keys import Algorithm
from rawtrace.trust.trustlist import TrustList

pytestmark = pytest.mark.interop

TABLE = table("Our seals, other programs")
PROGRAMS = columns("Our seals, other programs")
OWNER = "https://ror.org/0exampe44"


@pytest.fixture(scope="session")
def impostors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority that bears the genuine one's name."""
    folder = tmp_path_factory.mktemp("impostors") / "authority"
    authorities.create_authority(folder, name="Example Authority", owner=OWNER)
    return folder


@pytest.fixture(scope="session", params=list(Algorithm), ids=str)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, new_identity, impostors: Path
) -> Bench:
    """A microscope, a workstation and an impostor, with keys of one kind."""
    return Bench(
        tmp_path_factory.mktemp(f"bench-{request.param}"),
        new_identity(SignerKind.INSTRUMENT, algorithm=request.param),
        new_identity(SignerKind.WORKSTATION, algorithm=request.param),
        new_identity(SignerKind.INSTRUMENT, algorithm=request.param, authority=impostors),
    )


@pytest.fixture(scope="session")
def made(bench: Bench) -> Callable[[str], Case]:
    """Each case once for all programs, which change nothing."""
    kept: dict[str, Case] = {}

    def get(name: str) -> Case:
        if name not in kept:
            kept[name] = bench.make(name)
        return kept[name]

    return get


@pytest.mark.parametrize(("program", "name"), [pytest.param(p, n, id=f"{p}, {n}") for n in TABLE for p in PROGRAMS])
def test_each_program_says_what_the_page_says(
    program: str, name: str, made, toolbox: Toolbox, need, authority: Path, trust_lists: tuple[TrustList, ...]
) -> None:
    need(program)
    case = made(name)
    before = {path: path.stat() for path in case.named.parent.rglob("*")}
    ask = {
        "c2patool": lambda: toolbox.c2patool(case.named, case.sidecar, authority / "root.pem"),
        "c2pa-ts": lambda: toolbox.c2pa_ts(case.named, case.sidecar),
        "mini verifier": lambda: mini_verifier(case.named, case.sidecar),
        "rawtrace": lambda: rawtrace(case.asset, trust_lists),
    }[program]
    said, shown = ask(), TABLE[name][program]
    assert agrees(said, shown) if program == "rawtrace" else said == shown, f"said: {said}; shown: {shown}"
    assert {path: path.stat().st_mtime_ns for path in before} == {p: s.st_mtime_ns for p, s in before.items()}


def test_nothing_that_we_seal_is_refused_and_nothing_altered_is_accepted() -> None:
    good = {"c2patool": "Trusted", "c2pa-ts": "valid", "mini verifier": "sound", "rawtrace": "verified-with-notes"}
    genuine = [name for name in SEALED if not {"so", "authority", "unsealed"} & set(name.split())]
    assert [name for name in genuine if TABLE[name] != good] == []
    altered = {name: row for name, row in TABLE.items() if "; " in name and "parent" not in name.split("; ")[1]}
    assert altered
    for name, row in altered.items():
        for program, said in row.items():
            assert said.split(":")[0] not in good.values(), f"{program} accepts: {name}"


def test_c2patool_says_nothing_of_a_file_without_extension(
    need, made, toolbox: Toolbox, authority: Path, tmp_path: Path
) -> None:
    need("c2patool")
    case = made("file of an unknown type")
    bare = tmp_path / "run-7"
    bare.write_bytes(case.named.read_bytes())
    assert "is unrecognized" in toolbox.c2patool(bare, case.sidecar, authority / "root.pem")


def test_exit_code_of_c2patool_is_0_for_altered_data(need, made, toolbox: Toolbox, authority: Path) -> None:
    need("c2patool")
    case = made("file of an unknown type; a byte flipped")
    done = toolbox.run_c2patool(f"{case.named}", "--external-manifest", f"{case.sidecar}", root=authority / "root.pem")
    assert done.returncode == 0
    assert '"validation_state": "Invalid"' in done.stdout


def test_small_reader_runs_where_rawtrace_cannot_be_imported(made) -> None:
    for name, word in (("file of an unknown type", "sound"), ("OME-TIFF; a pixel changed", "bytes-changed")):
        case = made(name)
        guard = "import runpy, sys; sys.modules['rawtrace'] = None; sys.argv = sys.argv[1:]; "
        run = f"{guard}runpy.run_path(sys.argv[0], run_name='__main__')"
        script = Path(__file__).with_name("mini_verifier.py")
        command = [sys.executable, "-c", run, f"{script}", f"{case.named}", f"{case.sidecar}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr, done.returncode) == (f"{word}\n", "", word != "sound")


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"\xff\xd8\xff\xeb\0\x0cJP\0\1", b"\0" * 64])
def test_small_reader_ends_on_files_that_end_early(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert mini_verifier(path, None).startswith("unreadable: ")
    assert mini_verifier(path, path).startswith("unreadable: ")

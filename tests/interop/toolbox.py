"""Runs other people's verifiers and says in one line what they said.

The lines are those of the tables in docs/concepts/interoperability.md.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptography import x509

from rawtrace.report import Report
from rawtrace.trust.anchors import TrustList
from rawtrace.verification.verify import verify

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PLACE = ROOT / ".venv" / "interop"
SECONDS = 60
PROGRAMS = (
    "c2patool",
    "c2pa-ts",
    "litewitness",
    "tessera-posix",
    "tessera-fsck",
    "handle-client",
    "pyhandle",
    "iscc-bio",
)
_MINI = runpy.run_path(str(HERE / "mini_verifier.py"))


@dataclass(frozen=True)
class Program:
    """A program, or in ``missing`` the reason why it is not here."""

    path: str
    version: str
    missing: str = ""


def found() -> dict[str, Program]:
    """Read what ``tools/interop_setup`` wrote: name, path, version and reason, with tabs between."""
    lines = (PLACE / "programs").read_text(encoding="utf-8") if (PLACE / "programs").is_file() else ""
    rows = [line.split("\t") for line in lines.splitlines()]
    absent = Program("", "", "the programs are fetched by: make interop")
    return dict.fromkeys(PROGRAMS, absent) | {row[0]: Program(*row[1:]) for row in rows}


def versions() -> dict[str, str]:
    """Return the versions in use, by program."""
    return {name: program.version for name, program in found().items()} | {
        "c2pa-python": version("c2pa-python"),
        "rawtrace": version("rawtrace"),
    }


class Toolbox:
    """All programs of one run."""

    def __init__(self, programs: Mapping[str, Program], folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._node: subprocess.Popen[str] | None = None
        if not self.missing("c2pa-ts"):
            # Node looks for packages beside the script.
            for script in HERE.glob("*.mjs"):
                shutil.copyfile(script, PLACE / script.name)

    def missing(self, program: str) -> str:
        """Return why a program cannot be run, or an empty string."""
        return self._programs[program].missing if program in self._programs else ""

    def path_of(self, program: str) -> str:
        return self._programs[program].path

    def c2patool(self, asset: Path, seal: Path | None, root: Path) -> str:
        """Ask c2patool, with our root as the only anchor; its state and all failures."""
        more = ["--external-manifest", f"{seal}"] if seal else []
        done = self.run_c2patool(f"{asset}", *more, root=root)
        if done.returncode:
            return f"error: {done.stderr.splitlines()[0].removeprefix('Error: ')}"
        said = json.loads(done.stdout)
        return _line(said["validation_state"], _failures(said["validation_results"]))

    def run_c2patool(self, *arguments: str, root: Path | None = None) -> subprocess.CompletedProcess[str]:
        settings = self._folder / "c2pa.json"
        settings.write_text(json.dumps(c2patool_settings(root)), encoding="utf-8")
        return _run([self.path_of("c2patool"), "--settings", f"{settings}", *arguments], home=self._folder)

    def c2pa_ts(self, asset: Path, seal: Path | None) -> str:
        """Ask c2pa-ts, one process for all questions; it checks no path to an authority."""
        if self._node is None:
            command = [self.path_of("c2pa-ts"), f"{PLACE / 'verify.mjs'}"]
            pipe = subprocess.PIPE
            self._node = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8")
        question, answer = self._node.stdin, self._node.stdout
        assert question is not None
        assert answer is not None
        question.write(json.dumps([f"{asset}", *([f"{seal}"] if seal else [])]) + "\n")
        question.flush()
        said = json.loads(answer.readline())
        return _line("valid" if said["valid"] else "invalid", said["failures"])

    def close(self) -> None:
        """End the process that ``c2pa_ts`` has begun."""
        if self._node is not None:
            self._node.communicate(timeout=SECONDS)

    def run_node(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run([self.path_of("c2pa-ts"), f"{PLACE / script}", *arguments], home=self._folder)


def mini_verifier(asset: Path, seal: Path | None) -> str:
    """Ask the small reader of this folder, which shares no code with rawtrace."""
    return ", ".join(_MINI["verdict"](asset, *([seal] if seal else [])))


def rawtrace(asset: Path, trust: Sequence[TrustList]) -> str:
    """Our own verdict, and the findings that make it one that is not good."""
    return report_line(verify(asset, trust=trust))


def report_line(report: Report) -> str:
    if report.verdict.exit_code == 0:
        return str(report.verdict)
    decisive = {one.id for one in report.findings if one.outcome.verdict is report.verdict}
    return _line(str(report.verdict), decisive)


def agrees(said: str, shown: str) -> bool:
    """Tell whether rawtrace said the verdict that is shown, for at least the reasons that are shown."""
    (word, _, found), (wanted, _, reasons) = said.partition(": "), shown.partition(": ")
    return word == wanted and set(filter(None, reasons.split(", "))) <= set(found.split(", "))


def c2patool_settings(root: Path | None) -> dict[str, Any]:
    """Trust one root, let certificates for the signing of documents pass, open no connection."""
    trust = {"trust_config": "1.3.6.1.5.5.7.3.36\n"}
    if root is not None:
        x509.load_pem_x509_certificate(root.read_bytes())
        trust["trust_anchors"] = root.read_text(encoding="ascii")
    return {
        "version": 1,
        "trust": trust,
        "verify": {"verify_trust": root is not None, "remote_manifest_fetch": False, "ocsp_fetch": False},
    }


def _failures(results: Mapping[str, Any]) -> set[str]:
    codes = {one["code"] for one in results.get("activeManifest", {}).get("failure", [])}
    for delta in results.get("ingredientDeltas", []):
        codes |= {f"ingredient {one['code']}" for one in delta["validationDeltas"]["failure"]}
    return codes


def _line(word: str, codes: Sequence[str] | set[str]) -> str:
    return f"{word}: {', '.join(sorted(set(codes)))}" if codes else word


def _run(command: Sequence[str], *, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"HOME": f"{home}", "XDG_CONFIG_HOME": f"{home}"} if home else {})}
    environment.pop("RUST_BACKTRACE", None)
    return subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )

"""``rawtrace show``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rawtrace.cli import output
from rawtrace.cli.parameters import PATH
from rawtrace.errors import SealUnreadableError


@click.command()
@click.argument("path", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
def show(path: Path, as_json: bool) -> None:
    """Print what a seal says; nothing of it is checked.

    \b
    Examples:
      rawtrace show plate.ome.tiff
      rawtrace show figure.png.c2pa --json
    """
    from rawtrace.verification.evidence import discover, plain

    evidence = discover(path)
    if evidence.store is None:
        msg = evidence.findings[0].message
        raise SealUnreadableError(msg, hint=evidence.findings[0].hint)
    manifests = [
        {
            "label": manifest.label,
            "claim_sha256": manifest.claim_sha256,
            "active": manifest.label == evidence.store.active,
            "assertions": {assertion.label: plain(assertion.data) for assertion in manifest.assertions},
            "ingredients": [one.title for one in manifest.ingredients],
        }
        for manifest in evidence.store.manifests.values()
    ]
    value = {"schema": "urn:rawtrace:schema:show:1", "path": str(evidence.path), "manifests": manifests}
    output.emit(value, as_json=as_json, text=_text(manifests))


def _text(manifests: list[dict[str, Any]]) -> str:
    from rawtrace.render.clean import visible

    lines = ["what the seal says, unchecked (rawtrace verify checks it):"]
    for manifest in reversed(manifests):
        lines += ["", f"{'seal' if manifest['active'] else 'ancestor'} {manifest['label']}"]
        for label, data in manifest["assertions"].items():
            lines.append(f"  {label}")
            lines += [f"    {line}" for line in _outline(data)]
    return "\n".join(visible(line) for line in lines)


def _item(data: Any, depth: int) -> list[str]:
    """Outline one item of a list, marked where it begins."""
    return [f"{'  ' if number else '- '}{line}" for number, line in enumerate(_outline(data, depth))]


def _record(value: Any) -> Any:
    """Return what an instrument's record says; a seal holds it as the text that was certified."""
    from rawtrace import strictjson
    from rawtrace.errors import Error

    if not isinstance(value, str):
        return value
    try:
        return strictjson.loads(value, what="the record", max_bytes=len(value))
    except Error:
        return value


def _binary(value: Any) -> Any:
    """Return bytes that the C2PA library stored as a list of numbers, such as a soft binding, as hexadecimal."""
    if isinstance(value, list) and len(value) > 16 and all(isinstance(one, int) and 0 <= one < 256 for one in value):
        return bytes(value).hex()
    return value


def _outline(data: Any, depth: int = 0) -> list[str]:
    if depth > 8:
        return ["..."]
    if isinstance(data, dict):
        lines = []
        for key, value in data.items():
            inner = _record(value) if key == "record" else _binary(value)
            if isinstance(inner, (dict, list)) and inner:
                lines += [f"{key}:", *(f"  {line}" for line in _outline(inner, depth + 1))]
            else:
                lines.append(f"{key}: {inner}")
        return lines
    if isinstance(data, list):
        shown = [line for item in data[:50] for line in _item(item, depth + 1)]
        return shown + ([f"... and {len(data) - 50} more"] if len(data) > 50 else [])
    return [str(data)]

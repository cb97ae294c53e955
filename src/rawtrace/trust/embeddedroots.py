"""Roots of federations that a distributor put into this copy of rawtrace: ``roots/NAME.root.json`` and ``NAME.url``."""

from __future__ import annotations

from importlib import resources

from rawtrace.trust import federationfiles


def embedded() -> tuple[tuple[str, bytes, str], ...]:
    """Return the roots that came with this copy of rawtrace: name, root, address."""
    folder = resources.files("rawtrace.trust") / "roots"
    found = []
    if folder.is_dir():
        for file in folder.iterdir():
            if file.name.endswith(".root.json"):
                name = federationfiles.check_name(file.name.removesuffix(".root.json"))
                address = folder / f"{name}.url"
                url = address.read_text(encoding="utf-8").strip() if address.is_file() else ""
                found.append((name, file.read_bytes(), url))
    return tuple(sorted(found))

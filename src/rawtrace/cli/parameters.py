"""Parameter types that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class _Path(click.Path):
    """A path that is not empty: an unset variable in a script must not come to mean the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value:
            self.fail("a path is empty; expected the name of a file or a folder", param, ctx)
        return super().convert(value, param, ctx)


#: A path. Whether it can be read is found out by whoever reads it, and said in rawtrace's own words.
PATH = _Path(path_type=Path, readable=False)


def seen_from_here(path: str) -> str:
    """Return a path as seen from the current folder, where it is below that."""
    here, given = Path.cwd(), Path(path)
    return str(given.relative_to(here)) if given.is_relative_to(here) else path

"""Parameter types that commands share."""

from __future__ import annotations

from pathlib import Path

import click

#: A path. Whether it can be read is found out by whoever reads it, and said in rawtrace's own words.
PATH = click.Path(path_type=Path, readable=False)

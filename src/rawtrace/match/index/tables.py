"""The tables of an index: the truth, from which everything else is made again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

_BINARY = (bytes, bytearray, memoryview)
_TABLES = sa.MetaData()
#: A number that the database gives and never gives again, in the order of the transactions.
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


class Bytes(sa.LargeBinary):
    """Bytes, also where somebody has put something else into the file: that reads as nothing, and is found so."""

    def bind_processor(self, dialect: sa.Dialect) -> None:
        """Hand bytes to the driver as they are: each of ours takes them."""

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], bytes | None]:
        """Let nothing but bytes through."""
        return lambda value: None if value is None else bytes(value) if isinstance(value, _BINARY) else b""


ABOUT = sa.Table(
    "index_about",
    _TABLES,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
SOURCES = sa.Table(
    "index_source",
    _TABLES,
    sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
    # As the system has it, which need not be text.
    sa.Column("path", Bytes, nullable=False, unique=True),
    sa.Column("size", sa.BigInteger, nullable=False, index=True),
    sa.Column("changed_ns", sa.BigInteger, nullable=False),
    sa.Column("added_ns", sa.BigInteger, nullable=False),
    # Body of the Instance-Code of the bytes; empty where they could not be read.
    sa.Column("digest", Bytes, nullable=False, index=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("problem", sa.Text, nullable=False),
    sa.Column("format", sa.Text, nullable=False),
    sa.Column("notes", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
SCENES = sa.Table(
    "index_scene",
    _TABLES,
    sa.Column("source", _NUMBER, primary_key=True),
    sa.Column("scene", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("t", sa.Integer, nullable=False),
    sa.Column("c", sa.Integer, nullable=False),
    sa.Column("z", sa.Integer, nullable=False),
    sa.Column("y", sa.Integer, nullable=False),
    sa.Column("x", sa.Integer, nullable=False),
    sa.Column("samples", sa.Integer, nullable=False),
    sa.Column("dtype", sa.Text, nullable=False),
    sa.Column("header", sa.Text, nullable=False),
    sa.Column("iscc", sa.Text, nullable=False, index=True),
    sa.Column("instance", Bytes, nullable=False, index=True),
    sa.Column("data", sa.Text, nullable=False),
)
PLANES = sa.Table(
    "index_plane",
    _TABLES,
    sa.Column("source", _NUMBER, primary_key=True),
    sa.Column("scene", sa.Integer, primary_key=True),
    sa.Column("z", sa.Integer, primary_key=True),
    sa.Column("c", sa.Integer, primary_key=True),
    sa.Column("t", sa.Integer, primary_key=True),
    sa.Column("instance", Bytes, nullable=False, index=True),
    # 1 where all pixels are equal, which is evidence of nothing.
    sa.Column("constant", sa.SmallInteger, nullable=False),
)
VIEWS = sa.Table(
    "index_view",
    _TABLES,
    sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("source", _NUMBER, nullable=False, index=True),
    sa.Column("scene", sa.Integer, nullable=False),
    sa.Column("channel", sa.Integer),
    sa.Column("z", sa.Integer),
    sa.Column("t", sa.Integer),
    sa.Column("projection", sa.Text, nullable=False),
    sa.Column("rendering", sa.Text, nullable=False),
    sa.Column("reduction", sa.Integer, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    # 32 bytes; empty where there is too little to see.
    sa.Column("code", Bytes, nullable=False),
    sa.Column("points", sa.Integer, nullable=False),
    sqlite_autoincrement=True,
)
# Apart from their view, so that what is asked often is read without them.
FEATURES = sa.Table(
    "index_features",
    _TABLES,
    sa.Column("view", _NUMBER, primary_key=True),
    sa.Column("features", Bytes, nullable=False),
)
# Of views that may be blots or gels: a reduced copy in which strips are found.
STRIPS = sa.Table(
    "index_strip",
    _TABLES,
    sa.Column("view", _NUMBER, primary_key=True),
    sa.Column("strip", Bytes, nullable=False),
)
SEALS = sa.Table(
    "index_seal",
    _TABLES,
    sa.Column("source", _NUMBER, primary_key=True, autoincrement=False),
    # Of the active manifest; copies of a file have the same.
    sa.Column("label", sa.Text, nullable=False, index=True),
    sa.Column("claim", sa.Text, nullable=False),
    sa.Column("store", Bytes, nullable=False),
)
# Data-Codes of what is sealed: of the file, as its seal states it, and of its scenes.
SEAL_CODES = sa.Table(
    "index_seal_code",
    _TABLES,
    sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("source", _NUMBER, nullable=False, index=True),
    sa.Column("code", Bytes, nullable=False),
    sqlite_autoincrement=True,
)
TABLES = (ABOUT, SOURCES, SCENES, PLANES, VIEWS, FEATURES, STRIPS, SEALS, SEAL_CODES)

"""One way to a SQL database: SQLite by default, PostgreSQL by a URL.

Tables are SQLAlchemy Core tables on ``METADATA``, declared by the module that
owns them. A transaction that writes is alone on either database: SQLite by
``BEGIN IMMEDIATE``, PostgreSQL by an advisory lock of the schema. What was
committed is on the disk (``synchronous=FULL``; PostgreSQL's default).

Needs the ``server`` or the ``match`` extra, and ``postgres`` for that database; this module is
imported by those only who use it.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from rawtrace.errors import DatabaseError, DiskFullError, MissingExtraError, UsageError

#: Every table of rawtrace's servers.
METADATA = sa.MetaData()

_WRITERS = 0x72617774  # the advisory lock that writers of one PostgreSQL database share
_BUSY_S = 30
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",
    "trusted_schema=OFF",
    # 16 MiB: what a busy log writes again and again is copied into the database less often.
    "wal_autocheckpoint=4000",
)


class Database:
    """A pool of connections. Safe to share between threads.

    Parameters
    ----------
    engine : sqlalchemy.Engine
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @property
    def location(self) -> str:
        """Where it is, without a password."""
        return self._engine.url.render_as_string(hide_password=True)

    def prepare(self, tables: Sequence[sa.Table] | None = None) -> None:
        """Make the tables that are not there yet; all of ``METADATA`` unless some are named."""
        with self.write() as connection:
            METADATA.create_all(connection, tables=None if tables is None else list(tables))

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction that reads one consistent state.

        Raises
        ------
        DatabaseError
        """
        with self._in_words(), self._engine.connect() as connection:
            if self.dialect == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Open a transaction that writes: alone, committed and durable when the block ends, undone if it raises.

        Raises
        ------
        DatabaseError, DiskFullError
        """
        with self._in_words(), self._engine.connect() as connection:
            connection = connection.execution_options(rawtrace_writes=True)
            with connection.begin():
                if self.dialect == "postgresql":
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITERS)))
                yield connection

    def settle(self) -> None:
        """After an erasure: leave nothing of what was there in SQLite's write-ahead log.

        PostgreSQL overwrites dead rows when it vacuums; its own log and its backups are the operator's business.
        """
        if self.dialect == "sqlite":
            with self._in_words(), self._engine.connect() as connection:
                connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.IntegrityError:
            raise  # the caller's business: it says what may not stand twice
        except sa.exc.DBAPIError as error:
            said = str(error.orig).strip().splitlines()[0] if error.orig and str(error.orig).strip() else "no reason"
            if "full" in said.lower() or "No space left" in said:
                msg = f"the disk of the database {self.location} is full"
                raise DiskFullError(msg) from error
            msg = f"the database {self.location} cannot be used: {said}"
            raise DatabaseError(msg) from error


def open_database(where: Path | str) -> Database:
    """Open a database; a SQLite file is made where there is none.

    Parameters
    ----------
    where : Path or str
        A file for SQLite, or ``postgresql://user@host/name``.

    Raises
    ------
    UsageError
        An address of another kind.
    MissingExtraError
        PostgreSQL without its driver.
    """
    if isinstance(where, Path):
        engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(where)),
            connect_args={"timeout": _BUSY_S, "check_same_thread": False},
            hide_parameters=True,  # a traceback in a log shows no digest, code or record
        )
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return Database(engine)
    scheme, separator, rest = where.partition("://")
    if not separator or scheme not in {"postgresql", "postgres"}:
        msg = "a database is a SQLite file or postgresql://…, and this is neither"
        raise UsageError(msg)
    try:
        import psycopg  # noqa: F401  only to learn whether it is there
    except ImportError as error:
        msg = "PostgreSQL needs its driver, which is not installed"
        raise MissingExtraError(msg, hint="pip install 'rawtrace[server,postgres]'") from error
    return Database(sa.create_engine(f"postgresql+psycopg://{rest}", pool_pre_ping=True, hide_parameters=True))


def insert_missing(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, key: Sequence[str]
) -> None:
    """Insert rows; one whose ``key`` is there already is left as it is."""
    if rows:
        connection.execute(_insert(connection, table).on_conflict_do_nothing(index_elements=list(key)), list(rows))


def upsert(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, key: Sequence[str]
) -> None:
    """Insert rows; one whose ``key`` is there already gets the new values."""
    if rows:
        names = tuple(name for name in rows[0] if name not in key)
        connection.execute(_upsert_statement(connection.dialect.name, table, tuple(key), names), list(rows))


@functools.lru_cache(maxsize=256)
def _upsert_statement(dialect: str, table: sa.Table, key: tuple[str, ...], names: tuple[str, ...]) -> Any:
    # Written once: building it costs as much as running it.
    statement = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return statement.on_conflict_do_update(
        index_elements=list(key), set_={name: statement.excluded[name] for name in names}
    )


def insert_rows(
    connection: sa.Connection, table: sa.Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert many rows as the driver takes them: SQLAlchemy's work on each would cost more than the database's.

    Parameters
    ----------
    connection : Connection
    table : Table
    columns : tuple[str, ...]
    rows : Sequence[tuple]
        In the order of ``columns``; bytes, text, whole numbers or ``None``.
    """
    if rows:
        connection.exec_driver_sql(_insert_text(table.name, columns, _mark(connection)), list(rows))


def select_among(
    connection: sa.Connection, table: sa.Table, columns: tuple[str, ...], *, by: str, values: Sequence[bytes | str]
) -> Sequence[Sequence[Any]]:
    """Return some columns of the rows in which column ``by`` has one of many values; as ``insert_rows``, for speed.

    Parameters
    ----------
    values : Sequence[bytes or str]
        At most 500, so that no database finds them too many.
    """
    marks = ",".join([_mark(connection)] * len(values))
    text = f"SELECT {','.join(columns)} FROM {table.name} WHERE {by} IN ({marks})"  # noqa: S608  names of our own
    return connection.exec_driver_sql(text, tuple(values)).all() if values else ()


@functools.cache
def _insert_text(table: str, columns: tuple[str, ...], mark: str) -> str:
    return f"INSERT INTO {table} ({','.join(columns)}) VALUES ({','.join([mark] * len(columns))})"  # noqa: S608  the same


def _mark(connection: sa.Connection) -> str:
    return "%s" if connection.dialect.name == "postgresql" else "?"


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Transactions begin where ``_begin_sqlite`` says so, not where the driver guesses.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("rawtrace_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

"""The one way to a database, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from rawtrace.database import METADATA, Database, insert_missing, insert_rows, open_database, select_among, upsert
from rawtrace.errors import DatabaseError, UsageError

THINGS = sa.Table("test_thing", sa.MetaData(), sa.Column("name", sa.Text, primary_key=True), sa.Column("n", sa.Integer))


@pytest.fixture
def things(database: Database) -> Database:
    with database.write() as connection:
        THINGS.metadata.create_all(connection)
    return database


def rows(database: Database) -> list[tuple[str, int]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(THINGS).order_by(THINGS.c.name))]  # type: ignore[misc]


@pytest.mark.parametrize("address", ["mysql://host/name", "database.sqlite", "://", "sqlite:///file"])
def test_address_of_another_kind_is_refused(address: str) -> None:
    with pytest.raises(UsageError):
        open_database(address)


def test_what_raises_leaves_nothing(things: Database) -> None:
    def fail() -> None:
        with things.write() as connection:
            connection.execute(sa.insert(THINGS).values(name="a", n=1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert rows(things) == []


def test_what_was_committed_is_there_for_another_process(things: Database, database_address: Path | str) -> None:
    with things.write() as connection:
        connection.execute(sa.insert(THINGS).values(name="a", n=1))
    with open_database(database_address) as other:
        assert rows(other) == [("a", 1)]


def test_many_rows_go_to_the_driver_as_they_are(things: Database) -> None:
    with things.write() as connection:
        insert_rows(connection, THINGS, ("n", "name"), [(n, f"thing-{n}") for n in range(500)])
        insert_rows(connection, THINGS, ("n", "name"), [])
        names = ("thing-3", "'; DROP TABLE test_thing; --", "thing-499")
        assert sorted(map(tuple, select_among(connection, THINGS, ("name", "n"), by="name", values=names))) == [
            ("thing-3", 3),
            ("thing-499", 499),
        ]
        assert select_among(connection, THINGS, ("name", "n"), by="name", values=()) == ()
    assert len(rows(things)) == 500


def test_a_row_that_stands_already_undoes_all_that_were_inserted_with_it(things: Database) -> None:
    def insert(*names: str) -> None:
        with things.write() as connection:
            insert_rows(connection, THINGS, ("name", "n"), [(name, 1) for name in names])

    insert("a")
    with pytest.raises(sa.exc.IntegrityError):
        insert("b", "a")
    assert rows(things) == [("a", 1)]


def test_writers_are_alone(things: Database) -> None:
    with things.write() as connection:
        connection.execute(sa.insert(THINGS).values(name="a", n=0))

    def add() -> None:
        for _ in range(20):
            with things.write() as connection:
                n = connection.execute(sa.select(THINGS.c.n)).scalar_one()
                connection.execute(sa.update(THINGS).values(n=n + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(things) == [("a", 80)]


def test_reader_sees_one_state(things: Database) -> None:
    with things.read() as reader:
        assert reader.execute(sa.select(sa.func.count()).select_from(THINGS)).scalar_one() == 0
        with things.write() as connection:
            connection.execute(sa.insert(THINGS).values(name="a", n=1))
        assert reader.execute(sa.select(sa.func.count()).select_from(THINGS)).scalar_one() == 0


def test_insert_missing_leaves_and_upsert_replaces(things: Database) -> None:
    with things.write() as connection:
        insert_missing(connection, THINGS, [{"name": "a", "n": 1}, {"name": "b", "n": 1}], key=["name"])
        insert_missing(connection, THINGS, [{"name": "a", "n": 2}], key=["name"])
        upsert(connection, THINGS, [{"name": "b", "n": 3}], key=["name"])
    assert rows(things) == [("a", 1), ("b", 3)]


def test_missing_table_is_said_in_words(database: Database) -> None:
    with pytest.raises(DatabaseError, match="cannot be used"), database.read() as connection:
        connection.execute(sa.select(THINGS))


def test_prepare_makes_every_table_and_may_be_repeated(database: Database) -> None:
    database.prepare()
    database.prepare()
    with database.read() as connection:
        assert set(METADATA.tables) <= set(sa.inspect(connection).get_table_names())


def test_a_file_that_is_no_database_is_said_in_words(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with open_database(path) as database, pytest.raises(DatabaseError, match=r"store\.sqlite"):
        database.prepare([THINGS])


def test_a_password_is_never_shown() -> None:
    database = open_database("postgresql://user:pass-word@127.0.0.1:9/name")
    assert "pass-word" not in database.location
    with pytest.raises(DatabaseError) as refused, database.read():
        pass
    assert "pass-word" not in str(refused.value)

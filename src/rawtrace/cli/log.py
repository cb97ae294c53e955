"""``rawtrace log``: what was promised, and when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from rawtrace import durable
from rawtrace.cli import logchecks, logfolders, output
from rawtrace.cli.groups import Group
from rawtrace.cli.logchecks import EXIT_FOUND, SCHEMA, json_option, own_log, public_log, token_option
from rawtrace.cli.parameters import PATH
from rawtrace.errors import AlreadyExistsError, InputNotFoundError, LedgerError, ReceiptError, UsageError

_WAIT_S = 300.0

_folder_argument = click.argument("folder", metavar="DIR", type=PATH)


@click.group(cls=Group)
def log() -> None:
    """Keep a log that nobody can rewrite unseen, and check those of others.

    \b
    Examples:
      rawtrace log init ./log --origin log.example.org/microscopy
      rawtrace log append ./log plate.ome.tiff.c2pa results.csv
      rawtrace log verify results.csv --policy ./log/policy
      rawtrace log audit ./log
      rawtrace log export ./log ./public

    DIR is a folder that `log init` made, or a trust store's. The formats are
    those of c2sp.org: other people's tools read, mirror and audit such a log.
    """


@log.command()
@_folder_argument
@click.option("--origin", required=True, metavar="NAME", help="Its name for ever, such as log.example.org/microscopy.")
@click.option("--database", default="", metavar="URL", help="postgresql://…; without it a SQLite file in DIR.")
@click.option("--guard", type=PATH, help="Where the last signed size is kept; best on another disk than DIR.")
@json_option
def init(folder: Path, *, origin: str, database: str, guard: Path | None, as_json: bool) -> None:
    """Begin a log in DIR, which must not exist yet.

    \b
    Examples:
      rawtrace log init ./log --origin log.example.org/microscopy
      rawtrace log init ./log --origin log.example.org/microscopy --guard /var/lib/guards/microscopy

    DIR holds the log's key. Witnesses are named in DIR/policy (tlog-policy);
    with a quorum there, nothing is acknowledged that they have not cosigned.
    """
    made = logfolders.create(folder, origin=origin, database=database, guard=guard)
    key = made.key()
    value = {"schema": SCHEMA, "folder": str(folder), "origin": origin, "verifier_key": key.text}
    text = f"began the log {origin} in {folder}\n  verifier key  {key.text}"
    output.emit(value, as_json=as_json, text=text)


@log.command()
@_folder_argument
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=PATH)
@click.option("--new-guard", is_flag=True, help="Begin a new guard; only when no witness knows a larger log.")
@json_option
def append(folder: Path, files: tuple[Path, ...], *, new_guard: bool, as_json: bool) -> None:
    """Log files, and write the receipt of each beside it: FILE.tlog-proof.

    \b
    Examples:
      rawtrace log append ./log results.csv
      rawtrace log append ./log *.c2pa

    Of a seal (.c2pa) the log records certificate, claim and signature, so that
    `rawtrace verify` finds the receipt; of any other file its SHA-256 and size.
    In public stands a salted hash of that record only. A file that was logged
    before keeps its index.
    """
    from rawtrace.ledger.receipt import SUFFIX

    found = logfolders.find(folder)
    submissions = [logfolders.submission_of(path, found.origin) for path in files]
    with found.writing(new_guard=new_guard, progress=output.progress()) as opened:
        accepted = opened.submit_many(submissions).result(_WAIT_S)
        written = []
        for path, one in zip(files, accepted, strict=True):
            target = path.with_name(path.name + SUFFIX)
            _add_receipt(target, one.receipt, found.origin)
            written.append({"file": str(path), "index": one.index, "receipt": str(target)})
    text = "\n".join(f"{one['file']}: entry {one['index']}, receipt {one['receipt']}" for one in written)
    output.emit({"schema": SCHEMA, "origin": found.origin, "logged": written}, as_json=as_json, text=text)


@log.command()
@_folder_argument
@click.argument("what", metavar="FILE|INDEX")
@click.option("--out", type=PATH, help="Write the receipt there.")
@json_option
def prove(folder: Path, what: str, *, out: Path | None, as_json: bool) -> None:
    """Print the receipt of a FILE, or of the entry INDEX, to the newest checkpoint.

    \b
    Examples:
      rawtrace log prove ./log results.csv
      rawtrace log prove ./log 17 --out entry-17.tlog-proof
    """
    found = logfolders.find(folder)
    with found.writing(progress=output.progress()) as opened:
        index = int(what) if what.isascii() and what.isdigit() and len(what) < 19 else None
        if index is None:
            places = [opened.find(one) for one in logfolders.record_bytes(Path(what))]
            index = next((place for place in places if place is not None), None)
            if index is None:
                msg = f"{what} is not in the log {found.origin}"
                raise InputNotFoundError(msg, hint="log it: rawtrace log append DIR FILE")
        receipt = opened.receipt(index)
    if out is not None:
        durable.write_new(out, receipt)
    value = {"schema": SCHEMA, "origin": found.origin, "index": index, "receipt": receipt.decode()}
    text = f"entry {index}: {out}" if out is not None else receipt.decode().removesuffix("\n")
    output.emit(value, as_json=as_json, text=text)


log.add_command(logchecks.verify)
log.add_command(logchecks.audit)


@log.command()
@click.argument("where", metavar="DIR|URL")
@click.argument("out", type=PATH)
@token_option
@json_option
def export(where: str, out: Path, *, token_file: Path | None, as_json: bool) -> None:
    """Write the public part of a log into the folder OUT, as static files.

    \b
    Examples:
      rawtrace log export ./log ./public
      rawtrace log export https://store.example.org/log ./copy --token-file auditor.token

    Any web server can show OUT. Run again, it adds what is new; broken off, it
    goes on where it was.
    """
    import contextlib

    from rawtrace.ledger.export import export as run
    from rawtrace.ledger.sources import read_database

    with contextlib.ExitStack() as stack:
        own = own_log(where)
        if own is not None:
            read = stack.enter_context(read_database(stack.enter_context(own.opened()), own.origin))
        else:
            read = public_log(where, token_file, stack)
        done = run(read, out, progress=output.progress())
    value = {
        "schema": SCHEMA,
        "origin": done.origin,
        "size": done.size,
        "folder": str(out),
        "written": done.written,
        "kept": done.kept,
    }
    text = f"{out}: {done.size} entries of {done.origin}; {done.written} files written, {done.kept} there already"
    output.emit(value, as_json=as_json, text=text)


@log.command()
@_folder_argument
@click.argument("source", metavar="[DIR|URL]", required=False)
@token_option
@json_option
def restore(folder: Path, source: str | None, *, token_file: Path | None, as_json: bool) -> None:
    """Bring entries back that a mirror or an export has, and the log in DIR has not.

    \b
    Examples:
      rawtrace log restore ./log ./public
      rawtrace log restore ./log https://mirror.example.org/log --token-file auditor.token
      rawtrace log restore ./store

    For a log whose database was lost, or came back from a backup. The entries
    must lead to a checkpoint that this log has signed. Without DIR or URL, the
    mirrors of DIR/policy are asked, and the one that holds most counts. Records are not public,
    so those that were lost stay lost; receipts that were given out still hold.
    """
    import contextlib

    from rawtrace.database import open_database
    from rawtrace.ledger.restore import restore as run

    found = logfolders.find(folder)
    with contextlib.ExitStack() as stack:
        read = public_log(source, token_file, stack) if source else logfolders.fullest_mirror(found, stack)
        database = stack.enter_context(open_database(found.database))
        count = run(database, key=found.key(), read=read, progress=output.progress())
    value = {"schema": SCHEMA, "origin": found.origin, "restored": count}
    output.emit(value, as_json=as_json, text=f"brought back {count} entries of {found.origin}")


@log.command()
@_folder_argument
@click.argument("indices", nargs=-1, metavar="INDEX...", type=click.IntRange(min=0))
@click.option("--kind", help="Erase by age: records of this kind, such as seal or file ...")
@click.option("--older-than", "days", type=click.FloatRange(min=0), metavar="DAYS", help="... added so long ago.")
@json_option
def erase(folder: Path, indices: tuple[int, ...], *, kind: str | None, days: float | None, as_json: bool) -> None:
    """Delete records and their salts for ever; the log stays valid.

    \b
    Examples:
      rawtrace log erase ./log 17
      rawtrace log erase ./log --kind file --older-than 3650

    What remains in public is a hash that nobody can lead back to anything.
    Receipts that were given out hold on, in the hands of those who have them. In
    a trust store, delivered seals whose record is erased are deleted with it.
    """
    if bool(indices) == (kind is not None) or (kind is None) != (days is None):
        msg = "name entries, or --kind together with --older-than"
        raise UsageError(msg)
    found = logfolders.find(folder)
    with found.writing(progress=output.progress()) as opened:
        if kind is not None and days is not None:
            count = opened.erase_older(kind, datetime.now(UTC) - timedelta(days=days))
        else:
            count = sum(opened.erase(index) for index in indices)
        seals = 0
        if (folder / logfolders.STORE_FILE).is_file():
            from rawtrace.server.erasure import forget_seals

            with found.opened() as database:
                seals = forget_seals(database, opened)
    value = {"schema": SCHEMA, "origin": found.origin, "erased": count, "seals_deleted": seals}
    text = f"erased {count} record{'' if count == 1 else 's'} of {found.origin}"
    text += f", and deleted {seals} delivered seal{'' if seals == 1 else 's'}" if seals else ""
    output.emit(value, as_json=as_json, text=text)


@log.command()
@_folder_argument
@json_option
def witness(folder: Path, *, as_json: bool) -> int:
    """Ask the witnesses of DIR/policy whether they know the log as it is here.

    \b
    Examples:
      rawtrace log witness ./log

    A trust store is a witness to others when store.toml says so. Exit code 20:
    one of them knows more of the log, or something else: do not sign anything
    new before that is cleared up.
    """
    from rawtrace.ledger.cosigning import PolicyCosigner
    from rawtrace.ledger.logstore import LogStore
    from rawtrace.ledger.prover import Prover

    found = logfolders.find(folder)
    with found.opened() as database:
        store = LogStore(database, found.origin)
        with database.read() as connection:
            state = store.state(connection)
        if state is None:
            msg = f"there is no log {found.origin} in {folder}"
            raise InputNotFoundError(msg)
        cosigner = PolicyCosigner(found.policy(), source=store, web=found.web())
        contradiction = ""
        asked: Sequence[Any] = ()
        try:
            asked = cosigner.ask(state.signed, prove=Prover(store, state.size, state.signed).consistency)
        except LedgerError as error:
            contradiction = error.message
        finally:
            cosigner.close()
    value = {
        "schema": SCHEMA,
        "origin": found.origin,
        "size": state.size,
        "witnesses": [{"name": one.name, "agrees": one.agrees, "said": one.sentence} for one in asked],
        "contradiction": contradiction,
    }
    lines = [f"{found.origin}: {state.size} entries"]
    lines += [f"  {one.name}: {'agrees' if one.agrees else one.sentence}" for one in asked]
    lines += [f"  {contradiction}"] if contradiction else [] if asked else ["  the policy names no witness to ask"]
    output.emit(value, as_json=as_json, text="\n".join(lines))
    return EXIT_FOUND if contradiction else 0


def _add_receipt(target: Path, receipt: bytes, origin: str) -> None:
    """Write a receipt beside those of other logs; one of the same log that is there already gives way to it."""
    from rawtrace.ledger.checkpoint import read_checkpoint
    from rawtrace.ledger.receipt import MAX_FILE, read_receipts

    if not target.exists():
        durable.write_new(target, receipt)
        return
    try:
        there = read_receipts(durable.read_bounded(target, limit=MAX_FILE))
        others = [one for one in there if read_checkpoint(one.checkpoint).origin != origin]
    except ReceiptError as error:
        msg = f"{target} is there already, and holds no receipts"
        raise AlreadyExistsError(msg) from error
    durable.replace(target, b"".join([*(one.encode() for one in others), receipt]))

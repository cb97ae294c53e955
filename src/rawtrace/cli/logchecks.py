"""``rawtrace log verify`` and ``log audit``: what anybody can check of a log, whoever keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rawtrace import durable
from rawtrace.cli import logfolders, output
from rawtrace.cli.parameters import PATH
from rawtrace.errors import ReceiptError, UsageError

if TYPE_CHECKING:
    from rawtrace.ledger.audit import Audit, RecordCheck
    from rawtrace.ledger.derive import Read
    from rawtrace.ledger.note import VerifierKey
    from rawtrace.ledger.policy import Policy
    from rawtrace.web import Web

SCHEMA = "urn:rawtrace:schema:log:1"
AUDIT_SCHEMA = "urn:rawtrace:schema:log-audit:1"
EXIT_FOUND = 20
_MAX_TOKEN_BYTES = 4_096

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
token_option = click.option("--token-file", type=PATH, help="File with a bearer token, for an address.")
_vkey_option = click.option("--vkey", metavar="KEY", help="The log's verifier key (name+id+key).")


@click.command()
@click.argument("file", metavar="FILE", type=PATH)
@click.option("--policy", "policy_file", type=PATH, help="Which logs and witnesses to believe (tlog-policy).")
@_vkey_option
@click.option("--receipt", "receipt_file", type=PATH, help="The receipts; FILE.tlog-proof if not named.")
@json_option
def verify(file: Path, *, policy_file: Path | None, vkey: str | None, receipt_file: Path | None, as_json: bool) -> int:
    """Check offline that a log holds FILE, and since when.

    \b
    Examples:
      rawtrace log verify results.csv --policy ./log/policy
      rawtrace log verify plate.ome.tiff.c2pa --vkey log.example.org/microscopy+0123abcd+AXYZ…

    The time is the witnesses': a log without them proves that a file is in it,
    and not since when. Exit code 20: the receipt does not hold, or is not FILE's.
    """
    from rawtrace.ledger.receipt import MAX_FILE, SUFFIX, check_receipt, read_receipts

    policy = _policy(policy_file, vkey)
    source = receipt_file or file.with_name(file.name + SUFFIX)
    records = logfolders.record_bytes(file)
    held: list[dict[str, Any]] = []
    problems: list[str] = []
    try:
        receipts = read_receipts(durable.read_bounded(source, limit=MAX_FILE))
    except ReceiptError as error:
        receipts = ()
        problems.append(error.message)
    for one in receipts:
        try:
            checked = check_receipt(one, policy)
            if checked.record not in records:
                msg = f"the receipt of entry {checked.index} is that of something else than {file}"
                raise ReceiptError(msg)
        except ReceiptError as error:
            problems.append(error.message)
            continue
        time_s = checked.checked.time_s
        held.append(
            {
                "origin": checked.checked.checkpoint.origin,
                "index": checked.index,
                "size": checked.checked.checkpoint.size,
                "cosigned_by": [cosignature.name for cosignature in checked.checked.cosignatures],
                "time": "" if time_s is None else _time(time_s),
            }
        )
    value = {"schema": SCHEMA, "file": str(file), "held": held, "problems": problems}
    output.emit(value, as_json=as_json, text="\n".join(_held_text(file, held, problems)))
    return 0 if held else EXIT_FOUND


@click.command()
@click.argument("where", metavar="DIR|URL")
@_vkey_option
@click.option("--older", multiple=True, type=PATH, metavar="FILE", help="A checkpoint seen before; repeatable.")
@token_option
@json_option
def audit(where: str, *, vkey: str | None, older: tuple[Path, ...], token_file: Path | None, as_json: bool) -> int:
    """Compute a whole log anew, and name what does not fit.

    \b
    Examples:
      rawtrace log audit ./log
      rawtrace log audit ./public --vkey log.example.org/microscopy+0123abcd+AXYZ… --older last-month.checkpoint
      rawtrace log audit https://store.example.org/log --token-file auditor.token

    Entries, tiles, root and signature are checked, and in a log's own folder
    each record against its entry; erased records are counted. With --older, that
    the log has not been turned back or rewritten since. Exit code 20: something
    was found.
    """
    import contextlib

    from rawtrace.ledger.audit import audit as run
    from rawtrace.ledger.audit import records_of
    from rawtrace.ledger.note import MAX_NOTE, VerifierKey
    from rawtrace.ledger.sources import read_database

    notes = [durable.read_bounded(path, limit=MAX_NOTE) for path in older]
    key = VerifierKey.parse(vkey) if vkey else None
    with contextlib.ExitStack() as stack:
        read: Read
        records: RecordCheck | None = None
        own = own_log(where)
        if own is not None:
            key = key or own.key()
            database = stack.enter_context(own.opened())
            read = stack.enter_context(read_database(database, own.origin))
            records = stack.enter_context(records_of(database, own.origin))
        else:
            read = public_log(where, token_file, stack)
        done = run(read, key=key, older=notes, records=records, progress=output.progress())
    output.emit(_audit_json(where, done), as_json=as_json, text="\n".join(_audit_text(where, done, key)))
    return 0 if done.sound else EXIT_FOUND


def own_log(where: str) -> logfolders.LogFolder | None:
    """Return the log in a folder with its database; ``None`` for an address or an exported folder."""
    folder = Path(where)
    if _is_address(where) or not any(
        (folder / name).is_file() for name in (logfolders.LOG_FILE, logfolders.STORE_FILE)
    ):
        return None
    return logfolders.find(folder)


def public_log(where: str, token_file: Path | None, stack: Any) -> Read:
    """Return the public part of a log at an address or in an exported folder; ``stack`` closes the connection."""
    from rawtrace.cli import addresses
    from rawtrace.ledger.sources import read_address, read_folder

    if not _is_address(where):
        return read_folder(Path(where))
    from rawtrace.web import Caller
    from rawtrace.web import Web as MakeWeb

    token = ""
    if token_file is not None:
        token = durable.read_bounded(token_file, limit=_MAX_TOKEN_BYTES).decode("utf-8", "replace").strip()
    url, key = addresses.split(where)
    web: Web = stack.enter_context(MakeWeb(Caller(token=token, server_key_sha256=key)))
    return read_address(url, web)


def _is_address(where: str) -> bool:
    return where.startswith(("https://", "http://"))


def _policy(policy_file: Path | None, vkey: str | None) -> Policy:
    from rawtrace.ledger.note import VerifierKey
    from rawtrace.ledger.policy import MAX_POLICY, Policy

    if (policy_file is None) == (vkey is None):
        msg = "name whom to believe: --policy FILE, or --vkey KEY"
        raise UsageError(msg)
    if policy_file is not None:
        return Policy.parse(durable.read_bounded(policy_file, limit=MAX_POLICY))
    return Policy.parse(f"log {VerifierKey.parse(vkey or '').text}\nquorum none\n")


def _held_text(file: Path, held: Sequence[dict[str, Any]], problems: Sequence[str]) -> list[str]:
    lines = []
    for one in held:
        since = f"no later than {one['time']}" if one["time"] else "since when is not proven: no witness says so"
        lines.append(f"{file}: entry {one['index']} of {one['origin']}, {since}")
        lines += [f"  cosigned by {name}" for name in one["cosigned_by"]]
    if not held:
        lines.append(f"{file}: no receipt holds")
    return lines + [f"  {problem}" for problem in problems]


def _audit_json(where: str, done: Audit) -> dict[str, Any]:
    return {
        "schema": AUDIT_SCHEMA,
        "where": where,
        "origin": done.origin,
        "size": done.size,
        "root": done.root.hex(),
        "sound": done.sound,
        "signature_checked": done.signed,
        "continues": list(done.continued),
        "records": done.records,
        "erased": done.erased,
        "faults": [
            {"kind": one.kind, "index": one.index, "where": one.where, "message": one.message} for one in done.faults
        ],
    }


def _audit_text(where: str, done: Audit, key: VerifierKey | None) -> list[str]:
    lines = [f"{where}: {'sound' if done.sound else 'not sound'}"]
    if done.origin:
        lines.append(f"  log        {done.origin}, {done.size} entries")
    lines.append(f"  signature  {'holds' if done.signed else _unsigned(key)}")
    if done.records is None:
        lines.append("  records    not at hand, so not compared")
    else:
        lines.append(f"  records    {done.records} compared, {done.erased} erased")
    lines += [f"  continues  what it was at {size} entries" for size in done.continued]
    lines += [f"  {one.kind} {one.index}: {one.message}" for one in done.faults]
    return lines


def _unsigned(key: VerifierKey | None) -> str:
    return "not checked: name the log's key with --vkey" if key is None else "does not hold"


def _time(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

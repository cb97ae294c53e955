"""``rawtrace federation``: publish whom a federation's members rely on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rawtrace import durable
from rawtrace.cli import identities, output
from rawtrace.cli.groups import Group
from rawtrace.cli.parameters import PATH
from rawtrace.errors import UsageError

if TYPE_CHECKING:
    from rawtrace.trust.federation import Status
    from rawtrace.trust.federationdraft import Draft
    from rawtrace.trust.tuflib import Key

SCHEMA = "urn:rawtrace:schema:federation-status:1"

_folder_argument = click.argument("folder", metavar="DIR", type=PATH)
_days = click.IntRange(1, 3650)


@click.group(cls=Group)
def federation() -> None:
    """Publish the lists, logs and policy that the members of a federation rely on.

    \b
    Examples:
      rawtrace federation key ./first-stick
      rawtrace federation new ./federation --name example --key ./first-stick --key second.pem --key third.pem
      rawtrace federation add ./federation --list university=./authority/trust-list.jws
      rawtrace federation sign ./federation --key ./first-stick
      rawtrace federation publish ./federation

    What readers rely on takes the signatures of several people, each with a key
    of their own that is kept off the network. A key on the server signs only
    that this is current; run `publish` every day for that.
    """


@federation.command()
@_folder_argument
@identities.key_options
@identities.json_option
def key(
    folder: Path,
    *,
    algorithm: str,
    pkcs11_module: str | None,
    pkcs11_token: str | None,
    pkcs11_pin_file: str | None,
    as_json: bool,
) -> None:
    """Make a signer's key in DIR, on a stick of their own or in a token.

    \b
    Examples:
      rawtrace federation key ./first-stick
      rawtrace federation key ./first-stick --pkcs11-module LIB --pkcs11-token LABEL --pkcs11-pin-file PIN

    Hand out DIR/public.pem, and read the digest to the others over the phone.
    """
    from rawtrace.trust import federationkeys
    from rawtrace.trust.keys import Algorithm

    token = identities.token_options(pkcs11_module, pkcs11_token, pkcs11_pin_file)
    digest = federationkeys.create_key(folder, algorithm=Algorithm(algorithm), token=token)
    public = folder / federationkeys.PUBLIC_FILE
    value = {"schema": "urn:rawtrace:schema:federation-key:1", "public": str(public), "sha256": digest}
    output.emit(value, as_json=as_json, text=f"made a key in {folder}\n  SHA-256 {digest}\n  hand out {public}")


@federation.command()
@_folder_argument
@click.option("--name", required=True, help="1 to 63 of a-z, 0-9 and -; kept for ever.")
@click.option("--key", "keys", metavar="[HOLDER=]PEM|DIR", multiple=True, required=True, help="A signer's public key.")
@click.option("--threshold", type=click.IntRange(1, 64), help="How many must sign; more than half if not said.")
@click.option("--url", default="", help="Where DIR/public will be served.")
@click.option("--root-days", type=_days, default=365, show_default=True, help="How long a root is good for.")
@click.option("--files-days", type=_days, default=180, show_default=True, help="How long signed files are good for.")
@click.option("--time-days", type=_days, default=7, show_default=True, help="How long a time stamp is good for.")
@identities.json_option
def new(
    folder: Path,
    *,
    name: str,
    keys: tuple[str, ...],
    threshold: int | None,
    url: str,
    root_days: int,
    files_days: int,
    time_days: int,
    as_json: bool,
) -> None:
    """Make a federation in DIR, with the draft of its first root.

    \b
    Examples:
      rawtrace federation new ./federation --name example \\
          --key Chair=chair.pem --key Secretary=secretary.pem --key Treasurer=treasurer.pem

    Nothing is published before enough signers have signed the draft.
    """
    from rawtrace.trust import federation as federations

    status = federations.create(
        folder,
        name=name,
        offline=[_public(text) for text in keys],
        threshold=threshold or len(keys) // 2 + 1,
        url=url,
        root_days=root_days,
        targets_days=files_days,
        timestamp_days=time_days,
    )
    _show(status, as_json=as_json, done=f"made {folder}")


@federation.command()
@_folder_argument
@click.option("--list", "lists", metavar="NAME=FILE", multiple=True, help="The signed trust list of a member.")
@click.option("--log-policy", metavar="FILE", type=PATH, help="Which logs and witnesses count (tlog-policy).")
@click.option("--policy", metavar="FILE", type=PATH, help="How findings are weighed, for whoever asks for it.")
@click.option("--remove", metavar="FILE", multiple=True, help="Withdraw a file, such as lists/NAME.jws.")
@click.option("--minimum-version", metavar="VERSION", help="Readers with an older rawtrace refuse the federation.")
@click.option("--store", "stores", metavar="URL[=KEY]", multiple=True, help="Trust stores; all of them, each time.")
@click.option("--resolver", "resolvers", metavar="URL[=KEY]", multiple=True, help="Resolver sites; all, each time.")
@identities.json_option
def add(
    folder: Path,
    *,
    lists: tuple[str, ...],
    log_policy: Path | None,
    policy: Path | None,
    remove: tuple[str, ...],
    minimum_version: str | None,
    stores: tuple[str, ...],
    resolvers: tuple[str, ...],
    as_json: bool,
) -> None:
    """Draft what is published: lists, logs, policy, servers. With no option: the same, good for longer.

    \b
    Examples:
      rawtrace federation add ./federation --list university=./authority/trust-list.jws
      rawtrace federation add ./federation --log-policy policy.txt --minimum-version 0.2
      rawtrace federation add ./federation --store https://trust.example.org=SHA256
      rawtrace federation add ./federation

    KEY is the SHA-256 of the server's public key, where no public authority certifies it.
    """
    from rawtrace.trust import federation as federations
    from rawtrace.trust import federationfiles, trustlist

    files: dict[str, bytes] = {}
    for text in lists:
        name, _, path = text.partition("=")
        if not name or not path:
            msg = f"{text!r} is not NAME=FILE"
            raise UsageError(msg)
        files[federationfiles.list_path(name)] = _read(Path(path), trustlist.MAX_SIGNED_BYTES)
    if policy is not None:
        from rawtrace.verification.policy import read_policy

        # Who joins could not use it, and would learn that late.
        read_policy(policy)
    for path_named, target in ((log_policy, federationfiles.LOG_POLICY_FILE), (policy, federationfiles.POLICY_FILE)):
        if path_named is not None:
            files[target] = _read(path_named, federationfiles.MAX_POLICY_BYTES)
    description: dict[str, Any] = {}
    if minimum_version is not None:
        description["minimum_client_version"] = minimum_version
    if stores:
        description["stores"] = tuple(federationfiles.read_server(text) for text in stores)
    if resolvers:
        description["resolver_roots"] = tuple(federationfiles.read_server(text) for text in resolvers)
    status = federations.add(folder, files=files, remove=remove, description=description)
    _show(status, as_json=as_json, done="drafted")


@federation.command()
@click.argument("place", metavar="DIR|DRAFT", type=PATH)
@click.option("--key", "key_folder", metavar="DIR", type=PATH, help="Folder of the signer's key.")
@click.option("--from", "carried", metavar="DRAFT", type=PATH, help="Take over signatures of a draft brought back.")
@identities.json_option
def sign(place: Path, *, key_folder: Path | None, carried: Path | None, as_json: bool) -> None:
    """Sign the draft with one key. Look at `rawtrace federation status DIR` first: it says what you sign.

    \b
    Examples:
      rawtrace federation sign ./federation --key ./first-stick
      rawtrace federation sign /media/stick/draft.json --key /media/stick/key
      rawtrace federation sign ./federation --from /media/stick/draft.json

    The draft, DIR/draft.json, may be carried to a computer without a network,
    signed there, and brought back.
    """
    from rawtrace.trust import federation as federations
    from rawtrace.trust.keys import open_in_folder

    if (key_folder is None) == (carried is None):
        msg = "sign takes --key DIR, or --from DRAFT"
        raise UsageError(msg)
    if key_folder is not None:
        draft = federations.sign(place, open_in_folder(key_folder))
    else:
        draft = federations.merge(place, carried or place)
    value = {"schema": SCHEMA, "signatures": _signatures_json(draft)}
    output.emit(value, as_json=as_json, text="\n".join(["signed", *_signatures_text(draft)]))


@federation.command()
@_folder_argument
@identities.json_option
def publish(folder: Path, *, as_json: bool) -> None:
    """Publish the draft if it is signed; in any case sign a new time stamp. Run it every day.

    \b
    Examples:
      rawtrace federation publish ./federation

    Readers see the state before or after, nothing between.
    """
    from rawtrace.trust import federation as federations
    from rawtrace.trust import federationpublish

    federationpublish.publish(folder)
    _show(federations.status(folder), as_json=as_json, done=f"published in {folder / 'public'}")


@federation.command()
@_folder_argument
@click.option("--add-key", "added", metavar="[HOLDER=]PEM|DIR", multiple=True, help="A new signer's public key.")
@click.option("--remove-key", "removed", metavar="SHA256", multiple=True, help="A key that is lost or stolen.")
@click.option("--threshold", type=click.IntRange(1, 64), help="How many must sign from now on.")
@click.option("--new-online-key", is_flag=True, help="Also replace the key on the server.")
@identities.json_option
def rotate(
    folder: Path,
    *,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    threshold: int | None,
    new_online_key: bool,
    as_json: bool,
) -> None:
    """Draft the next root: other keys, another threshold. With no option: the same, good for longer.

    \b
    Examples:
      rawtrace federation rotate ./federation --remove-key 0123456789abcdef --add-key Chair=new-chair.pem
      rawtrace federation rotate ./federation --new-online-key
      rawtrace federation rotate ./federation

    It takes as many signatures of the old keys as of the new ones, so that
    readers can follow. A lost key is removed by the others.
    """
    from rawtrace.trust import federation as federations

    status = federations.rotate(
        folder,
        add_keys=[_public(text) for text in added],
        remove_keys=removed,
        threshold=threshold,
        new_online_key=new_online_key,
    )
    _show(status, as_json=as_json, done="drafted")


@federation.command()
@_folder_argument
@identities.json_option
def status(folder: Path, *, as_json: bool) -> int:
    """Show what is published, what is drafted and by whom it is signed, and what runs out when.

    \b
    Examples:
      rawtrace federation status ./federation

    The exit code is 1 where something has to be renewed soon.
    """
    from rawtrace.trust import federation as federations

    found = federations.status(folder)
    _show(found, as_json=as_json, done="")
    return int(bool(found.warnings))


def _public(text: str) -> Key:
    from rawtrace.trust import federationkeys

    holder, equals, path = text.partition("=")
    if not equals or Path(text).exists():
        return federationkeys.read_public(Path(text))
    return federationkeys.read_public(Path(path), holder=holder)


def _read(path: Path, limit: int) -> bytes:
    return durable.read_bounded(path, limit=limit)


def _show(found: Status, *, as_json: bool, done: str) -> None:
    from rawtrace.trust import federationdraft, tufclient

    changes = federationdraft.changes(found.draft, found.published.files) if found.draft else ()
    root = tufclient.read_root(found.published.roots[-1], what="the root") if found.published.roots else None
    drafted = _drafted_root(found.draft)
    value = {
        "schema": SCHEMA,
        "name": found.name,
        "url": found.url,
        "root": root.facts() if root else None,
        "files": sorted(found.published.files),
        "expires": {role: expires.isoformat() for role, expires in found.expiries.items()},
        "draft": {"root": drafted.facts() if drafted else None, "changes": list(changes),
                  "signatures": _signatures_json(found.draft)} if found.draft else None,
        "warnings": list(found.warnings),
    }  # fmt: skip
    lines = [done] if done else []
    lines.append(f"federation {found.name}{f', {found.url}' if found.url else ''}")
    if root is None:
        lines.append("  nothing published yet")
    else:
        lines.append(f"  published root {root.version}: {root.threshold} of {len(root.keys)} keys must sign")
        lines += [f"    {digest}{f'  {holder}' if holder else ''}" for digest, holder in root.keys]
        lines += [f"  file      {name}" for name in sorted(found.published.files)]
        said = {"timestamp": "time stamp", "targets": "list of files"}
        lines += [f"  {said.get(role, role):<13} good to {at:%Y-%m-%d}" for role, at in found.expiries.items()]
    if found.draft is not None:
        lines.append("draft, not published yet")
        if drafted is not None:
            lines.append(f"  root {drafted.version}: {drafted.threshold} of {len(drafted.keys)} keys must sign")
            lines += [f"    {digest}{f'  {holder}' if holder else ''}" for digest, holder in drafted.keys]
        lines += [f"  {one}" for one in changes]
        lines += _signatures_text(found.draft)
    lines += [f"attention: {one}" for one in found.warnings]
    output.emit(value, as_json=as_json, text="\n".join(lines))


def _drafted_root(draft: Draft | None) -> Any:
    from rawtrace.trust import federationdraft, federationkeys

    return federationkeys.root_facts(federationdraft.parse(draft.root).signed) if draft and draft.root else None


def _signatures_json(draft: Draft | None) -> list[dict[str, Any]]:
    from rawtrace.trust import federationdraft

    return [
        {
            "part": one.part,
            "by": one.by,
            "threshold": one.threshold,
            "missing": one.missing,
            "signed": [{"sha256": digest, "holder": holder} for digest, holder in one.signed],
            "unsigned": [{"sha256": digest, "holder": holder} for digest, holder in one.unsigned],
        }
        for one in (federationdraft.signatures(draft) if draft else ())
    ]


def _signatures_text(draft: Draft) -> list[str]:
    from rawtrace.trust import federationdraft

    lines = []
    for one in federationdraft.signatures(draft):
        lacks = f"{one.missing} more needed" if one.missing else "enough"
        lines.append(f"  {one.part:<8} {len(one.signed)} of {one.threshold} signatures by {one.by}: {lacks}")
        lines += [f"    signed    {digest[:16]}…{f'  {holder}' if holder else ''}" for digest, holder in one.signed]
        if one.missing:
            lines += [
                f"    may sign  {digest[:16]}…{f'  {holder}' if holder else ''}" for digest, holder in one.unsigned
            ]
    return lines

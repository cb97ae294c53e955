"""Folders that hold somebody's key are no data: neither they nor what lies in them is sealed by mistake."""

from __future__ import annotations

from pathlib import Path

from rawtrace.errors import UnsealableError
from rawtrace.trust.keys import KEY_FILE, KEY_POINTER
from rawtrace.trust.signer import CERTIFICATE_FILE

_HINT = "name the data itself, and keep keys away from it"


def refuse_key_folder(path: Path) -> None:
    """Refuse the folder of an identity or an authority, and the files in it.

    Raises
    ------
    UnsealableError
    """
    folder = path if path.is_dir() else path.parent
    for one, whose in ((folder, "an identity"), (folder / "issuing", "an authority")):
        if _holds_key(one):
            msg = f"{folder} holds the key of {whose}, so {'it' if folder == path else path.name} is not sealed as data"
            raise UnsealableError(msg, hint=_HINT)


def _holds_key(folder: Path) -> bool:
    # One name alone could be anybody's: a list of keys on a plate, a door's.
    return _is_file(folder / KEY_POINTER) and (_is_file(folder / KEY_FILE) or _is_file(folder / CERTIFICATE_FILE))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False

"""Where an agent's own things may lie: never where the people at the instrument can write.

Whoever can write to the watched folder could otherwise swap the key, rewrite
what the agent remembers, or have the key's folder sealed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rawtrace.errors import UsageError


def check_places(root: Path, *, identity: Path, own: Mapping[str, Path]) -> None:
    """Refuse a watched folder that holds what is the agent's own, or that lies in the identity's folder.

    Parameters
    ----------
    root : Path
        The watched folder.
    identity : Path
        The folder of the instrument's identity.
    own : Mapping[str, Path]
        Other files of the agent, by the option that moves them elsewhere.

    Raises
    ------
    UsageError
    """
    watched, key = _real(root), _real(identity)
    if _is_within(key, watched):
        msg = f"the identity {identity} lies in the watched folder {root}, where others write: they could swap its key"
        raise UsageError(msg, hint="keep the identity in a folder that only the agent's account can enter")
    if _is_within(watched, key):
        msg = f"the watched folder {root} lies in the folder of the identity {identity}, which nobody else may enter"
        raise UsageError(msg, hint="keep data and identity apart")
    for option, path in own.items():
        if _is_within(_real(path), watched):
            msg = f"{path} would lie in the watched folder {root}, where others write; expected one of its own"
            raise UsageError(msg, hint=f"name another one with {option}")


def _real(path: Path) -> Path:
    return Path(os.path.normcase(os.path.realpath(path)))


def _is_within(path: Path, folder: Path) -> bool:
    if folder == path or folder in path.parents:
        return True
    # Two names of one folder: a mount, or a file system that does not tell capitals apart.
    for one in (path, *path.parents):
        try:
            if one.samefile(folder):
                return True
        except OSError:
            continue
    return False

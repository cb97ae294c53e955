"""Which PKCS#11 libraries may be loaded: installed ones, and those that this account has named itself.

``key.json`` names a library, and loading a library runs its code. An identity's
folder may come from a stranger, so what it names counts for nothing by itself.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from rawtrace import config, durable
from rawtrace.errors import KeyUnavailableError, from_os_error

ACCEPTED_FILE = "pkcs11-modules.txt"
_MAX_BYTES = 65_536
_INSTALLED = (
    ("C:/Windows/System32", "C:/Program Files", "C:/Program Files (x86)")
    if sys.platform == "win32"
    else ("/usr", "/lib", "/lib64", "/opt", "/Library", "/System", "/nix/store", "/gnu/store")
)


def accept_module(module: Path) -> None:
    """Remember a library that this account named on the command line, unless it is an installed one."""
    if _is_installed(module) or str(module) in _accepted():
        return
    target = config.config_folder() / ACCEPTED_FILE
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, f"writing {target}") from error
    durable.replace(target, "".join(f"{one}\n" for one in (*sorted(_accepted()), str(module))).encode(), mode=0o600)


def check_module(module: Path, *, named: bool = False) -> None:
    """Raise ``KeyUnavailableError`` for a library that may not be loaded.

    Parameters
    ----------
    module : Path
    named : bool
        Whether the person at the command line named it just now, who then vouches for it.
    """
    if not module.is_file():
        msg = f"there is no PKCS#11 module at {module}"
        raise KeyUnavailableError(msg, hint="the token's maker says where its library is; for SoftHSM: libsofthsm2.so")
    if os.name != "nt":
        status = module.stat()
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or status.st_uid not in (0, os.geteuid()):
            msg = f"the PKCS#11 module {module} can be changed by other accounts, so it is not loaded"
            raise KeyUnavailableError(msg, hint="have the administrator install it")
    if not named and not _is_installed(module) and str(module) not in _accepted():
        msg = f"the PKCS#11 module {module} is neither installed nor one that this account has named; it is not loaded"
        hint = f"if you know it and trust it, add its path as a line to {config.config_folder() / ACCEPTED_FILE}"
        raise KeyUnavailableError(msg, hint=hint)


def _is_installed(module: Path) -> bool:
    real = module.resolve()
    return any(real.is_relative_to(Path(place).resolve()) for place in _INSTALLED)


def _accepted() -> frozenset[str]:
    try:
        with (config.config_folder() / ACCEPTED_FILE).open("rb") as stream:
            text = stream.read(_MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return frozenset()
    return frozenset(text.splitlines())

"""Where rawtrace keeps its own settings, and the one environment variable that moves them."""

from __future__ import annotations

import os
from pathlib import Path

CONFIG_VARIABLE = "RAWTRACE_CONFIG_DIR"


def config_folder() -> Path:
    """Return the folder of rawtrace's own settings; it need not exist yet.

    ``RAWTRACE_CONFIG_DIR`` where it is set, else the platform's usual place.
    """
    chosen = os.environ.get(CONFIG_VARIABLE)
    if chosen:
        return Path(chosen)
    from platformdirs import user_config_dir

    return Path(user_config_dir("rawtrace", appauthor=False))


def trust_folder() -> Path:
    """Return the folder of the trust lists that ``rawtrace trust add`` accepted."""
    return config_folder() / "trust"

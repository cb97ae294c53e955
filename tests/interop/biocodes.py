"""Run by iscc-bio's own interpreter: for each path its codes of file, scenes and planes, as one line of JSON."""

from __future__ import annotations

import json
import os
import sys

from iscc_bio.api import biocode
from loguru import logger

logger.remove()
for path in sys.argv[1:]:
    try:
        found = biocode(path, simprints=True)
    except Exception as error:  # noqa: BLE001  whatever it is, the test shows it
        found = {"error": f"{type(error).__name__}: {error}"}
    os.write(1, json.dumps(found).encode() + b"\n")

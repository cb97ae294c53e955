"""Lets the tests of this folder import ``samples`` beside them under importlib mode."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

"""Makes the files of the conformance cases; ``forge.py`` is its command."""

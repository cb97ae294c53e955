"""Sphinx settings: no network, warnings are errors (`make docs`)."""

from __future__ import annotations

from importlib.metadata import version as installed

project = "rawtrace"
author = "The rawtrace developers"
copyright = "The rawtrace developers, CC BY 4.0"
release = version = installed("rawtrace")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings: list[str] = []
nitpicky = True
# Types of other projects cannot be looked up without the network.
nitpick_ignore_regex = [("py:.*", ".*")]

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = False

html_theme = "furo"
html_title = "rawtrace"
html_show_sphinx = False
html_copy_source = False

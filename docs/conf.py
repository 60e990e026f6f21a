"""Sphinx configuration: ``make docs`` builds the site with warnings as errors."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))
os.environ.setdefault("MOFONON_THREADS", "1")

import mofonon  # noqa: E402 - the path of the extensions comes first

project = "mofonon"
author = "the mofonon developers"
copyright = "2026, the mofonon developers"  # noqa: A001 - Sphinx's name
release = mofonon.__version__
version = os.environ.get("MOFONON_DOCS_VERSION", release)  # the tag, when built for one

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "command_tables",
    "error_messages",
    "field_tables",
    "flow_graphs",
]

html_theme = "furo"
html_title = f"mofonon {version}"
exclude_patterns = ["_build", "examples"]
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

# The tutorial runs when the site is built; a cell that fails, fails the build.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "notebooks")
nb_execution_raise_on_error = True
nb_execution_timeout = 900
nb_merge_streams = True

napoleon_google_docstring = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"

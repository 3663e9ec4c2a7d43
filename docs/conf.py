"""Sphinx configuration. Build with `sphinx-build -W --keep-going -b html docs docs/_build/html`."""

import sys
from importlib.metadata import version as distribution_version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "geoembz"
author = "The geoembz developers"
version = release = distribution_version("geoembz")
html_title = f"geoembz {version}"

extensions = [
    "generated_pages",  # before autosummary, whose pages it clears
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
templates_path = ["_templates"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autosummary_imported_members = False
autodoc_typehints = "signature"
autodoc_type_aliases = {"NDArray": "numpy.typing.NDArray"}
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
numpydoc_show_class_members = False
numpydoc_validation_checks: set[str] = set()

html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "show_prev_next": False,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {page: [] for page in ("tutorial", "format", "contributing")}  # no pages below
html_show_sourcelink = False
project_copyright = author

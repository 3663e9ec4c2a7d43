"""Sphinx configuration. Build with `sphinx-build -W --keep-going -b html docs docs/_build/html`."""

import os
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
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "checked_links",
]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb"}  # autosummary writes the first
exclude_patterns = ["_build"]
templates_path = ["_templates"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
default_role = "py:obj"  # names in single backticks of docstrings lead to their pages

# Notebooks run when they have changed, in a folder of their own; what fails there fails the build.
nb_execution_mode = "cache"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_show_tb = True
nb_merge_streams = True

# Inventories of other projects come from the network: only where asked for, a build needs none.
INVENTORIES = {
    "python": "https://docs.python.org/3",
    "numpy": "https://numpy.org/doc/stable",
    "xarray": "https://docs.xarray.dev/en/stable",
    "zarr": "https://zarr.readthedocs.io/en/stable",
    "dask": "https://docs.dask.org/en/stable",
    "rasterio": "https://rasterio.readthedocs.io/en/stable",
}
if os.environ.get("GEOEMBZ_INTERSPHINX"):
    intersphinx_mapping = {name: (url, None) for name, url in INVENTORIES.items()}

copybutton_exclude = ".linenos, .gp, .go"  # prompts and what a command answers
copybutton_selector = "div:not(.cell_output) > div.highlight > pre"

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
    "header_links_before_dropdown": 6,
    "show_prev_next": False,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_static_path = ["_static"]
html_css_files = ["geoembz.css"]
html_sidebars = {page: [] for page in ("index", "glossary", "contributing")}  # no pages below
html_show_sourcelink = False
html_domain_indices = False  # of one module
project_copyright = author

"""geoembz: compress Earth embeddings into cloud-native Zarr stores that any Zarr reader opens.

The names below are loaded when they are first used, so that ``import geoembz`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from geoembz._version import __version__

if TYPE_CHECKING:
    from geoembz import demo
    from geoembz.assess import Evaluation, Plan, evaluate, plan
    from geoembz.conversion import ConvertSummary, append, convert
    from geoembz.encoding import Encoding, Recipe
    from geoembz.errors import GeoembzError
    from geoembz.folding import FoldedModel, fold
    from geoembz.searching import SearchResult, search
    from geoembz.verification import verify
    from geoembz.xarray_backend import open_store as open  # noqa: A004 - geoembz.open is the API

__all__ = [
    "ConvertSummary",
    "Encoding",
    "Evaluation",
    "FoldedModel",
    "GeoembzError",
    "Plan",
    "Recipe",
    "SearchResult",
    "__version__",
    "append",
    "convert",
    "demo",
    "evaluate",
    "fold",
    "open",
    "plan",
    "search",
    "verify",
]

_HOMES = {
    "ConvertSummary": ("geoembz.conversion", "ConvertSummary"),
    "Encoding": ("geoembz.encoding", "Encoding"),
    "Evaluation": ("geoembz.assess", "Evaluation"),
    "GeoembzError": ("geoembz.errors", "GeoembzError"),
    "Plan": ("geoembz.assess", "Plan"),
    "Recipe": ("geoembz.encoding", "Recipe"),
    "append": ("geoembz.conversion", "append"),
    "convert": ("geoembz.conversion", "convert"),
    "evaluate": ("geoembz.assess", "evaluate"),
    "FoldedModel": ("geoembz.folding", "FoldedModel"),
    "SearchResult": ("geoembz.searching", "SearchResult"),
    "fold": ("geoembz.folding", "fold"),
    "search": ("geoembz.searching", "search"),
    "open": ("geoembz.xarray_backend", "open_store"),
    "plan": ("geoembz.assess", "plan"),
    "verify": ("geoembz.verification", "verify"),
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name == "demo":
        return import_module("geoembz.demo")
    if name not in _HOMES:
        raise AttributeError(f"module 'geoembz' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)

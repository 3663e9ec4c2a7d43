"""geoembz: compress Earth embeddings into cloud-native Zarr stores that any Zarr reader opens.

The names below are loaded when they are first used, so that ``import geoembz`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from geoembz._version import __version__

if TYPE_CHECKING:
    from geoembz import _demo as demo
    from geoembz._convert import ConvertSummary, append, convert
    from geoembz._evaluate import Evaluation, Plan, evaluate, plan
    from geoembz._search import SearchResult, search
    from geoembz._search.predict import FoldedModel, fold
    from geoembz._verify import verify
    from geoembz._xarray.backend import open_store as open  # noqa: A004 - geoembz.open is the API
    from geoembz.encoding import Encoding, Recipe
    from geoembz.errors import GeoembzError

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
    "ConvertSummary": ("geoembz._convert", "ConvertSummary"),
    "Encoding": ("geoembz.encoding", "Encoding"),
    "Evaluation": ("geoembz._evaluate", "Evaluation"),
    "GeoembzError": ("geoembz.errors", "GeoembzError"),
    "Plan": ("geoembz._evaluate", "Plan"),
    "Recipe": ("geoembz.encoding", "Recipe"),
    "append": ("geoembz._convert", "append"),
    "convert": ("geoembz._convert", "convert"),
    "evaluate": ("geoembz._evaluate", "evaluate"),
    "FoldedModel": ("geoembz._search.predict", "FoldedModel"),
    "SearchResult": ("geoembz._search", "SearchResult"),
    "fold": ("geoembz._search.predict", "fold"),
    "search": ("geoembz._search", "search"),
    "open": ("geoembz._xarray.backend", "open_store"),
    "plan": ("geoembz._evaluate", "plan"),
    "verify": ("geoembz._verify", "verify"),
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name == "demo":
        return import_module("geoembz._demo")
    if name not in _HOMES:
        raise AttributeError(f"module 'geoembz' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)

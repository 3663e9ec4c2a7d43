"""The viewer: a page that shows a store in the browser, and what serves it.

The page is written in TypeScript (``src/``) and bundled into ``dist/`` by ``npm run build``; wheels
carry the bundle, clones build it.
"""

from geoembz._view.bundle import built_page
from geoembz._view.run import Viewer, view

__all__ = ["Viewer", "built_page", "view"]

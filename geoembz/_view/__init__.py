"""The viewer: a page that shows a store in the browser, and what serves it.

The page is written in TypeScript (``src/``) and bundled into ``dist/`` by ``npm run build``; wheels
carry the bundle, clones build it.
"""

"""``python -m geoembz``."""

from geoembz.cli import main

main()

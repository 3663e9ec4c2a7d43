"""``python -m geoembz``."""

from geoembz.cli import main

if __name__ == "__main__":
    main()

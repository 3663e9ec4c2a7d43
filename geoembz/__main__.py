"""``python -m geoembz``."""

from geoembz._cli import main

if __name__ == "__main__":
    main()

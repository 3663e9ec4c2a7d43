"""Write what a coverage badge shows: ``python .ci/coverage_badge.py SLIPCOVER.json BADGE.json``.

The badge is in the form of shields.io's endpoint: a label, a message, a colour.
"""

import json
import sys
from pathlib import Path
from typing import Any

_COLOURS = ((95, "brightgreen"), (90, "green"), (80, "yellow"), (0, "red"))


def badge(reached: dict[str, Any]) -> dict[str, Any]:
    """Return the badge of what SlipCover found."""
    percent = float(reached["summary"]["percent_covered"])
    colour = next(colour for least, colour in _COLOURS if percent >= least)
    message = f"{percent:.0f}%"
    return {"schemaVersion": 1, "label": "coverage", "message": message, "color": colour}


def main(source: str, destination: str) -> None:
    """Read the one file, write the other."""
    reached = json.loads(Path(source).read_text("utf-8"))
    text = json.dumps(badge(reached), indent=1) + "\n"
    Path(destination).write_text(text, "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

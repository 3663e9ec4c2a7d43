"""Remember the results of a long run in a file, so that it can go on after an interruption."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class Memo:
    """Results by name, written after each one; those of other settings are not used.

    Parameters
    ----------
    path
        File of the results, which `discard` removes.
    settings
        What the results depend on, as JSON.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, json.loads(json.dumps(settings))
        self._found: dict[str, Any] = {}
        if path.exists():
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["settings"] == self.settings:
                self._found = document["found"]

    def get(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return the result of `compute`, a JSON value, from the file if it is there."""
        if name not in self._found:
            started = time.perf_counter()
            self._found[name] = compute()
            document = {"settings": self.settings, "found": self._found}
            partial = self.path.with_suffix(".tmp")
            partial.write_text(json.dumps(document), encoding="utf-8")
            partial.replace(self.path)
            print(f"{time.perf_counter() - started:6.1f} s  {name}", flush=True)
        return self._found[name]

    def discard(self) -> None:
        """Forget everything."""
        self.path.unlink(missing_ok=True)

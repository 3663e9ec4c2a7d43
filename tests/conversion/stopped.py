"""A conversion that stops itself (SIGSTOP, as a starved container does) or ends where it is told.

Run as ``python -m tests.conversion.stopped SIGNAL PLACE NUMBER RASTER STORE [OPTION=JSON …]``: at
the NUMBER-th call of PLACE, which is one of `PLACES`, it sends itself SIGNAL.
"""

import importlib
import json
import os
import signal
import sys
from typing import Any

import geoembz

OPTIONS: dict[str, Any] = {"chunk": 8, "shard": 8, "pca": 5, "workers": 1}
SHARDS = 7 * 6  # of the scene in tests.conversion.conftest

PLACES = {
    "fit": "geoembz._convert.raster_conversion:RasterConversion.fit_encoding",
    "plan": "geoembz.store.journal:Journal.start",
    "shard": "geoembz.store.writer:StoreWriter.write_shard",
    "object": "geoembz.store.writer:_LocalStore.set_sync",
    "copy": "geoembz._objects.tree:ObjectTree.copy",
    "record": "geoembz.store.journal:Journal.record",
    "root": "geoembz.store.writer:StoreWriter.finish",
    "complete": "geoembz.store.journal:Journal.complete",
    "place": "geoembz._convert.site:place_inside",
    "swap": "geoembz._convert.site:swap",
    "clear": "geoembz._convert.site:discard",
    "release": "geoembz.store.lock:DestinationLock.release",
    "rename": "pathlib:Path.rename",
    "unlink": "os:unlink",
    "replace": "pathlib:Path.replace",
    "fallback": "geoembz._convert.placing:exchange",
    "forget": "geoembz.store.journal:Journal.forget",
}
"""Functions that are about to be entered."""


def stop_at(place: str, number: int, number_of_signal: int) -> None:
    """Make a function send this process a signal as its `number`-th call begins."""
    module, _, names = PLACES[place].partition(":")
    owner: Any = importlib.import_module(module)
    *above, name = names.split(".")
    for part in above:
        owner = getattr(owner, part)
    function = getattr(owner, name)
    calls = 0

    def stopping(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if place == "fallback":  # as where the system cannot exchange
            stop_at("rename", number, number_of_signal)
            return False
        if calls == number:
            os.kill(os.getpid(), number_of_signal)
        return function(*arguments, **options)

    setattr(owner, name, stopping)


def main() -> None:
    """Convert, and be stopped on the way."""
    name, place, number, raster, store, *words = sys.argv[1:]
    if place != "never":
        stop_at(place, int(number), signal.Signals[name])
    given = {key: json.loads(value) for key, _, value in (word.partition("=") for word in words)}
    if given.pop("appends", False):
        geoembz.append(store, raster, workers=1, **given)
    elif given.pop("updates", False):
        geoembz.update(store, raster, workers=1, **given)
    else:
        geoembz.convert(raster, store, **{**OPTIONS, **given})


if __name__ == "__main__":
    main()

"""Take the pictures of the viewer: ``python docs/pictures/view.py`` (Node.js, npm, Chromium).

The demo's scene on a large screen and on a phone, light and dark; and maps made of it.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import geoembz

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
DRIVER = REPOSITORY / "tests" / "view" / "browser.mjs"
PACKAGES = REPOSITORY / "geoembz" / "_view" / "package.json"
SIZE = 512
MEADOW = (10.33294, 46.92683)

FOUND = {"wait": "return document.querySelectorAll('#best li').length === 10"}
IDLE = {"wait": "return document.getElementById('busy').hidden"}
CALM = {"evaluate": "await new Promise((done) => setTimeout(done, 1500))"}
READY = {"evaluate": "await geoembz.ready"}
FIELDS, WOODS, MEADOWS = (
    [[150, 330], [480, 400]],
    [[330, 150], [240, 190]],
    [[282, 500], [604, 455]],
)


def main() -> None:
    """Make the scene, serve it, and take each picture."""
    with tempfile.TemporaryDirectory() as folder:
        scene = geoembz.write_demo(Path(folder), size=SIZE).embedding
        store = Path(folder, "demo.zarr")
        geoembz.convert(scene, store, pca=64, overviews=True)
        with geoembz.view(store, browser=False) as viewer:
            named = {"evaluate": "document.getElementById('name').textContent = 'demo.zarr'"}
            start = [READY, named]
            take(viewer.url, "view-similar.jpg", [*start, *similar([470, 400])])
            take(viewer.url, "view-classes.jpg", [*start, *classes()], colours="dark")
            take_maps(Path(folder), store)
            phone = {"viewport": {"width": 390, "height": 780}, "touch": True}
            take(viewer.url, "view-phone.jpg", [*start, *similar([200, 190])], **phone)


def take_maps(folder: Path, store: Path) -> None:
    """Take a picture of a map of classes, and one of what is like a meadow, over their store."""
    classes, like = folder / "classes.tif", folder / "like.zarr"
    geoembz.map_classify(store, classes, labels=folder / "labels.tif")
    geoembz.map_similar(store, like, like=[MEADOW])
    named = {"evaluate": "document.getElementById('name').textContent = 'demo.zarr'"}
    with geoembz.view(store, [classes, like], browser=False) as viewer:
        steps = [READY, named, IDLE, CALM, {"point": [420, 250]}, CALM]
        take(viewer.url, "view-maps.jpg", steps)


def similar(place: list[int]) -> list[dict[str, Any]]:
    """Return the steps that ask for what is like a place on the screen."""
    return [{"click": place}, FOUND, IDLE, CALM]


def classes() -> list[dict[str, Any]]:
    """Return the steps that label three classes and map them."""
    steps: list[dict[str, Any]] = []
    for name, places in (("field", FIELDS), ("wood", WOODS), ("meadow", MEADOWS)):
        steps += [{"fill": ["#class-name", name]}, {"push": "#add-class"}]
        for count, place in enumerate(places, start=1):
            text = f"document.getElementById('classes').textContent.includes('{name} ({count})')"
            steps += [{"click": place}, {"wait": f"return {text}"}]
    return [*steps, {"push": "#train"}, CALM, IDLE, CALM]


def take(url: str, name: str, steps: list[dict[str, Any]], **options: Any) -> None:
    """Take the steps in a browser, then a picture."""
    steps = [*steps, {"screenshot": str(HERE / name)}]
    chromium = shutil.which("chromium")
    job = {"url": url, "steps": steps, "chromium": chromium, "packages": str(PACKAGES), **options}
    subprocess.run(["node", str(DRIVER)], input=json.dumps(job), text=True, check=True)


if __name__ == "__main__":
    main()

"""JSON, lists and features that others wrote are read or refused in words, whatever they hold."""

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

import geoembz
from geoembz._cli import main
from geoembz._geo.geojson import features_of, read_geojson
from geoembz._objects.tree import ObjectTree
from geoembz._util.bounded_json import parse_json, parse_object
from geoembz.errors import DestinationExistsError, GeoembzError, InvalidConfigError, SourceError
from geoembz.sources.features import read_features
from geoembz.sources.inputs import expand
from geoembz.store.journal import LOCK
from geoembz.store.lock import DestinationLock
from tests import products

POINT = {"type": "Point", "coordinates": [11.0, 48.0]}
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}

BAD_JSON = [
    b"", b"{", b"[NaN]", b"[-Infinity]", b"[1e999]", b"9" * 5000, b"[" * 200_000,
    b'{"a":' * 200_000, b"[" * 102 + b"]" * 102, b'"\\ud800"', b"\xff\xfe\xfd", b"\x00",
    b'{"a":1}{', b"nul",
]  # fmt: skip


@pytest.mark.parametrize("content", BAD_JSON, ids=lambda content: repr(content[:12]))
def test_json_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidConfigError, match=r"a\.json: not JSON .*; expected a letter"):
        parse_json(content, "a.json", error=InvalidConfigError, expected="a letter")


def test_json_is_bounded_in_bytes() -> None:
    assert parse_json(b'"123"', "x", most_bytes=5) == "123"
    with pytest.raises(SourceError, match="more than 4 bytes"):
        parse_json(b'"123"', "x", most_bytes=4)


def test_numbers_of_json_fit_into_64_bits() -> None:
    """Larger integers become floats, as in most readers; the others stay exact."""
    came = parse_json(f"[{2**64}, {2**64 - 1}, {-(2**63)}, {-(2**63) - 1}, 1e308]", "x")
    assert [type(value) for value in came] == [float, int, int, float, float]
    assert came[:2] == [2.0**64, 2**64 - 1]


def test_other_values_than_objects_are_refused() -> None:
    with pytest.raises(SourceError, match="JSON of type list; expected a JSON object"):
        parse_object(b"[]", "x")


def owner(**changed: Any) -> bytes:
    """Return a lock of another host that was renewed just now."""
    known = {"host": "another", "pid": 1, "time": time.time(), "token": "t"}
    return json.dumps({**known, **changed}).encode()


BROKEN_LOCKS = [
    *(b"", b"{", b"[" * 200_000, b"[1]", b"{" + b" " * 10_000 + b"}"),
    *(owner(pid=float("inf")), owner(pid=[1]), owner(time=float("nan")), owner(time="x")),
    *(owner(pid=10**400), owner(time=None)),
]


@pytest.mark.parametrize("content", BROKEN_LOCKS, ids=range(len(BROKEN_LOCKS)))
@pytest.mark.parametrize("breaks", [False, True])
def test_locks_of_no_converter_give_way(content: bytes, breaks: bool, tmp_path: Path) -> None:
    tree = ObjectTree(tmp_path / "out.zarr")
    tree.write(LOCK, content)
    with DestinationLock(tree, breaks=breaks) as lock:
        lock.fence.check()


def test_a_lock_cannot_steer_the_terminal(tmp_path: Path) -> None:
    tree = ObjectTree(tmp_path / "out.zarr")
    tree.write(LOCK, owner(host="a\x1b[2J\nb", pid=os.getpid()))
    with pytest.raises(DestinationExistsError, match=r"on a\\x1b\[2J\\nb"):
        DestinationLock(tree).take()
    with DestinationLock(tree, breaks=True) as lock:
        lock.fence.check()
    assert socket.gethostname() != "another"


def item(folder: Path, assets: Any, name: str = "item.json") -> Path:
    path = folder / name
    path.write_text(json.dumps({"type": "Feature", "stac_version": "1.0.0", "assets": assets}))
    return path


BAD_HREFS: list[Any] = [
    *(None, 3, [], {}, "", " ", "a\nb", "a\x1b[2J", "item.json", "./item.json", "list.txt"),
    *(".", "./", "..", "/", "missing.tif", "a" * 10**6),
]
BAD_ASSETS: list[Any] = [
    *([], [1], 3, "x", None, {}, {"embeddings": 3}, {"embeddings": []}, {"a": {"roles": 3}}),
    *({"embeddings": {"href": href}} for href in BAD_HREFS),
    {"\x1b[2J": {"href": "x"}},
]


@pytest.mark.parametrize("assets", BAD_ASSETS, ids=lambda assets: f"{assets!r:.50}")
def test_stac_items_that_name_no_input(
    assets: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Within a moment, in one line, and without looking through the disk."""
    path = item(tmp_path, assets)
    started = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(path), str(tmp_path / "out.zarr")])
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert time.monotonic() - started < 5
    assert said.count("\n") == 1
    assert "\x1b" not in said
    assert "bug" not in said


@pytest.mark.parametrize("content", BAD_JSON, ids=lambda content: repr(content[:12]))
def test_stac_items_that_are_no_json(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "item.json").write_bytes(content)
    with pytest.raises(SourceError, match="expected a STAC item"):
        expand([tmp_path / "item.json"])


def test_a_remote_item_names_no_file_of_this_machine(tmp_path: Path) -> None:
    """An absolute href lies on the item's server."""
    from geoembz.sources.inputs import _resolve

    assert _resolve("s3://bucket/a/item.json", "/etc/x.tif") == "s3://bucket/etc/x.tif"
    assert _resolve("https://h/a/item.json", "../x.tif") == "https://h/x.tif"
    for href in ("file:///etc/passwd", "FILE:///etc/passwd", "zip://a.tif::file:///etc/x.zip"):
        with pytest.raises(SourceError, match="not a file of this machine"):
            _resolve("https://h/item.json", href)


@pytest.mark.parametrize(
    "lists",
    [
        {"a.txt": "a.txt"},
        {"a.txt": "./a.txt"},
        {"a.txt": "b.txt", "b.txt": "a.txt"},
        {"a.txt": "b.txt\nb.txt", "b.txt": "x.tif"},
        {"a.txt": "l0.txt", **{f"l{n}.txt": f"l{n + 1}.txt" for n in range(2000)}},
    ],
)
def test_lists_that_name_themselves(lists: dict[str, str], tmp_path: Path) -> None:
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=r"expected every list once|lists that name lists"):
        expand([tmp_path / "a.txt"])


def test_huge_lists_are_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(SourceError, match="cut it into several"):
        expand([tmp_path / "a.txt"])


def collection(*features: Any, **more: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features), **more}


NO_FEATURES: list[Any] = [None, 3, "x", {}]
NO_GEOMETRIES: list[Any] = [[], 3, "Point", {}, {"type": ["Point"]}]
NO_PROPERTIES: list[Any] = [3, [], "x"]
NO_POSITIONS: list[Any] = [
    *(None, 3, [1], [[1, 2]], ["1", "2"], [None, 1], [True, False], {"x": 1}, [[]]),
]
NO_RINGS: list[Any] = [
    *(3, [1], [[1, 2]], [[[1, 2]]], [[[0, 0], [1, 1], [0, 0]]], [[["x", 1]]]),
]
NO_AREAS: list[Any] = [[1], SQUARE["coordinates"], [[[1, 2]]]]
NO_CRS: list[Any] = [
    *("nope", 3, [], {"properties": {"name": "nope"}}, {"properties": 3}),
    *({"properties": {"name": []}}, {"type": "link"}),
]


def geometry(kind: str, coordinates: Any) -> dict[str, Any]:
    return {"geometry": {"type": kind, "coordinates": coordinates}}


BAD_GEOJSON: list[Any] = [
    *(None, 3, "x", [], {}, {"type": []}, {"type": "FeatureCollection"}, collection(1)),
    *({"type": "FeatureCollection", "features": value} for value in NO_FEATURES),
    *(collection({"geometry": value}) for value in NO_GEOMETRIES),
    *(collection({"geometry": POINT, "properties": value}) for value in NO_PROPERTIES),
    *(collection(geometry("Point", value)) for value in NO_POSITIONS),
    *(collection(geometry("Polygon", value)) for value in NO_RINGS),
    *(collection(geometry("MultiPolygon", value)) for value in NO_AREAS),
    *(collection({"geometry": POINT, "properties": {"label": 1}}, crs=v) for v in NO_CRS),
]


@pytest.mark.parametrize("document", BAD_GEOJSON, ids=range(len(BAD_GEOJSON)))
def test_malformed_geojson_is_refused_in_words(document: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(document))
    with pytest.raises(SourceError, match=r"a\.geojson.*expected"):
        read_geojson(path)
    with pytest.raises(SourceError, match=r"a\.geojson.*expected"):
        read_features(path)


@pytest.mark.parametrize("content", BAD_JSON, ids=lambda content: repr(content[:12]))
def test_geojson_that_is_no_json(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.geojson: not JSON .*; expected GeoJSON"):
        read_features(tmp_path / "a.geojson")


def test_huge_geojson_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.geojson").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(SourceError, match="convert it to GeoParquet"):
        read_geojson(tmp_path / "a.geojson")


def test_what_geojson_allows_is_read() -> None:
    """Null and empty geometries, altitudes, rings left open, tuples, an old name of a CRS."""
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    open_ring = {"type": "Polygon", "coordinates": (((0, 0, 5), (1, 0, 5), (1, 1, 5)),)}
    found = features_of(
        collection(
            {"geometry": None, "properties": None, "id": 7},
            {"geometry": {"type": "Point", "coordinates": []}},
            {"geometry": open_ring, "properties": {"id": "own", "a": 1}, "id": 8},
            crs=crs,
        ),
        "x",
    )
    ring = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    assert found.geometries == (None, None, shapely.Polygon(ring))
    assert found.properties == ({"id": 7}, {}, {"id": "own", "a": 1})
    assert found.crs == "urn:ogc:def:crs:EPSG::32633"


def test_properties_of_any_shape_become_columns() -> None:
    """One that the first feature lacks, one of several types, whole numbers of any size."""
    rows = [{"a": 1}, {"a": "x", "b": 2}, {"b": 10**30, "c": {"d": [1]}}]
    columns = read_features(
        collection(*({"geometry": POINT, "properties": row} for row in rows))
    ).columns.to_pydict()
    assert columns["a"] == ["1", "x", None]
    assert columns["c"][2] == {"d": [1]}
    assert columns["b"][:2] == [None, "2"]


@pytest.mark.parametrize("number", range(len(BAD_GEOJSON)))
def test_malformed_labels_and_regions(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No command calls a malformed file a bug of ours."""
    raster = products.write_raster(tmp_path / "a.tif", products.unit_vectors(8, 8, 4, seed=1))
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(BAD_GEOJSON[number]))
    for words in (["evaluate", "--source", str(raster), "--labels", str(path)],
                  ["cost", "--region", str(path), "--model", "aef"]):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code in (1, 2) or words[0] == "cost"
        said = capsys.readouterr().err
        assert "bug" not in said


def test_footers_of_geoparquet_are_bounded(tmp_path: Path) -> None:
    """Deep or malformed metadata of a table of others."""
    import pyarrow as pa
    from pyarrow import parquet

    vectors = pa.array([[1.0, 2.0]] * 4, pa.list_(pa.float32()))
    table = pa.table({"embedding": vectors, "geometry": [b"x"] * 4})
    for geo in (*BAD_JSON, b"[]", b'{"primary_column": [], "columns": {}}', b'{"columns": 3}',
                b'{"primary_column":"geometry","columns":{"geometry":3}}',
                b'{"primary_column":"geometry","columns":{"geometry":{"crs":3}}}'):  # fmt: skip
        parquet.write_table(
            table.replace_schema_metadata({b"geo": geo, b"emb": geo}), tmp_path / "t.parquet"
        )
        with pytest.raises(GeoembzError):
            geoembz.convert(tmp_path / "t.parquet", tmp_path / "out.zarr")
        with pytest.raises(GeoembzError):
            read_features(tmp_path / "t.parquet")


def test_numbers_of_no_array_are_refused() -> None:
    with pytest.raises(GeoembzError):
        read_features({"type": "Point", "coordinates": [np.inf, 0.0]})

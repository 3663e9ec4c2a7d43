"""From what a user names to the inputs behind it: files, globs, directories, lists, STAC items.

A STAC item stands for its asset `embeddings`, or the one with the role ``embeddings``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin

from geoembz._objects.icechunk import pin_url
from geoembz._objects.identity import Subdataset, display_name, split_query
from geoembz._objects.names import is_icechunk
from geoembz._objects.reading import filesystem_of, forget_listings, read_range
from geoembz._util.bounded_json import parse_json
from geoembz.errors import SourceError
from geoembz.sources.band_names import natural_order

ASSET = "embeddings"
_MOST_BYTES = 16 * 2**20
_MOST_NAMED = 20
_REMOTE = re.compile(r"(?i)(https?|ftp|s3a?|gs|gcs|az|adl|abfss?|wasbs?|oci|hf)://")
"""What an item on a server may name: no file of this machine, and no service of GDAL's."""


def is_item(path: str) -> bool:
    """Whether a JSON file is a STAC item."""
    document = _document(path)
    return document.get("type") == "Feature" and "assets" in document


def embeddings_asset(path: str) -> str:
    """Return the path or URL of an item's embeddings.

    Raises
    ------
    SourceError
        If the item has no such asset, or its address is none.
    """
    assets = _document(path)["assets"]
    if not isinstance(assets, Mapping):
        raise SourceError(
            f"{display_name(path)}: STAC item whose assets are a {type(assets).__name__}; expected "
            f"an object with one called {ASSET!r}; name the file itself"
        )
    by_role = [asset for asset in assets.values() if _has_role(asset)]
    asset = assets.get(ASSET) or (by_role[0] if len(by_role) == 1 else None)
    href = asset.get("href") if isinstance(asset, Mapping) else None
    if not isinstance(href, str):
        names = ", ".join(sorted(assets)[:_MOST_NAMED]) or "none"
        raise SourceError(
            f"{display_name(path)}: STAC item with the assets {names}; expected one called "
            f"{ASSET!r} with an href; name the file itself"
        )
    if not href.strip() or not href.isprintable() or href.lower().endswith((".json", ".txt")):
        raise SourceError(
            f"{display_name(path)}: the asset's href is {href[:200]!r}; expected the path or URL "
            "of a raster, table or store; name the file itself"
        )
    return _resolve(path, href)


def _has_role(asset: object) -> bool:
    roles = asset.get("roles") if isinstance(asset, Mapping) else None
    return isinstance(roles, list) and ASSET in roles


def _resolve(item: str, href: str) -> str:
    """Return an asset's place; relative ones lie beside the item."""
    scheme, mark, place = item.partition("://")
    if not mark:
        is_whole = "://" in href or href.startswith("/")
        return href if is_whole else str((Path(item).parent / href).resolve())
    if "://" not in href:
        return f"{scheme}://{urljoin(f'//{place}', href).removeprefix('//')}"
    if _REMOTE.match(href) is None or "::" in href:
        raise SourceError(
            f"{display_name(item)}: the asset's href is {href!r}; expected an address such as "
            "https://… or s3://…, not a file of this machine; name the file itself"
        )
    return href


def _document(path: str) -> dict[str, Any]:
    content = read_range(path, 0, _MOST_BYTES + 1)
    expected = "a STAC item"
    found = parse_json(content, display_name(path), expected=expected, most_bytes=_MOST_BYTES)
    return found if isinstance(found, dict) else {}


RASTER_SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".img")
TABLE_SUFFIXES = (".parquet", ".geoparquet", ".gpq", ".pq", ".csv")
NETCDF_SUFFIXES, ARRAY_SUFFIXES = (".nc", ".nc4", ".cdf"), (".npy", ".npz")
OTHER_SUFFIXES = (*NETCDF_SUFFIXES, *ARRAY_SUFFIXES)
LIST_SUFFIXES = (".txt", ".lst")
_DEEPEST_LIST = 10
_MOST_LIST_BYTES = 64 * 2**20
_ZARR_DOCUMENTS = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")


def expand(inputs: Sequence[str | Path]) -> list[str]:
    """Return every input behind what was named, each once, in the order given.

    A directory, a glob or a prefix stands for the rasters, ``.npy`` tiles and Zarr stores in it, or
    where there are none for the tables, in natural order of their names; a ``.txt`` file for the
    inputs that its lines name (relative ones beside it, ``#`` begins a comment); a STAC item for
    its asset `embeddings`.

    Raises
    ------
    SourceError
        If something named is missing or holds no input, or is named twice.
    """
    forget_listings(map(str, inputs))
    lists: set[str] = set()
    found = [path for given in inputs for path in _expand_one(str(given), lists)]
    tiles = _without_companions(found)
    seen: set[str] = set()
    for path in tiles:
        if path in seen:
            raise SourceError(
                f"{display_name(path)}: named twice; expected every input once; remove one"
            )
        seen.add(path)
    return tiles


def table_files(inputs: object) -> tuple[str, ...] | None:
    """Return the files of the table that was named; None where something else was.

    Parameters
    ----------
    inputs
        A path or URL, or several, as `expand` takes them; anything else is no table.

    Raises
    ------
    SourceError
        If something named is missing, or there are tables and other inputs.
    """
    named = [inputs] if isinstance(inputs, str | Path) else inputs
    if not isinstance(named, list | tuple) or not any(map(_may_be_table, named)):
        return None
    paths = expand(named)
    tables = [path for path in paths if is_table_file(path)]
    if tables and len(tables) < len(paths):
        other = next(path for path in paths if path not in tables)
        raise SourceError(
            f"{display_name(tables[0])} is a table, {display_name(other)} is none; expected inputs "
            "of one kind; convert them one by one"
        )
    return tuple(tables) or None


def is_table_file(path: str) -> bool:
    """Whether a path or URL, by its name, is a Parquet or CSV file."""
    return split_query(path)[0].lower().endswith(TABLE_SUFFIXES)


def _may_be_table(given: object) -> bool:
    """Whether a name can stand for tables, as far as it tells without looking at files."""
    if not isinstance(given, str | Path):
        return False
    name = split_query(str(given))[0].lower()
    is_raster = name.endswith((*RASTER_SUFFIXES, *OTHER_SUFFIXES, ".zarr")) or name.startswith(
        "/vsi"
    )
    return bool(name) and not is_raster


def is_zarr(path: str) -> bool:
    """Whether a local directory or a URL is the root of a Zarr store."""
    if Subdataset.of(path) is not None:
        return False
    if is_icechunk(path):
        return True
    if "://" not in path:
        return any(Path(path, name).is_file() for name in _ZARR_DOCUMENTS)
    return ".zarr" in PurePosixPath(split_query(path)[0].rstrip("/")).name


def _expand_one(given: str, lists: set[str], depth: int = 0) -> list[str]:
    """Return the inputs behind one name; `lists` are the text files that were read so far."""
    if is_icechunk(given):  # all that is read is of one snapshot, which the store then names
        return [pin_url(given)]
    if given.startswith("/vsi") or Subdataset.of(given) is not None:
        return [given]
    if _is_glob(given):
        return _match(given)
    if given.lower().endswith(LIST_SUFFIXES):
        _read_once(given, lists, depth)
        return [path for line in _lines(given) for path in _expand_one(line, lists, depth + 1)]
    if given.lower().endswith(".json") and is_item(given):
        return [_asset(given)]
    if "://" in given:
        return _match(f"{given}**") if given.endswith("/") and not is_zarr(given) else [given]
    path = Path(given)
    if path.is_dir() and not is_zarr(given):
        return _in_directory(path)
    return [given]


def _is_glob(given: str) -> bool:
    """Whether a name is a pattern: not if it exists, nor where a question mark begins a query."""
    if "://" not in given and Path(given).exists():
        return False
    wild = r"[*\[]" if given.startswith(("http://", "https://")) else r"[*?\[]"
    return re.search(wild, given) is not None


def _asset(item: str) -> str:
    """Return the one raster, table or store that a STAC item stands for: its author is anyone."""
    found = embeddings_asset(item)
    if "://" not in found and Path(found).is_dir() and not is_zarr(found):
        raise SourceError(
            f"{display_name(item)}: the asset is the folder {found}; expected a raster, a table or "
            "a Zarr store; name the folder itself, if you want what lies in it"
        )
    return found


def _read_once(path: str, lists: set[str], depth: int) -> None:
    """Refuse a list that names itself, directly or through others."""
    if depth > _DEEPEST_LIST:
        raise SourceError(
            f"{path}: lists that name lists, {depth} deep; expected at most {_DEEPEST_LIST}; name "
            "the inputs in one list"
        )
    place = str(Path(path).resolve())
    if place in lists:
        raise SourceError(
            f"{path}: a list that is named twice, or names itself; expected every list once; "
            "remove the line that names it"
        )
    lists.add(place)


def _lines(path: str) -> Iterable[str]:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_LIST_BYTES + 1)
        if len(content) > _MOST_LIST_BYTES:
            raise SourceError(
                f"{path}: more than {_MOST_LIST_BYTES:,} bytes; expected a list with one input a "
                "line; cut it into several"
            )
        lines = content.decode("utf-8").splitlines()
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read ({error.strerror}); expected a text file with one input a line"
        ) from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: no text ({error}); expected one input a line") from error
    for line in lines:
        text = line.partition(" #")[0].strip()
        if text and not text.startswith("#"):
            part = Subdataset.of(text)
            yield _beside(path, text) if part is None else part.inside(_beside(path, part.file))


def _beside(path: str, name: str) -> str:
    """Return a name as seen from where a list lies, unless it says itself where it is."""
    is_relative = "://" not in name and not Path(name).is_absolute()
    return str(Path(path).parent / name) if is_relative else name


def _match(pattern: str) -> list[str]:
    """Return the files that match a glob, local or remote."""
    filesystem, root = filesystem_of(pattern)
    try:
        matches = filesystem.glob(root)
    except (OSError, ValueError) as error:
        raise SourceError(f"{display_name(pattern)}: cannot be listed ({error})") from error
    remote = "://" in pattern
    named = [filesystem.unstrip_protocol(match) if remote else match for match in matches]
    if not remote and not Path(pattern).is_absolute():
        named = [str(path) for path in Path().glob(pattern)]
    return _choose_inputs(named, pattern)


def _in_directory(folder: Path) -> list[str]:
    """Return the inputs below a directory; what lies inside a Zarr store is the store's."""
    found = []
    for parent, folders, files in folder.walk():
        stores = [name for name in folders if is_zarr(str(parent / name))]
        folders[:] = [name for name in folders if name not in stores and not name.startswith(".")]
        found += [str(parent / name) for name in (*stores, *files) if not name.startswith(".")]
    return _choose_inputs(found, str(folder))


def _choose_inputs(paths: Sequence[str], given: str) -> list[str]:
    """Keep rasters, tiles and stores, or else tables, in natural order; refuse to find none."""
    kept = [
        path
        for path in paths
        if path.lower().endswith((*RASTER_SUFFIXES, *OTHER_SUFFIXES))
        or path.rstrip("/").endswith(".zarr")
        or ("://" not in path and is_zarr(path))
    ] or [
        path
        for path in paths
        if path.lower().endswith(TABLE_SUFFIXES) and not _is_private(path, given)
    ]
    if not kept and not paths and _is_glob(given):
        raise SourceError(
            f"{display_name(given)}: no file matches; check the pattern and the folder it is in"
        )
    if not kept:
        raise SourceError(
            f"{display_name(given)}: not a raster, and there is no input in it; expected rasters "
            f"({', '.join(RASTER_SUFFIXES)}), netCDF, .npy, Zarr stores or tables "
            f"({', '.join(TABLE_SUFFIXES)}) there"
        )
    return sorted(kept, key=natural_order)


def _is_private(path: str, given: str) -> bool:
    """Whether a name below what was given begins with `_`: writers of tables keep notes there."""
    folder = given.rstrip("/")
    inside = path.removeprefix(folder) if path.startswith(folder) else PurePosixPath(path).name
    return any(part.startswith("_") for part in PurePosixPath(inside).parts)


def _without_companions(paths: Sequence[str]) -> list[str]:
    """Leave out the scales and the land masks of Tessera tiles that are named themselves."""
    from geoembz.sources.tessera import tile_name

    tiles = {
        PurePosixPath(path).stem
        for path in paths
        if path.endswith(".npy") and not path.endswith("_scales.npy")
    }

    def is_companion(path: str) -> bool:
        stem = PurePosixPath(path).stem
        if path.endswith("_scales.npy"):
            return stem.removesuffix("_scales") in tiles
        return stem in tiles and not path.endswith(".npy") and tile_name(path) is not None

    return [path for path in paths if not is_companion(path)]

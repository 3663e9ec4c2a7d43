"""The attributes of a store's group: geoemb, proj, spatial and geoembz, and back.

Conventions are matched by uuid (reference: spec/format.md, "Attributes").
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import zarr_cm

from geoembz._geo import declared_gsd, gsd
from geoembz._geo.grid import Grid, Transform
from geoembz._text import checked_names
from geoembz._version import FORMAT_VERSION, READ_VERSIONS
from geoembz.errors import InvalidConfigError, StoreError, StoreVersionError

GRIDS = "geoembz:grids"
"""Attribute of a root: the names of the stores below it."""

TIME = "time"
"""Name of the time axis and of its coordinate."""

BAND_NAMES = "geoembz:band_names"
"""Attribute of a store: what the components of the original vectors are called."""

CF_TIME = {
    "axis": "T",
    "standard_name": "time",
    "long_name": "start of the period that the embedding describes",
    "units": "days since 1970-01-01",
    "calendar": "proleptic_gregorian",
}
"""Attributes of the coordinate `time`."""

FIRST_VERSION = "0.1"
"""The format version without digests, and with sizes of pixels by the CRS's unit alone."""

UNKNOWN_MODEL = "urn:geoembz:model:unknown"

GEOEMB_UUID = "61c12cc5-0e28-4056-999a-480cf3fb7e4c"
GEOEMBZ_UUID = "5bdee612-a44e-461d-a046-554e1bff041c"

GEOEMB_CONVENTION = {
    "schema_url": "https://raw.githubusercontent.com/geo-embeddings/embeddings-zarr-convention/"
    "refs/tags/v1/schema.json",
    "spec_url": "https://github.com/geo-embeddings/embeddings-zarr-convention/blob/v1/README.md",
    "uuid": GEOEMB_UUID,
    "name": "geoemb:",
    "description": "Geoembeddings convention for geospatial embedding arrays with model provenance",
}
GEOEMBZ_CONVENTION = {
    "uuid": GEOEMBZ_UUID,
    "name": "geoembz:",
    "description": "How the codes of a compressed embedding store are decoded",
}

type Layout = Literal["plain", "codec"]


@dataclass(frozen=True)
class StoreAttributes:
    """Everything that a store says about itself in its group's attributes.

    Parameters
    ----------
    grid
        Where the pixels lie.
    encoding
        JSON part of the Encoding.
    encoding_hash
        Its content hash.
    layout
        ``plain`` or ``codec``.
    original_dtype
        Type of the numbers that were converted.
    stored_dtype
        Type of the codes.
    model
        URI of the model that made the embeddings.
    sources
        What was converted: a list of ``{uri, size_bytes, version, sha256}``.
    fit
        What the Encoding was fitted on: ``{n_samples, seed, explained_variance}``.
    fidelity
        What was measured on held-out pixels.
    pixels
        ``{total, valid}``.
    software
        Name and version of the writer.
    license
        Licence of the embeddings, as an SPDX name or URL; None where it was not given.
    notes
        What was done to the input that a reader may want to know.
    skipped
        Inputs that were left out, and why: ``(URI, reason)``.
    times
        One entry per position of the time axis, ``{time, sources, pixels, fidelity}``; empty where
        there is no such axis.
    band_names
        One name per component of the original vectors, None for those without; may be empty where
        none has a name.
    version
        Format version.
    """

    grid: Grid
    encoding: Mapping[str, Any]
    encoding_hash: str
    layout: Layout
    original_dtype: str
    stored_dtype: str
    model: str = UNKNOWN_MODEL
    sources: tuple[Mapping[str, Any], ...] = ()
    fit: Mapping[str, Any] = field(default_factory=dict)
    fidelity: Mapping[str, Any] = field(default_factory=dict)
    pixels: Mapping[str, Any] = field(default_factory=dict)
    software: str = ""
    license: str | None = None
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    times: tuple[Mapping[str, Any], ...] = ()
    band_names: tuple[str | None, ...] = ()
    version: str = FORMAT_VERSION

    def __post_init__(self) -> None:
        """Refuse a model that is no URI."""
        check_model(self.model)

    @property
    def dates(self) -> tuple[str, ...]:
        """Dates of the time axis, as ``YYYY-MM-DD``; empty where there is none."""
        return tuple(str(entry["time"]) for entry in self.times)

    def to_json(self) -> dict[str, Any]:
        """Return the group attributes, conventions declared."""
        geo = zarr_cm.create_many({"proj": _proj(self.grid), "spatial": _spatial(self.grid)})
        declared = [GEOEMB_CONVENTION, *geo.pop("zarr_conventions"), GEOEMBZ_CONVENTION]  # type: ignore[misc]
        return {"zarr_conventions": declared, **self._geoemb(), **geo, **self._geoembz()}

    def _geoemb(self) -> dict[str, Any]:
        attributes: dict[str, Any] = {
            "geoemb:type": "pixel",
            "geoemb:dimensions": self.encoding["dimension"],
            "geoemb:model": self.model,
            "geoemb:source_data": [source["uri"] for source in self.sources],
            "geoemb:data_type": "float32" if self.layout == "codec" else self.stored_dtype,
            "geoemb:quantization": {
                "method": f"geoembz:{self.encoding['recipe']}",
                "original_dtype": self.original_dtype,
                "quantized_dtype": self.stored_dtype,
                "link": f"urn:uuid:{GEOEMBZ_UUID}",
            },
            "geoemb:build_version": self.software,
        }
        measure = declared_gsd if self.version == FIRST_VERSION else gsd
        if (width := measure(self.grid)) is not None:
            attributes["geoemb:gsd"] = width
        return attributes

    def _geoembz(self) -> dict[str, Any]:
        attributes = {
            "version": self.version,
            "layout": self.layout,
            "recipe": self.encoding["recipe"],
            "encoding": dict(self.encoding),
            "encoding_hash": self.encoding_hash,
            "fit": dict(self.fit),
            "fidelity": dict(self.fidelity),
            "pixels": dict(self.pixels),
            "sources": [dict(source) for source in self.sources],
            "software": self.software,
        }
        if self.license is not None:
            attributes["license"] = self.license
        if self.notes:
            attributes["notes"] = list(self.notes)
        if self.times:
            attributes["times"] = [dict(entry) for entry in self.times]
        if any(self.band_names):
            attributes["band_names"] = list(self.band_names)
        if self.skipped:
            attributes["skipped"] = [{"uri": uri, "reason": why} for uri, why in self.skipped]
        return {f"geoembz:{name}": value for name, value in attributes.items()}

    @classmethod
    def from_json(cls, where: str, attributes: Mapping[str, Any]) -> Self:
        """Read the attributes of a store's group.

        Parameters
        ----------
        where
            The store, for messages.
        attributes
            As they stand in ``zarr.json``.

        Raises
        ------
        StoreError
            If they are not those of a geoembz store, or a required one is missing or malformed.
        StoreVersionError
            If the format version is newer than this geoembz.
        """
        check_version(where, attributes)
        if GRIDS in attributes:
            given = attributes[GRIDS]
            names = [str(name) for name in given] if isinstance(given, list) else []
            raise StoreError(
                f"{where}: holds {len(names)} grids, {', '.join(names)}; open one of them, such as "
                f"{where.rstrip('/')}/{names[0] if names else 'NAME'}"
            )
        try:
            quantization = attributes["geoemb:quantization"]
            return cls(
                grid=_read_grid(attributes),
                encoding=_mapping(attributes["geoembz:encoding"]),
                encoding_hash=str(attributes["geoembz:encoding_hash"]),
                layout=_layout(attributes["geoembz:layout"]),
                original_dtype=str(quantization["original_dtype"]),
                stored_dtype=str(quantization["quantized_dtype"]),
                model=str(attributes.get("geoemb:model", UNKNOWN_MODEL)),
                sources=tuple(_mapping(entry) for entry in attributes.get("geoembz:sources", [])),
                fit=_mapping(attributes.get("geoembz:fit", {})),
                fidelity=_mapping(attributes.get("geoembz:fidelity", {})),
                pixels=_mapping(attributes.get("geoembz:pixels", {})),
                software=str(attributes.get("geoembz:software", "")),
                license=attributes.get("geoembz:license"),
                notes=tuple(map(str, attributes.get("geoembz:notes", []))),
                times=tuple(_mapping(entry) for entry in attributes.get("geoembz:times", [])),
                skipped=tuple(
                    (str(entry["uri"]), str(entry["reason"]))
                    for entry in attributes.get("geoembz:skipped", [])
                ),
                band_names=read_band_names(attributes),
                version=str(attributes["geoembz:version"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{where}: attributes of a geoembz store are missing or malformed ({error!r}); "
                "the store is damaged: fetch it again"
            ) from error


@dataclass(frozen=True)
class RootAttributes:
    """What the root of several grids says: which they are, and what they share.

    Parameters
    ----------
    grids
        Names of the stores below the root.
    shared
        The attributes that all of them have alike.
    source_data
        URIs of all inputs.
    """

    grids: tuple[str, ...]
    shared: Mapping[str, Any]
    source_data: tuple[str, ...]

    @classmethod
    def of(cls, where: str, children: Mapping[str, StoreAttributes]) -> Self:
        """Collect the attributes of stores.

        Raises
        ------
        StoreError
            If their encodings differ.
        """
        first = next(iter(children.values()))
        for name, child in children.items():
            if child.encoding_hash != first.encoding_hash:
                raise StoreError(
                    f"{where}/{name}: encoding {child.encoding_hash}; the root's is "
                    f"{first.encoding_hash}; convert again, with --basis of one of them"
                )
        uris = [str(entry["uri"]) for child in children.values() for entry in child.sources]
        return cls(tuple(children), first.to_json(), tuple(dict.fromkeys(uris)))

    def to_json(self) -> dict[str, Any]:
        """Return the root's attributes, conventions declared."""
        kept = {key: self.shared[key] for key in _ROOT_KEYS if key in self.shared}
        if all(_UTM_GRID.fullmatch(name) for name in self.grids):
            kept["geoemb:spatial_layout"] = "utm_zones"
        return {
            "zarr_conventions": [GEOEMB_CONVENTION, GEOEMBZ_CONVENTION],
            **kept,
            "geoemb:source_data": list(self.source_data),
            GRIDS: list(self.grids),
        }


_UTM_GRID = re.compile(r"utm\d{2}[ns](-\w+)*")
_ROOT_KEYS = (
    "geoemb:type",
    "geoemb:dimensions",
    "geoemb:model",
    "geoemb:data_type",
    "geoemb:quantization",
    "geoemb:build_version",
    "geoembz:version",
    "geoembz:layout",
    "geoembz:recipe",
    "geoembz:encoding_hash",
    "geoembz:software",
    "geoembz:license",
    BAND_NAMES,
)


def check_model(model: str) -> None:
    """Refuse a model that is no URI.

    Raises
    ------
    InvalidConfigError
        If there is no scheme, or nothing behind it.
    """
    parts = urlsplit(model)
    if not parts.scheme or not (parts.netloc or parts.path):
        raise InvalidConfigError(
            f"model {model!r}; expected a URI, for example https://example.org/model/1.1"
        )


def read_band_names(attributes: Mapping[str, Any]) -> tuple[str | None, ...]:
    """Return the names of the components that a store holds; empty where it has none.

    Raises
    ------
    ValueError
        If it is no list of as many texts, or nulls, as vectors are long.
    """
    names = attributes.get(BAND_NAMES)
    if names is None:
        return ()
    return checked_names(names, attributes["geoemb:dimensions"])


def check_version(where: str, attributes: Mapping[str, Any]) -> None:
    """Refuse groups that are not geoembz stores, and stores of a version unknown here.

    Raises
    ------
    StoreError
        If the geoembz convention is not declared.
    StoreVersionError
        If the version is not one that this geoembz reads.
    """
    declared = attributes.get("zarr_conventions")
    entries = declared if isinstance(declared, list) else []
    uuids = [entry.get("uuid") for entry in entries if isinstance(entry, Mapping)]
    if GEOEMBZ_UUID not in uuids:
        raise StoreError(
            f"{where}: a Zarr group, but not a geoembz store (no convention {GEOEMBZ_UUID}); "
            "expected one written by `geoembz convert`"
        )
    version = attributes.get("geoembz:version")
    if version not in READ_VERSIONS:
        raise StoreVersionError(
            f"{where}: format version {version!r}; this geoembz reads "
            f"{' and '.join(map(repr, READ_VERSIONS))}; install a newer geoembz"
        )


def records_digests(version: str) -> bool:
    """Whether stores of a format version say which object belongs where (since 0.2)."""
    return version != FIRST_VERSION


def cf_grid_mapping(grid: Grid) -> dict[str, Any]:
    """Return the attributes of the CF grid mapping variable `spatial_ref`."""
    from pyproj import CRS

    a, b, c, d, e, f = grid.transform
    mapping: dict[str, Any] = CRS.from_wkt(grid.crs_wkt).to_cf()
    geotransform = f"{c} {a} {b} {f} {d} {e}"
    return {**mapping, "spatial_ref": mapping["crs_wkt"], "GeoTransform": geotransform}


def cf_axis(grid: Grid, axis: str) -> dict[str, Any]:
    """Return the CF attributes of the coordinate variable `axis`, ``x`` or ``y``."""
    from pyproj import CRS

    found = [
        entry
        for entry in CRS.from_wkt(grid.crs_wkt).cs_to_cf()
        if entry.get("axis") == axis.upper()
    ]
    return dict(found[0]) if found else {}


def _proj(grid: Grid) -> dict[str, Any]:
    proj: dict[str, Any] = {"proj:wkt2": grid.crs_wkt}
    if grid.crs_code is not None:
        proj["proj:code"] = grid.crs_code
    return proj


def _spatial(grid: Grid) -> dict[str, Any]:
    return {
        "spatial:dimensions": ["y", "x"],
        "spatial:transform": list(grid.transform),
        "spatial:shape": list(grid.shape),
        "spatial:bbox": list(grid.bbox),
        "spatial:registration": "pixel",
    }


def _read_grid(attributes: Mapping[str, Any]) -> Grid:
    transform: Transform = tuple(map(float, attributes["spatial:transform"]))  # type: ignore[assignment]
    height, width = attributes["spatial:shape"]
    return Grid(
        crs_wkt=checked_wkt(attributes["proj:wkt2"]),
        crs_code=attributes.get("proj:code"),
        transform=transform,
        shape=(int(height), int(width)),
    )


def checked_wkt(value: object) -> str:
    """Return a CRS in WKT after checking that PROJ understands it."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        CRS.from_wkt(str(value))
    except CRSError as error:
        raise ValueError(f"proj:wkt2 is {value!r}; expected a CRS in WKT") from error
    return str(value)


def _layout(value: object) -> Layout:
    if value == "plain":
        return "plain"
    if value == "codec":
        return "codec"
    raise ValueError(f"layout {value!r}; expected 'plain' or 'codec'")


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r} is not a JSON object")
    return value

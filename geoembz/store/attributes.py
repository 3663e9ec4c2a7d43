"""The attributes of a store's group: geoemb, proj, spatial and geoembz, and back."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import zarr_cm

from geoembz._geo import declared_gsd, gsd
from geoembz._geo.grid import Grid, Transform
from geoembz._version import FORMAT_VERSION
from geoembz.errors import StoreError
from geoembz.sources.layers import Layer, checked_layers
from geoembz.store.conventions import (
    BAND_NAMES,
    FIRST_VERSION,
    GEOEMB_CONVENTION,
    GEOEMBZ_CONVENTION,
    GEOEMBZ_UUID,
    GRIDS,
    LAYERS,
    UNKNOWN_MODEL,
    UPDATES,
    Layout,
    check_model,
    check_version,
    checked_wkt,
    read_band_names,
)
from geoembz.store.levels import MULTISCALES, Level, multiscales, read_levels


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """What stores of rasters and of tables say alike.

    Parameters
    ----------
    encoding
        JSON part of the Encoding.
    encoding_hash
        Its content hash.
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
        What was measured on held-out vectors.
    software
        Name and version of the writer.
    license
        Licence of the embeddings, as an SPDX name or URL; None where it was not given.
    metric
        Name of the metric that is recommended for searches; None for cosines.
    band_names
        One name per component of the original vectors, None for those without; may be empty where
        none has a name.
    version
        Format version.
    """

    kind: ClassVar[str]
    """The convention's ``geoemb:type``."""

    encoding: Mapping[str, Any]
    encoding_hash: str
    original_dtype: str
    stored_dtype: str
    model: str = UNKNOWN_MODEL
    sources: tuple[Mapping[str, Any], ...] = ()
    fit: Mapping[str, Any] = field(default_factory=dict)
    fidelity: Mapping[str, Any] = field(default_factory=dict)
    software: str = ""
    license: str | None = None
    metric: str | None = None
    band_names: tuple[str | None, ...] = ()
    version: str = FORMAT_VERSION

    def __post_init__(self) -> None:
        """Refuse a model that is no URI."""
        check_model(self.model)

    def _json(
        self,
        geo: Mapping[str, Mapping[str, Any]],
        *,
        layout: Layout,
        gsd: float | None,
        chips: Mapping[str, Any],
        held: Mapping[str, Any],
        optional: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return the group attributes, conventions declared.

        Parameters
        ----------
        geo
            Attributes of `proj` and `spatial`.
        layout, gsd
            Of the store.
        chips
            What the convention asks of chips beside.
        held
            What the store holds: pixels, or rows.
        optional
            What is left out where it is empty.
        """
        places: dict[str, Any] = dict(zarr_cm.create_many(geo))  # type: ignore[arg-type]
        declared = [GEOEMB_CONVENTION, *places.pop("zarr_conventions"), GEOEMBZ_CONVENTION]
        geoemb: dict[str, Any] = {
            "type": self.kind,
            "dimensions": self.encoding["dimension"],
            "model": self.model,
            "source_data": self.source_data,
            "data_type": "float32" if layout == "codec" else self.stored_dtype,
            **chips,
            "quantization": {
                "method": f"geoembz:{self.encoding['recipe']}",
                "original_dtype": self.original_dtype,
                "quantized_dtype": self.stored_dtype,
                "link": f"urn:uuid:{GEOEMBZ_UUID}",
            },
            "build_version": self.software,
        }
        if gsd is not None:
            geoemb["gsd"] = gsd
        geoembz: dict[str, Any] = {
            "version": self.version,
            "layout": layout,
            "recipe": self.encoding["recipe"],
            "encoding": dict(self.encoding),
            "encoding_hash": self.encoding_hash,
            "fit": dict(self.fit),
            "fidelity": dict(self.fidelity),
            **held,
            "sources": [dict(source) for source in self.sources],
            "software": self.software,
            **({} if self.license is None else {"license": self.license}),
            **({} if self.metric is None else {"metric": self.metric}),
            **{name: value for name, value in optional.items() if value},
        }
        return {
            "zarr_conventions": declared,
            **{f"geoemb:{name}": value for name, value in geoemb.items()},
            **places,
            **{f"geoembz:{name}": value for name, value in geoembz.items()},
        }

    @property
    def source_data(self) -> list[str]:
        """URIs of the objects that vectors were converted from."""
        return [str(entry["uri"]) for entry in self.sources if "layers" not in entry]

    @property
    def _named_bands(self) -> list[str | None]:
        return list(self.band_names) if any(self.band_names) else []

    @staticmethod
    def _shared(attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Return what both kinds read alike, by field."""
        quantization = attributes["geoemb:quantization"]
        return {
            "encoding": _mapping(attributes["geoembz:encoding"]),
            "encoding_hash": str(attributes["geoembz:encoding_hash"]),
            "original_dtype": str(quantization["original_dtype"]),
            "stored_dtype": str(quantization["quantized_dtype"]),
            "model": str(attributes.get("geoemb:model", UNKNOWN_MODEL)),
            "sources": tuple(_mapping(entry) for entry in attributes.get("geoembz:sources", [])),
            "fit": _mapping(attributes.get("geoembz:fit", {})),
            "fidelity": _mapping(attributes.get("geoembz:fidelity", {})),
            "software": str(attributes.get("geoembz:software", "")),
            "license": attributes.get("geoembz:license"),
            "metric": attributes.get("geoembz:metric"),
            "band_names": read_band_names(attributes),
            "version": str(attributes["geoembz:version"]),
        }


@dataclass(frozen=True, kw_only=True)
class StoreAttributes(Attributes):
    """Everything that a store of a raster says about itself in its group's attributes.

    Parameters
    ----------
    grid
        Where the pixels lie.
    layout
        ``plain`` or ``codec``.
    pixels
        ``{total, valid}``.
    notes
        What was done to the input that a reader may want to know.
    skipped
        Inputs that were left out, and why: ``(URI, reason)``.
    times
        One entry per position of the time axis, ``{time, sources, pixels, fidelity, overviews?}``;
        empty where there is no such axis.
    levels
        The levels below the full resolution, finest first; empty where there are none.
    unit_length
        Whether the means of these levels were divided by their lengths.
    layers
        Numbers of pixels beside the vectors.
    updates
        How often pixels were filled or replaced since the store was made.
    """

    kind = "pixel"

    grid: Grid
    layout: Layout
    pixels: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    times: tuple[Mapping[str, Any], ...] = ()
    levels: tuple[Level, ...] = ()
    unit_length: bool = False
    layers: tuple[Layer, ...] = ()
    updates: int = 0

    @property
    def dates(self) -> tuple[str, ...]:
        """Dates of the time axis, as ``YYYY-MM-DD``; empty where there is none."""
        return tuple(str(entry["time"]) for entry in self.times)

    def at_level(self, number: int) -> Self:
        """Return what holds at a level below the full resolution: another grid, pixels, fidelity.

        Parameters
        ----------
        number
            From 1, the finest.
        """
        level = self.levels[number - 1]
        times = tuple(
            {**entry, **entry.get("overviews", [{}] * number)[number - 1]} for entry in self.times
        )
        return replace(
            self,
            grid=level.grid,
            pixels=level.pixels,
            fidelity=level.fidelity,
            times=times,
            layers=(),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the group attributes, conventions declared."""
        measure = declared_gsd if self.version == FIRST_VERSION else gsd
        return self._json(
            {**place_attributes(self.grid), **self._multiscales()},
            layout=self.layout,
            gsd=measure(self.grid),
            chips={},
            held={"pixels": dict(self.pixels)},
            optional={
                "notes": list(self.notes),
                "times": [dict(entry) for entry in self.times],
                "layers": [layer.to_json() for layer in self.layers],
                "updates": self.updates,
                "band_names": self._named_bands,
                "skipped": [{"uri": uri, "reason": why} for uri, why in self.skipped],
            },
        )

    def _multiscales(self) -> dict[str, Any]:
        if not self.levels:
            return {}
        listed = multiscales(self.grid, self.levels, unit_length=self.unit_length)
        return {MULTISCALES: listed}

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
            grid = read_grid(attributes)
            levels, unit_length = read_levels(grid, attributes)
            return cls(
                **cls._shared(attributes),
                grid=grid,
                levels=levels,
                unit_length=unit_length,
                layout=_layout(attributes["geoembz:layout"]),
                pixels=_mapping(attributes.get("geoembz:pixels", {})),
                notes=tuple(map(str, attributes.get("geoembz:notes", []))),
                times=tuple(_mapping(entry) for entry in attributes.get("geoembz:times", [])),
                layers=checked_layers(map(Layer.from_json, attributes.get(LAYERS, []))),
                updates=int(attributes.get(UPDATES, 0)),
                skipped=tuple(
                    (str(entry["uri"]), str(entry["reason"]))
                    for entry in attributes.get("geoembz:skipped", [])
                ),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{where}: attributes of a geoembz store are missing or malformed ({error!r}); "
                "the store is damaged: fetch it again"
            ) from error


@dataclass(frozen=True, kw_only=True)
class TableAttributes(Attributes):
    """Everything that a store of a table says about itself in its group's attributes.

    Parameters
    ----------
    crs_wkt, crs_code
        CRS of `x` and `y` as WKT2:2019, and its authority and code where it has one.
    bbox
        Bounds of all places, in CRS units; None where no place is known.
    chip_layout
        The convention's `geoemb:chip_layout`.
    rows
        ``{total, valid}``.
    columns
        Names of the numeric columns, which are arrays.
    table
        Name of the GeoParquet file with the other columns; None where there are none.
    place
        ``{product, geometry, x, y}``: what the table was, and its names of geometry or axes.
    gsd
        Size of a pixel of the image behind a chip, in metres.
    """

    kind = "chip"

    crs_wkt: str
    crs_code: str | None
    bbox: tuple[float, float, float, float] | None
    chip_layout: Mapping[str, Any]
    rows: Mapping[str, Any]
    columns: tuple[str, ...] = ()
    table: str | None = None
    place: Mapping[str, Any] = field(default_factory=dict)
    gsd: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the group attributes, conventions declared."""
        return self._json(
            {"proj": _proj(self.crs_wkt, self.crs_code)},
            layout="plain",
            gsd=self.gsd,
            chips={"chip_layout": dict(self.chip_layout)},
            held={
                "rows": dict(self.rows),
                "columns": list(self.columns),
                "table": self.table,
                "place": dict(self.place),
                "bbox": None if self.bbox is None else list(self.bbox),
            },
            optional={"band_names": self._named_bands},
        )

    @classmethod
    def from_json(cls, where: str, attributes: Mapping[str, Any]) -> Self:
        """Read the attributes of a store's group; as `StoreAttributes.from_json`."""
        check_version(where, attributes)
        try:
            bbox = attributes["geoembz:bbox"]
            return cls(
                **cls._shared(attributes),
                crs_wkt=checked_wkt(attributes["proj:wkt2"]),
                crs_code=attributes.get("proj:code"),
                bbox=None if bbox is None else tuple(map(float, bbox)),  # type: ignore[arg-type]
                chip_layout=_mapping(attributes["geoemb:chip_layout"]),
                rows={name: int(attributes["geoembz:rows"][name]) for name in ("total", "valid")},
                columns=tuple(map(str, attributes["geoembz:columns"])),
                table=attributes["geoembz:table"],
                place=_mapping(attributes["geoembz:place"]),
                gsd=attributes.get("geoemb:gsd"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{where}: attributes of a table store are missing or malformed ({error!r}); the "
                "store is damaged: fetch it again"
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
        uris = [uri for child in children.values() for uri in child.source_data]
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
    "geoembz:metric",
    BAND_NAMES,
)


def place_attributes(grid: Grid) -> dict[str, dict[str, Any]]:
    """Return the attributes that say where a raster lies, by convention."""
    return {"proj": _proj(grid.crs_wkt, grid.crs_code), "spatial": _spatial(grid)}


def _proj(crs_wkt: str, crs_code: str | None) -> dict[str, Any]:
    return {"proj:wkt2": crs_wkt, **({} if crs_code is None else {"proj:code": crs_code})}


def _spatial(grid: Grid) -> dict[str, Any]:
    return {
        "spatial:dimensions": ["y", "x"],
        "spatial:transform": list(grid.transform),
        "spatial:shape": list(grid.shape),
        "spatial:bbox": list(grid.bbox),
        "spatial:registration": "pixel",
    }


def read_grid(attributes: Mapping[str, Any]) -> Grid:
    """Read where a raster lies of what `place_attributes` returned.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is missing or malformed.
    """
    transform: Transform = tuple(map(float, attributes["spatial:transform"]))  # type: ignore[assignment]
    height, width = attributes["spatial:shape"]
    return Grid(
        crs_wkt=checked_wkt(attributes["proj:wkt2"]),
        crs_code=attributes.get("proj:code"),
        transform=transform,
        shape=(int(height), int(width)),
    )


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

"""The attributes of a table store's group: geoemb, proj and geoembz, and back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import zarr_cm

from geoembz._version import FORMAT_VERSION
from geoembz.errors import StoreError
from geoembz.store.conventions import (
    GEOEMB_CONVENTION,
    GEOEMBZ_CONVENTION,
    GEOEMBZ_UUID,
    UNKNOWN_MODEL,
    check_model,
    check_version,
    checked_wkt,
    read_band_names,
)


@dataclass(frozen=True)
class TableAttributes:
    """Everything that a table store says about itself in its group's attributes.

    Parameters
    ----------
    crs_wkt, crs_code
        CRS of `x` and `y` as WKT2:2019, and its authority and code where it has one.
    bbox
        Bounds of all places, in CRS units; None where no place is known.
    chip_layout
        The convention's `geoemb:chip_layout`.
    encoding, encoding_hash
        JSON part of the Encoding, and its content hash.
    original_dtype, stored_dtype
        Types of the numbers that were converted, and of the codes.
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
    band_names
        As in `StoreAttributes`.
    model, sources, fit, fidelity, software, license, version
        As in `StoreAttributes`.
    """

    crs_wkt: str
    crs_code: str | None
    bbox: tuple[float, float, float, float] | None
    chip_layout: Mapping[str, Any]
    encoding: Mapping[str, Any]
    encoding_hash: str
    original_dtype: str
    stored_dtype: str
    rows: Mapping[str, Any]
    columns: tuple[str, ...] = ()
    table: str | None = None
    place: Mapping[str, Any] = field(default_factory=dict)
    gsd: float | None = None
    model: str = UNKNOWN_MODEL
    sources: tuple[Mapping[str, Any], ...] = ()
    fit: Mapping[str, Any] = field(default_factory=dict)
    fidelity: Mapping[str, Any] = field(default_factory=dict)
    software: str = ""
    license: str | None = None
    band_names: tuple[str | None, ...] = ()
    version: str = FORMAT_VERSION

    def __post_init__(self) -> None:
        """Refuse a model that is no URI."""
        check_model(self.model)

    def to_json(self) -> dict[str, Any]:
        """Return the group attributes, conventions declared."""
        proj: dict[str, Any] = {"proj:wkt2": self.crs_wkt}
        if self.crs_code is not None:
            proj["proj:code"] = self.crs_code
        geo: dict[str, Any] = dict(zarr_cm.create_many({"proj": proj}))
        declared = [GEOEMB_CONVENTION, *geo.pop("zarr_conventions"), GEOEMBZ_CONVENTION]
        return {"zarr_conventions": declared, **self._geoemb(), **geo, **self._geoembz()}

    def _geoemb(self) -> dict[str, Any]:
        attributes: dict[str, Any] = {
            "geoemb:type": "chip",
            "geoemb:dimensions": self.encoding["dimension"],
            "geoemb:model": self.model,
            "geoemb:source_data": [source["uri"] for source in self.sources],
            "geoemb:data_type": self.stored_dtype,
            "geoemb:chip_layout": dict(self.chip_layout),
            "geoemb:quantization": {
                "method": f"geoembz:{self.encoding['recipe']}",
                "original_dtype": self.original_dtype,
                "quantized_dtype": self.stored_dtype,
                "link": f"urn:uuid:{GEOEMBZ_UUID}",
            },
            "geoemb:build_version": self.software,
        }
        return attributes if self.gsd is None else {**attributes, "geoemb:gsd": self.gsd}

    def _geoembz(self) -> dict[str, Any]:
        attributes = {
            "version": self.version,
            "layout": "plain",
            "recipe": self.encoding["recipe"],
            "encoding": dict(self.encoding),
            "encoding_hash": self.encoding_hash,
            "fit": dict(self.fit),
            "fidelity": dict(self.fidelity),
            "rows": dict(self.rows),
            "columns": list(self.columns),
            "table": self.table,
            "place": dict(self.place),
            "bbox": None if self.bbox is None else list(self.bbox),
            "sources": [dict(source) for source in self.sources],
            "software": self.software,
        }
        if self.license is not None:
            attributes["license"] = self.license
        if any(self.band_names):
            attributes["band_names"] = list(self.band_names)
        return {f"geoembz:{name}": value for name, value in attributes.items()}

    @classmethod
    def from_json(cls, where: str, attributes: Mapping[str, Any]) -> Self:
        """Read the attributes of a store's group.

        Raises
        ------
        StoreError
            If they are not those of a table store, or a required one is missing or malformed.
        StoreVersionError
            If the format version is unknown.
        """
        check_version(where, attributes)
        try:
            quantization, bbox = attributes["geoemb:quantization"], attributes["geoembz:bbox"]
            return cls(
                crs_wkt=checked_wkt(attributes["proj:wkt2"]),
                crs_code=attributes.get("proj:code"),
                bbox=None if bbox is None else tuple(map(float, bbox)),  # type: ignore[arg-type]
                chip_layout=dict(attributes["geoemb:chip_layout"]),
                encoding=dict(attributes["geoembz:encoding"]),
                encoding_hash=str(attributes["geoembz:encoding_hash"]),
                original_dtype=str(quantization["original_dtype"]),
                stored_dtype=str(quantization["quantized_dtype"]),
                rows={name: int(attributes["geoembz:rows"][name]) for name in ("total", "valid")},
                columns=tuple(map(str, attributes["geoembz:columns"])),
                table=attributes["geoembz:table"],
                place=dict(attributes["geoembz:place"]),
                gsd=attributes.get("geoemb:gsd"),
                model=str(attributes["geoemb:model"]),
                sources=tuple(dict(entry) for entry in attributes["geoembz:sources"]),
                fit=dict(attributes["geoembz:fit"]),
                fidelity=dict(attributes["geoembz:fidelity"]),
                software=str(attributes["geoembz:software"]),
                license=attributes.get("geoembz:license"),
                band_names=read_band_names(attributes),
                version=str(attributes["geoembz:version"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{where}: attributes of a table store are missing or malformed ({error!r}); the "
                "store is damaged: fetch it again"
            ) from error

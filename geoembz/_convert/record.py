"""What a store says of its conversion: the attributes of rasters, their dates, and of tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any, Self

import numpy as np

from geoembz._convert.shard_task import ShardResult
from geoembz._convert.table_rows import GEOMETRY
from geoembz._geo import box_of, metres_per_unit
from geoembz._geo.geoparquet import free_name, write_emb, write_geo
from geoembz._version import __version__
from geoembz.encoding._fidelity import FidelitySums
from geoembz.sources.base import Described, names_of, place_infos, traits_of
from geoembz.sources.provenance import check_unchanged, with_checksum
from geoembz.sources.tables import Survey, TableSource
from geoembz.sources.tables.products import Product
from geoembz.store.attributes import StoreAttributes, TableAttributes
from geoembz.store.documents import StorePlan
from geoembz.store.layout import TablePlan
from geoembz.store.table_writer import TABLE


@dataclass(frozen=True)
class Written:
    """What was written, as the store's attributes say it.

    Parameters
    ----------
    sources
        Provenance of the inputs.
    pixels
        ``{total, valid, rejected?, partial?}``.
    fidelity
        Measured on held-out pixels.
    """

    sources: tuple[Mapping[str, Any], ...]
    pixels: Mapping[str, Any]
    fidelity: Mapping[str, Any]

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any]) -> Self:
        """Read a date's entry in the attributes; the inverse of `at`."""
        return cls(tuple(entry["sources"]), entry["pixels"], entry["fidelity"])

    def at(self, date: str) -> dict[str, Any]:
        """Return the entry of a date."""
        return {
            "time": date,
            "sources": list(self.sources),
            "pixels": dict(self.pixels),
            "fidelity": dict(self.fidelity),
        }


def summarise(
    source: Described, results: Sequence[ShardResult], *, checksum: bool = False
) -> Written:
    """Add up the shards of a source; with `checksum`, read its files once more for their hashes.

    Raises
    ------
    SourceChangedError
        If an input is another than when it was opened.
    """
    infos = place_infos(source)
    inputs = tuple(map(with_checksum, infos)) if checksum else infos
    check_unchanged(source.info)  # after all that is read of them
    pixels, fidelity = total(results)
    return Written(
        sources=tuple(info.provenance() for info in inputs),
        pixels={"total": source.grid.window.size, **pixels},
        fidelity=fidelity.summary(),
    )


def total(results: Sequence[ShardResult]) -> tuple[dict[str, int], FidelitySums]:
    """Return ``{valid, rejected?, partial?}`` pixels and the fidelity of all shards, in order."""
    pixels = {"valid": sum(result.valid_pixels for result in results)}
    others = {
        "rejected": sum(result.rejected_pixels for result in results),
        "partial": sum(result.partial_pixels for result in results),
    }
    fidelity = reduce(FidelitySums.merge, (result.fidelity for result in results), FidelitySums())
    return pixels | {name: count for name, count in others.items() if count}, fidelity


def total_pixels(parts: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Add up counts of pixels by name; rejected ones may be absent, which means none."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(int(part.get(name, 0)) for part in parts) for name in names}


def store_attributes(
    source: Described,
    plan: StorePlan,
    written: Written,
    *,
    model: str,
    license: str | None,  # noqa: A002 - the field's word
    metric: str | None,
) -> StoreAttributes:
    """Return the attributes of a store whose shards are written.

    Parameters
    ----------
    source
        What was converted.
    plan
        Encoding, layout and dates (none, or the first) of the store.
    written
        Provenance, pixels and fidelity.
    model, license, metric
        As in `geoembz.convert`.
    """
    encoding, traits = plan.encoding, traits_of(source)
    return StoreAttributes(
        grid=source.grid,
        encoding=encoding.config(),
        encoding_hash=encoding.hash,
        layout=plan.layout,
        original_dtype=str(source.dtype),
        stored_dtype=str(encoding.code_dtype),
        model=model,
        sources=written.sources,
        fit=asdict(encoding.report),
        fidelity=written.fidelity,
        pixels=written.pixels,
        times=tuple(written.at(date) for date in plan.dates),
        layers=plan.layers,
        band_names=names_of(source),
        notes=traits.notes,
        skipped=traits.skipped,
        software=f"geoembz {__version__}",
        license=license,
        metric=metric,
    )


def table_attributes(
    source: TableSource,
    survey: Survey,
    plan: TablePlan,
    fidelity: FidelitySums,
    valid: int,
    *,
    model: str,
    license: str | None,  # noqa: A002 - the field's word
    metric: str | None,
    checksum: bool,
) -> TableAttributes:
    """Return the attributes of a store whose shards are written.

    Parameters
    ----------
    source, survey
        What was converted.
    plan
        Encoding and columns of the store.
    fidelity
        Measured on held-out rows.
    valid
        Rows that hold a vector.
    model, license, metric, checksum
        As in `geoembz.convert`.
    """
    from pyproj import CRS

    encoding, places = plan.encoding, survey.places
    inputs = tuple(map(with_checksum, source.info)) if checksum else source.info
    check_unchanged(source.info)  # after all that is read of them
    crs = CRS.from_user_input(source.crs)
    authority = crs.to_authority()
    return TableAttributes(
        crs_wkt=crs.to_wkt("WKT2_2019"),
        crs_code=":".join(authority) if authority else None,
        bbox=box_of(source.crs, places),
        chip_layout=chip_layout(source.traits, crs, survey),
        encoding=encoding.config(),
        encoding_hash=encoding.hash,
        original_dtype=str(source.dtype),
        stored_dtype=str(encoding.code_dtype),
        rows={"total": survey.n_rows, "valid": valid},
        columns=tuple(column.name for column in plan.columns),
        table=TABLE if len(plan.columns) < len(source.schema) else None,
        place={
            "product": source.traits.product,
            "geometry": source.geometry,
            "x": source.axes[0],
            "y": source.axes[1],
        },
        gsd=source.traits.gsd,
        model=model,
        sources=tuple(info.provenance() for info in inputs),
        fit=asdict(encoding.report),
        fidelity=fidelity.summary(),
        software=f"geoembz {__version__}",
        license=license,
        metric=metric,
        band_names=source.band_names,
    )


def table_footer(source: TableSource, attributes: TableAttributes) -> dict[bytes, bytes]:
    """Return the footer of the file of other columns, which is GeoParquet without vectors."""
    geo = write_geo(
        source.geometry or free_name(GEOMETRY, source.schema.names),
        attributes.crs_code or attributes.crs_wkt,
        [] if source.geometry else ["Point"],
        None if source.geometry else attributes.bbox,
    )
    emb = write_emb(
        model=attributes.model,
        dimension=source.dimension,
        kind="chip",
        quantization=f"geoembz:{attributes.encoding['recipe']}",
        sources=[str(entry["uri"]) for entry in attributes.sources],
    )
    return {b"geo": geo, b"emb": emb}


def chip_layout(product: Product, crs: Any, survey: Survey) -> dict[str, Any]:
    """Detect the chip layout (``geoemb:chip_layout``): chips in image pixels, 1 x 1 for points.

    Parameters
    ----------
    product
        What the table was recognised as; its `gsd` is the size of a pixel.
    crs
        A `pyproj.CRS`.
    survey
        Size and places of the chips.

    Examples
    --------
    >>> from pyproj import CRS
    >>> from geoembz.sources.tables.products import CLAY_V1_5
    >>> survey = Survey(np.array([[5e5, 5e6]]), frozenset(), (2560.0, 2560.0))
    >>> chip_layout(CLAY_V1_5, CRS(32633), survey)["chip_size"]
    [256, 256]
    """
    width, height = survey.chip_size
    if product.gsd is None or not (width > 0 and height > 0):
        size = [1, 1]
    else:
        place = np.nanmedian(survey.places, axis=0).tolist()
        x_metres, y_metres = metres_per_unit(crs.to_wkt(), *place)
        size = [
            max(1, round(height * y_metres / product.gsd)),
            max(1, round(width * x_metres / product.gsd)),
        ]
    layout: dict[str, Any] = {"layout_type": "irregular", "chip_size": size}
    return layout if product.grid_id is None else {**layout, "grid_id": product.grid_id}

"""What a store of a table says of its conversion."""

from dataclasses import asdict
from typing import Any

import numpy as np

from geoembz._convert.table_rows import GEOMETRY
from geoembz._geo import box_of, metres_per_unit
from geoembz._geo.geoparquet import free_name, write_emb, write_geo
from geoembz._version import __version__
from geoembz.encoding._fidelity import FidelitySums
from geoembz.sources.provenance import check_unchanged, with_checksum
from geoembz.sources.tables import Survey, TableSource
from geoembz.sources.tables.products import Product
from geoembz.store.attributes import TableAttributes
from geoembz.store.layout import TablePlan
from geoembz.store.table_writer import TABLE


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

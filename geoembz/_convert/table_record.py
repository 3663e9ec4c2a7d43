"""What the conversion of a table says afterwards: in the store, and to the caller."""

from dataclasses import asdict

from geoembz._convert.chips import chip_layout
from geoembz._convert.summary import ConvertSummary
from geoembz._convert.table_rows import GEOMETRY
from geoembz._geo import box_of
from geoembz._geo.geoparquet import free_name, write_emb, write_geo
from geoembz._version import __version__
from geoembz.encoding import Encoding
from geoembz.encoding._fidelity import FidelitySums
from geoembz.sources import check_unchanged, with_checksum
from geoembz.sources.tables import Survey, TableSource
from geoembz.store import TableAttributes, TablePlan, TableReader
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
    model, license, checksum
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


def table_summary(
    source: TableSource,
    url: str,
    encoding: Encoding,
    attributes: TableAttributes,
    started: float,
) -> ConvertSummary:
    """Return the summary of a complete store.

    Parameters
    ----------
    source
        What was converted.
    url, encoding, attributes
        The store.
    started
        When the conversion began, by ``time.perf_counter``, in seconds.
    """
    return ConvertSummary.of(
        url,
        encoding,
        attributes.fidelity,
        pixels=attributes.rows["total"],
        vector_bytes=source.dimension * source.dtype.itemsize,
        bytes_stored=TableReader.open(url).stored_bytes(),
        started=started,
        valid_pixels=attributes.rows["valid"],
        unit="row",
    )

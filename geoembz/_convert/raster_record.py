"""What the conversion of a raster says afterwards: in the store, and to the caller."""

from dataclasses import asdict

from geoembz._convert.shards import Written
from geoembz._convert.summary import ConvertSummary
from geoembz._version import __version__
from geoembz.encoding import Encoding
from geoembz.sources import Source, names_of, traits_of
from geoembz.store import StorePlan, StoreReader
from geoembz.store.attributes import StoreAttributes


def store_attributes(
    source: Source,
    plan: StorePlan,
    written: Written,
    *,
    model: str,
    license: str | None,  # noqa: A002 - the field's word
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
    model, license
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
        band_names=names_of(source),
        notes=traits.notes,
        skipped=traits.skipped,
        software=f"geoembz {__version__}",
        license=license,
    )


def raster_summary(
    source: Source, url: str, encoding: Encoding, attributes: StoreAttributes, started: float
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
        pixels=source.grid.window.size,
        vector_bytes=source.dimension * source.dtype.itemsize,
        bytes_stored=StoreReader.open(url).stored_bytes(),
        started=started,
        valid_pixels=attributes.pixels["valid"],
        rejected_pixels=attributes.pixels.get("rejected", 0),
        partial_pixels=attributes.pixels.get("partial", 0),
        skipped_inputs=len(attributes.skipped),
        notes=attributes.notes,
    )

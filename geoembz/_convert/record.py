"""What a store says of its conversion: the attributes of rasters and their dates."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any, Self

from geoembz._convert.shard_task import ShardResult
from geoembz._version import __version__
from geoembz.encoding._fidelity import FidelitySums
from geoembz.sources.base import Described, names_of, place_infos, traits_of
from geoembz.sources.provenance import check_unchanged, with_checksum
from geoembz.store.attributes import StoreAttributes
from geoembz.store.documents import StorePlan


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

"""What a conversion did, in numbers."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from geoembz._objects.tree import ObjectTree
from geoembz._text import figure
from geoembz._util.results import Result
from geoembz.store.levels import OVERVIEWS

if TYPE_CHECKING:
    from geoembz.store import StoreReader, TableReader
    from geoembz.store.attributes import StoreAttributes
    from geoembz.store.levels import Level

REJECTED = "no embeddings: damaged, or a fill value that nobody declared"
"""What rejected pixels are."""


@dataclass(frozen=True)
class ConvertSummary(Result):
    """What a conversion did, what it cost and what it lost.

    Fidelity is measured on held-out pixels, which never entered the fit; it is None where the
    raster is too small to hold any out.

    Parameters
    ----------
    store
        Where the store is.
    recipe
        Name of the recipe.
    encoding_hash
        Content hash of the encoding.
    pixels
        Pixels of the raster.
    valid_pixels
        Those that hold an embedding.
    bytes_in
        Uncompressed size of the input: pixels × dimension × size of one number.
    bytes_stored
        Size of all objects of the store, metadata included.
    ratio
        `bytes_in` / `bytes_stored`.
    bytes_per_pixel
        `bytes_stored` / `pixels`.
    bytes_per_embedding
        Nominal size of one code, before entropy coding.
    explained_variance
        Share of the sample's variance that the components keep, 0 to 1.
    cosine
        Mean cosine similarity of held-out vectors with their decoded selves.
    cosine_centred
        The same after the sample's mean is taken off both: the stricter figure.
    rmse
        Root mean square error over held-out vectors and components, in units of the data.
    held_out_pixels
        Pixels that fidelity was measured on.
    seconds
        Wall-clock time, imports excluded.
    rejected_pixels
        Pixels that hold no embedding although nothing declares it: damaged, or filled.
    partial_pixels
        Valid pixels that hold the declared nodata value in some components, as a number.
    skipped_inputs
        Inputs that could not be read and were left out.
    notes
        What was done to the input that a reader may want to know.
    unit
        What holds an embedding: ``pixel``, or ``row`` of a table; `pixels` count these.
    checked_pixels
        Pixels at which the store was compared with the inputs by place, and agreed; None where
        that was not asked for.
    """

    store: str
    recipe: str
    encoding_hash: str
    pixels: int
    valid_pixels: int
    bytes_in: int
    bytes_stored: int
    ratio: float
    bytes_per_pixel: float
    bytes_per_embedding: int
    explained_variance: float
    cosine: float | None
    cosine_centred: float | None
    rmse: float | None
    held_out_pixels: int
    seconds: float
    rejected_pixels: int = 0
    partial_pixels: int = 0
    skipped_inputs: int = 0
    notes: tuple[str, ...] = ()
    unit: str = "pixel"
    checked_pixels: int | None = None

    @classmethod
    def of(
        cls,
        store: str,
        reader: "StoreReader | TableReader",
        counts: Mapping[str, int],
        *,
        vector_bytes: int,
        started: float,
        **others: Any,
    ) -> Self:
        """Derive what follows from a complete store.

        Parameters
        ----------
        store, reader
            Where it is, and what reads it.
        counts
            ``{total, valid, rejected?, partial?}`` pixels, or rows of a table.
        vector_bytes
            Size of an uncompressed vector of the input.
        started
            When the conversion began, by ``time.perf_counter``, in seconds.
        **others
            The remaining fields.
        """
        encoding, fidelity = reader.encoding, reader.attributes.fidelity
        bytes_in, bytes_stored = counts["total"] * vector_bytes, reader.stored_bytes()
        return cls(
            store=store,
            recipe=encoding.recipe,
            encoding_hash=encoding.hash,
            pixels=counts["total"],
            valid_pixels=counts["valid"],
            bytes_in=bytes_in,
            bytes_stored=bytes_stored,
            ratio=bytes_in / bytes_stored,
            bytes_per_pixel=bytes_stored / counts["total"],
            bytes_per_embedding=encoding.bytes_per_vector,
            explained_variance=encoding.report.explained_variance,
            cosine=fidelity["cosine"],
            cosine_centred=fidelity["cosine_centred"],
            rmse=fidelity["rmse"],
            held_out_pixels=fidelity["n"],
            seconds=time.perf_counter() - started,
            rejected_pixels=counts.get("rejected", 0),
            partial_pixels=counts.get("partial", 0),
            **others,
        )

    @property
    def fidelity(self) -> dict[str, Any]:
        """What was lost, as the attributes of a store say it."""
        return {
            "cosine": self.cosine,
            "cosine_centred": self.cosine_centred,
            "rmse": self.rmse,
            "n": self.held_out_pixels,
        }

    def _rows(self) -> list[tuple[str, ...]]:
        kept = self.valid_pixels / self.pixels
        rows: list[tuple[str, ...]] = [
            ("store", self.store),
            ("recipe", f"{self.recipe}  ({self.bytes_per_embedding} bytes per embedding)"),
            (f"{self.unit}s", f"{self.pixels:,}  ({kept:.1%} valid)"),
            ("bytes in", f"{self.bytes_in:,}"),
            ("bytes stored", f"{self.bytes_stored:,}"),
            ("ratio", f"{self.ratio:.1f} x  (to the numbers uncompressed, not to their files)"),
            (f"bytes/{self.unit}", f"{self.bytes_per_pixel:.2f}"),
            ("explained variance", f"{self.explained_variance:.4f}"),
            ("cosine", figure(self.cosine)),
            ("cosine, centred", figure(self.cosine_centred)),
            ("rmse", figure(self.rmse)),
            (f"held-out {self.unit}s", f"{self.held_out_pixels:,}"),
            ("seconds", f"{self.seconds:.2f}"),
        ]
        if self.rmse == 0:
            rows.append(("loss", "none: decoded numbers are those that were read (lossless)"))
        if self.rejected_pixels:
            rows.append(("rejected pixels", f"{self.rejected_pixels:,}  ({REJECTED})"))
        if self.partial_pixels:
            invalid = self.pixels - self.valid_pixels
            counts = f"{self.partial_pixels:,}  (valid; in all bands or masked: {invalid:,})"
            rows.append(("nodata in part", counts))
        if self.skipped_inputs:
            rows.append(("skipped inputs", f"{self.skipped_inputs:,}  (listed in the store)"))
        if self.checked_pixels is not None:
            rows.append(("checked pixels", f"{self.checked_pixels:,}  (by place, all agree)"))
        return [*rows, *(("note", note) for note in self.notes)]


@dataclass(frozen=True)
class AppendSummary(Result):
    """What was added to a store; see `ConvertSummary` for what the names mean.

    Parameters
    ----------
    store
        Where the store is.
    time
        Date that was added, as ``YYYY-MM-DD``.
    pixels, valid_pixels, rejected_pixels
        Pixels of that date.
    cosine, cosine_centred, rmse, held_out_pixels
        Fidelity of that date.
    seconds
        Wall-clock time, imports excluded.
    notes
        What was done to the input, and where the date stands, one sentence each.
    """

    store: str
    time: str
    pixels: int
    valid_pixels: int
    rejected_pixels: int
    cosine: float | None
    cosine_centred: float | None
    rmse: float | None
    held_out_pixels: int
    seconds: float
    notes: tuple[str, ...] = ()

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            ("store", self.store),
            ("time", self.time),
            ("pixels", f"{self.pixels:,}  ({self.valid_pixels / self.pixels:.1%} valid)"),
            ("rejected pixels", f"{self.rejected_pixels:,}"),
            ("cosine", figure(self.cosine)),
            ("cosine, centred", figure(self.cosine_centred)),
            ("rmse", figure(self.rmse)),
            ("held-out pixels", f"{self.held_out_pixels:,}"),
            ("seconds", f"{self.seconds:.2f}"),
            *(("note", note) for note in self.notes),
        ]


@dataclass(frozen=True)
class UpdateSummary(Result):
    """What was changed in a store; see `ConvertSummary` for what the names mean.

    Parameters
    ----------
    store
        Where the store is.
    time
        Date that was changed, as it was asked for.
    filled_pixels, replaced_pixels
        Pixels that held no embedding before, and those that held another one.
    rejected_pixels
        Of the source: pixels that hold no embedding although nothing declares it.
    shards
        Shards that were written, of the full resolution.
    pixels, valid_pixels
        Of that date as it is now.
    cosine, cosine_centred, rmse, held_out_pixels
        Fidelity of what was filled or replaced.
    seconds
        Wall-clock time, imports excluded.
    notes
        What was done to the input, one sentence each.
    """

    store: str
    time: str | None
    filled_pixels: int
    replaced_pixels: int
    rejected_pixels: int
    shards: int
    pixels: int
    valid_pixels: int
    cosine: float | None
    cosine_centred: float | None
    rmse: float | None
    held_out_pixels: int
    seconds: float
    notes: tuple[str, ...] = ()

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            ("store", self.store),
            *([] if self.time is None else [("time", self.time)]),
            ("filled pixels", f"{self.filled_pixels:,}"),
            ("replaced pixels", f"{self.replaced_pixels:,}"),
            ("rejected pixels", f"{self.rejected_pixels:,}"),
            ("shards written", f"{self.shards:,}"),
            ("pixels", f"{self.pixels:,}  ({self.valid_pixels / self.pixels:.1%} valid)"),
            ("cosine", figure(self.cosine)),
            ("cosine, centred", figure(self.cosine_centred)),
            ("rmse", figure(self.rmse)),
            ("held-out pixels", f"{self.held_out_pixels:,}"),
            ("seconds", f"{self.seconds:.2f}"),
            *(("note", note) for note in self.notes),
        ]


@dataclass(frozen=True)
class LevelSummary:
    """A level of a store.

    Parameters
    ----------
    grid
        Name of its grid, of several; else empty.
    factor
        Side of its pixels, in pixels of the full resolution.
    height, width
        In pixels.
    valid_pixels
        Those that cover a valid one; over all dates.
    cosine, cosine_centred, rmse, held_out_pixels
        Of the means as they were encoded; over all dates.
    """

    grid: str
    factor: int
    height: int
    width: int
    valid_pixels: int
    cosine: float | None
    cosine_centred: float | None
    rmse: float | None
    held_out_pixels: int

    @classmethod
    def of(cls, grid: str, level: "Level") -> Self:
        """Return what a store's attributes say of a level."""
        fidelity = level.fidelity
        return cls(
            grid,
            level.factor,
            *level.grid.shape,
            level.pixels["valid"],
            *(fidelity[name] for name in ("cosine", "cosine_centred", "rmse", "n")),
        )

    def row(self) -> tuple[str, str]:
        """Return it as a row of a table."""
        return (
            f"level {self.grid} {self.factor}".replace("  ", " "),
            f"{self.height:,} x {self.width:,} pixels, cosine {figure(self.cosine)}",
        )


@dataclass(frozen=True)
class OverviewsSummary(Result):
    """The levels that a store has got.

    Parameters
    ----------
    store
        Where the store is.
    levels
        Of each grid, finest first.
    unit_length
        Whether means were divided by their lengths.
    bytes_stored
        Size of all objects of the levels.
    bytes_full
        Size of all other objects of the store.
    seconds
        Wall-clock time, imports excluded.
    """

    store: str
    levels: tuple[LevelSummary, ...]
    unit_length: bool
    bytes_stored: int
    bytes_full: int
    seconds: float

    @classmethod
    def of(cls, url: str, grids: Mapping[str, "StoreAttributes"], seconds: float) -> Self:
        """Return what the stores say of themselves, by the name of their grid."""
        sizes = ObjectTree(url).sizes()
        own = sum(size for key, size in sizes.items() if f"{OVERVIEWS}/" in key)
        return cls(
            url,
            tuple(
                LevelSummary.of(name, level)
                for name, attributes in grids.items()
                for level in attributes.levels
            ),
            next(iter(grids.values())).unit_length,
            own,
            sum(sizes.values()) - own,
            seconds,
        )

    def _rows(self) -> list[tuple[str, ...]]:
        share = self.bytes_stored / self.bytes_full
        return [
            ("store", self.store),
            *(level.row() for level in self.levels),
            ("means", "of length 1" if self.unit_length else "as they are"),
            ("stored", f"{self.bytes_stored:,} bytes  ({share:.1%} more)"),
            ("seconds", f"{self.seconds:.2f}"),
        ]


@dataclass(frozen=True)
class RepackSummary(Result):
    """What packing a store anew made of it.

    Parameters
    ----------
    store
        Where the new one is.
    archive
        Whether it is an archive.
    n_shards
        Objects that got other codecs.
    bytes_before, bytes_after
        Size of all objects of the store and of the new one.
    seconds
        Wall-clock time, imports excluded.
    """

    store: str
    archive: bool
    n_shards: int
    bytes_before: int
    bytes_after: int
    seconds: float

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            ("store", self.store),
            ("packed", "as an archive" if self.archive else "to be read"),
            ("shards", f"{self.n_shards:,}"),
            ("before", f"{self.bytes_before:,} bytes"),
            ("after", f"{self.bytes_after:,} bytes  ({self.bytes_before / self.bytes_after:.2f}x)"),
            ("seconds", f"{self.seconds:.2f}"),
        ]


def merge_summaries(
    summaries: Sequence[ConvertSummary], store: str, bytes_stored: int, seconds: float
) -> ConvertSummary:
    """Return the summary of several grids: sums, and means over their held-out pixels."""
    fidelity = mean_fidelity([summary.fidelity for summary in summaries])
    pixels, bytes_in = sum(s.pixels for s in summaries), sum(s.bytes_in for s in summaries)
    return replace(
        summaries[0],
        store=store,
        pixels=pixels,
        valid_pixels=sum(s.valid_pixels for s in summaries),
        bytes_in=bytes_in,
        bytes_stored=bytes_stored,
        ratio=bytes_in / bytes_stored,
        bytes_per_pixel=bytes_stored / pixels,
        cosine=fidelity["cosine"],
        cosine_centred=fidelity["cosine_centred"],
        rmse=fidelity["rmse"],
        held_out_pixels=fidelity["n"],
        seconds=seconds,
        rejected_pixels=sum(s.rejected_pixels for s in summaries),
        partial_pixels=sum(s.partial_pixels for s in summaries),
        notes=tuple(dict.fromkeys(note for s in summaries for note in s.notes)),
    )


def mean_fidelity(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the means over the held-out pixels of all dates, or grids: of errors, of squares."""

    def mean(name: str, power: int = 1) -> float | None:
        measured = [(part[name], part["n"]) for part in parts if part.get("n")]
        known = [(value**power, count) for value, count in measured if value is not None]
        total = sum(count for _, count in known)
        return float(sum(value * count for value, count in known) / total) if total else None

    squared = mean("rmse", 2)
    return {
        "cosine": mean("cosine"),
        "cosine_centred": mean("cosine_centred"),
        "rmse": None if squared is None else math.sqrt(squared),
        "n": sum(part.get("n", 0) for part in parts),
    }

"""What a conversion did, in numbers."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from geoembz._text import figure
from geoembz._util.results import Result
from geoembz.encoding import Encoding

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
        encoding: Encoding,
        fidelity: Mapping[str, Any],
        *,
        pixels: int,
        vector_bytes: int,
        bytes_stored: int,
        started: float,
        **others: Any,
    ) -> Self:
        """Derive what follows from a complete store.

        Parameters
        ----------
        store, encoding, fidelity
            Where it is, and what it says.
        pixels
            Pixels, or rows of a table.
        vector_bytes
            Size of an uncompressed vector of the input.
        bytes_stored
            Size of all objects.
        started
            When the conversion began, by ``time.perf_counter``, in seconds.
        **others
            The remaining fields.
        """
        bytes_in = pixels * vector_bytes
        return cls(
            store=store,
            recipe=encoding.recipe,
            encoding_hash=encoding.hash,
            pixels=pixels,
            bytes_in=bytes_in,
            bytes_stored=bytes_stored,
            ratio=bytes_in / bytes_stored,
            bytes_per_pixel=bytes_stored / pixels,
            bytes_per_embedding=encoding.bytes_per_vector,
            explained_variance=encoding.report.explained_variance,
            cosine=fidelity["cosine"],
            cosine_centred=fidelity["cosine_centred"],
            rmse=fidelity["rmse"],
            held_out_pixels=fidelity["n"],
            seconds=time.perf_counter() - started,
            **others,
        )

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

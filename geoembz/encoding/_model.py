"""The Encoding: a recipe with its fitted state; everything needed to encode and to decode."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz._util import html
from geoembz._util.output import output_file
from geoembz.encoding import _kernel as kernel
from geoembz.encoding import _state as state
from geoembz.encoding._fit import EncodingFitter
from geoembz.encoding._kernel import Decoder, Space
from geoembz.encoding._metric import Metric
from geoembz.encoding._projection import Projection, scale_to_unit
from geoembz.encoding._quantization import (
    Codes,
    FloatQuantizer,
    Quantizer,
    quantizer_from_state,
)
from geoembz.encoding._recipe import Recipe
from geoembz.encoding._state import FitReport
from geoembz.errors import EncodingError, InvalidConfigError


@dataclass(frozen=True, eq=False)
class Encoding:
    """A fitted encoding: original vectors to stored codes, and back.

    Two encodings are equal when their `hash` is: their codes are comparable vector by vector.

    Parameters
    ----------
    recipe
        Name of what was fitted: a label, which decoding does not need.
    projection
        Original vectors to components.
    quantizer
        Components to codes.
    variance
        Variance of each component in the fit's sample, before whitening and rotation; float32,
        shape ``(n_components,)``.
    normalize
        Whether vectors are scaled to length 1 first; what decodes then has about that length.
    report
        What the fit was made from and how much it keeps; not part of the hash.
    band_names
        What the components of the vectors are called, None for those without a name; empty where
        nothing is known of it. Not part of the hash.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scores, axes = rng.normal(size=(500, 3)), rng.normal(size=(3, 16))
    >>> samples = (scores @ axes).astype("float32")
    >>> encoding = Encoding.fit(samples, "pca3-int8")
    >>> codes = encoding.encode(samples)
    >>> codes.shape, codes.dtype
    ((500, 3), dtype('int8'))
    >>> bool(np.abs(encoding.decode(codes) - samples).max() < 0.1)
    True
    """

    recipe: str
    projection: Projection
    quantizer: Quantizer
    variance: NDArray[np.float32]
    normalize: bool = False
    report: FitReport = field(default_factory=FitReport)
    band_names: tuple[str | None, ...] = ()

    def __post_init__(self) -> None:
        """Refuse parts that do not belong together."""
        n_components = self.projection.n_components
        if self.quantizer.n_components != n_components or self.variance.shape != (n_components,):
            raise EncodingError(
                f"encoding: projection gives {n_components} components, quantizer takes "
                f"{self.quantizer.n_components}, variance has shape {self.variance.shape}; "
                "they must agree"
            )

    @classmethod
    def fit(cls, samples: ArrayLike, recipe: Recipe | str, seed: int = 0) -> Self:
        """Fit a recipe to sample vectors.

        Parameters
        ----------
        samples
            Shape ``(n, dimension)``; rows with a component that is not finite are left out.
        recipe
            A `Recipe` or its name.
        seed
            Chooses the rows that quantizers are fitted on when there are more than they need.

        Raises
        ------
        InvalidConfigError
            If the samples are not 2-D or complex, or the recipe asks for too many components.
        NoValidPixelsError
            If too few rows are finite.

        References
        ----------
        spec/encoding.md, "Fitting".
        """
        vectors = np.asarray(samples)
        if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
            raise InvalidConfigError(
                f"fit: samples of shape {vectors.shape} and type {vectors.dtype}; expected real "
                "numbers of shape (n, dimension)"
            )
        return cls.fit_blocks([vectors.T], recipe, vectors.shape[1], seed)

    @classmethod
    def fit_blocks(
        cls,
        blocks: Iterable[NDArray[Any]],
        recipe: Recipe | str,
        dimension: int,
        seed: int = 0,
    ) -> Self:
        """Fit a recipe to any number of blocks ``(dimension, n_pixels)`` in bounded memory.

        Blocks in a list are taken as they lie; those of an iterator are copied where they are kept,
        since it may use their memory again.
        """
        recipe = Recipe.parse(recipe) if isinstance(recipe, str) else recipe
        fitter = EncodingFitter(recipe, dimension, seed, borrows=isinstance(blocks, list))
        for block in blocks:
            fitter.update(block)
        return cls.of_fitter(fitter)

    @classmethod
    def of_fitter(cls, fitter: EncodingFitter) -> Self:
        """Return what a fitter makes of the vectors that it has seen.

        Raises
        ------
        NoValidPixelsError
            If they are too few.
        """
        fitted, quantizer, report = fitter.finish()
        recipe, variance = fitter.recipe, fitted.variance.astype(np.float32)
        return cls(str(recipe), fitted.projection, quantizer, variance, recipe.normalize, report)

    def __repr__(self) -> str:
        """Return one line: the arrays are many screens."""
        return f"Encoding({', '.join(f'{name}: {value}' for name, value in self._facts())})"

    def _repr_html_(self) -> str:
        """Show what it makes of vectors in a notebook."""
        return html.card("Encoding", html.table(self._facts()))

    def _facts(self) -> list[tuple[str, str]]:
        """Return what a reader wants to know."""
        named = sum(name is not None for name in self.band_names)
        return [
            ("recipe", self.recipe),
            ("vectors", f"{self.dimension} numbers" + (f", {named} with names" if named else "")),
            ("components", str(self.n_components)),
            ("codes", f"{self.code_length} x {self.code_dtype}, {self.bytes_per_vector} bytes"),
            ("explained variance", f"{self.report.explained_variance:.4f}"),
            ("fitted on", f"{self.report.n_samples:,} vectors"),
            ("hash", f"{self.hash[:19]}…"),
        ]

    @property
    def dimension(self) -> int:
        """Length of an original vector."""
        return self.projection.dimension

    @property
    def n_components(self) -> int:
        """Length of a reduced vector."""
        return self.projection.n_components

    @property
    def code_length(self) -> int:
        """Stored numbers per vector: components, or bytes where several codes share one."""
        return kernel.code_length(self.quantizer)

    @property
    def code_dtype(self) -> np.dtype[np.generic]:
        """Type of the stored numbers."""
        return self.quantizer.dtype

    @property
    def bytes_per_vector(self) -> int:
        """Nominal size of one stored vector, in bytes, before entropy coding."""
        return self.code_length * self.code_dtype.itemsize

    def prefix_length(self, components: int) -> int:
        """Return the stored numbers that hold the first so many components of a vector.

        Raises
        ------
        InvalidConfigError
            If there are not so many components, or they have no order.
        """
        first = self.decoder("reduced", components).quantizer
        return kernel.code_length(first)

    @property
    def nodata(self) -> int | float | None:
        """Code of an invalid vector; None where validity is stored beside the codes."""
        return self.quantizer.nodata

    @property
    def fill_value(self) -> int | float:
        """Stored number that stands for an invalid vector where nothing was written."""
        return self.quantizer.fill_value

    def is_nodata(self, codes: Codes) -> NDArray[np.bool_]:
        """Return which stored numbers are those of an invalid vector, bool of the same shape.

        All of an invalid vector are and none of a valid one is, so that one place of each tells.
        """
        return self.quantizer.is_nodata(codes)

    @cached_property
    def hash(self) -> str:
        """Content hash, ``sha256:`` and 64 hex digits (spec/encoding.md, "Hash")."""
        return state.content_hash(self.config(), self.arrays())

    def __eq__(self, other: object) -> bool:
        """Whether both turn the same vectors into the same codes."""
        return isinstance(other, Encoding) and self.hash == other.hash

    def __hash__(self) -> int:
        """Hash of the content hash."""
        return hash(self.hash)

    def encode(self, vectors: ArrayLike, valid: NDArray[np.bool_] | None = None) -> Codes:
        """Encode vectors of shape ``(…, dimension)`` to codes of shape ``(…, code_length)``.

        Parameters
        ----------
        vectors
            Real numbers. A component that is not finite makes its vector invalid.
        valid
            bool, shape ``(…)``: False makes a vector invalid as well.

        Returns
        -------
        codes
            `code_dtype`; invalid vectors are `nodata` throughout.

        Raises
        ------
        EncodingError
            If the last axis is not `dimension` long, or a vector is invalid and the codes have no
            room for nodata: leave such vectors out, or use `encode_block`, which returns the mask.
        """
        array = np.asarray(vectors)
        if array.dtype.kind not in "fiu" or not array.ndim or array.shape[-1] != self.dimension:
            raise EncodingError(
                f"encode: vectors of shape {array.shape} and type {array.dtype}; this encoding "
                f"expects real numbers of shape (…, {self.dimension})"
            )
        codes, valid_out = kernel.encode_rows(
            self.projection,
            self.quantizer,
            array.reshape(-1, self.dimension),
            None if valid is None else valid.reshape(-1),
            normalize=self.normalize,
        )
        if self.nodata is None and not valid_out.all():
            raise EncodingError(
                f"encode: {int((~valid_out).sum())} of {valid_out.size} vectors are invalid (NaN, "
                f"infinite or masked), and {self.quantizer.kind} codes have no room for nodata; "
                "leave them out, or use encode_block, which returns a mask beside the codes"
            )
        return codes.reshape(*array.shape[:-1], self.code_length)

    def decode(
        self,
        codes: ArrayLike,
        space: Space = "original",
        *,
        valid: NDArray[np.bool_] | None = None,
        components: int | None = None,
    ) -> NDArray[np.float32]:
        """Decode codes of shape ``(…, code_length)``.

        Parameters
        ----------
        codes
            What `encode` returned.
        space
            ``original`` for vectors of `dimension`, ``reduced`` for components (with the mean's
            part of the subspace, so that dot products are those of the originals).
        valid
            bool, shape ``(…)``: False becomes NaN, as do codes that are `nodata`.
        components
            Use only the first so many components.

        Returns
        -------
        vectors
            float32, shape ``(…, dimension)`` or ``(…, n_components)``.

        Raises
        ------
        EncodingError
            If the codes have another length or type than this encoding's.
        InvalidConfigError
            If the space is unknown or there are not so many components.
        """
        array = np.asarray(codes)
        if array.dtype != self.code_dtype or not array.ndim or array.shape[-1] != self.code_length:
            raise EncodingError(
                f"decode: codes of shape {array.shape} and type {array.dtype}; this encoding "
                f"expects {self.code_dtype} of shape (…, {self.code_length})"
            )
        block = array.reshape(-1, self.code_length).T
        out = self.decode_block(
            block, space, None if valid is None else valid.reshape(-1), components
        )
        return np.ascontiguousarray(out.T).reshape(*array.shape[:-1], out.shape[0])

    def decoder(
        self, space: Space = "original", components: int | None = None, whiten: float = 0.0
    ) -> Decoder:
        """Prepare decoding into one space.

        Parameters
        ----------
        space, components
            As in `decode`.
        whiten
            Divide each component of reduced space by this power of its standard deviation (relative
            to the largest), 0 to 1: a metric that weighs small components higher.

        Raises
        ------
        InvalidConfigError
            If the space is unknown, there are not so many components, or nothing says how they
            vary.
        """
        weights = self._weights(whiten)
        return Decoder.of(self.projection, self.quantizer, space, components, weights)

    @property
    def knows_variance(self) -> bool:
        """Whether components can be weighed: after a rotation alone nothing says how they vary."""
        return self.projection.rotation is not None or not self.projection.rotated

    def check_metric(self, metric: Metric) -> None:
        """Refuse a metric that does not suit the codes.

        Raises
        ------
        InvalidConfigError
            If they are no bits, or nothing says how components vary.
        """
        metric.check(self.recipe, kind=self.quantizer.kind, has_order=self.knows_variance)

    def reduce(self, vectors: ArrayLike, whiten: float = 0.0) -> NDArray[np.float32]:
        """Return vectors of shape ``(…, dimension)`` in reduced space, without quantization.

        What ``decode(codes, "reduced")`` gives for codes, this gives for floats: queries that are
        compared with decoded vectors lose nothing but what the projection leaves out.

        Parameters
        ----------
        vectors
            Real numbers.
        whiten
            As in `decoder`.

        Returns
        -------
        vectors
            float32, shape ``(…, n_components)``.

        Raises
        ------
        EncodingError
            If the last axis is not `dimension` long.

        Examples
        --------
        >>> samples = np.random.default_rng(0).normal(size=(500, 8)).astype("float32")
        >>> encoding = Encoding.fit(samples, "pca4-int8")
        >>> decoded = encoding.decode(encoding.encode(samples), "reduced")
        >>> bool(np.abs(encoding.reduce(samples) - decoded).max() < 0.1)
        True
        """
        array = np.asarray(vectors)
        if array.dtype.kind not in "fiu" or not array.ndim or array.shape[-1] != self.dimension:
            raise EncodingError(
                f"reduce: vectors of shape {array.shape} and type {array.dtype}; this encoding "
                f"expects real numbers of shape (…, {self.dimension})"
            )
        floats = FloatQuantizer(32, self.n_components)
        decoder = Decoder.of(self.projection, floats, "reduced", None, self._weights(whiten))
        scores = self.projection.transform(self.target(array.reshape(-1, self.dimension).T))
        reduced = np.ascontiguousarray(decoder.decode(scores).T)
        return reduced.reshape(*array.shape[:-1], self.n_components)

    def in_reduced_space(self, whiten: float = 0.0) -> Self:
        """Return the encoding of the same codes whose original vectors are the reduced ones.

        Whatever compares vectors with codes then compares what `reduce` returns with them.

        Parameters
        ----------
        whiten
            As in `decoder`.

        Examples
        --------
        >>> samples = np.random.default_rng(0).normal(size=(500, 8)).astype("float32")
        >>> encoding = Encoding.fit(samples, "pca4-int8")
        >>> codes, reduced = encoding.encode(samples), encoding.in_reduced_space()
        >>> bool(np.allclose(reduced.decode(codes), encoding.decode(codes, "reduced"), atol=1e-5))
        True
        """
        projection = self.projection.in_reduced_space(self._weights(whiten))
        return replace(self, projection=projection, normalize=False, band_names=())

    def target(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return what decoding rebuilds of ``(dimension, n_pixels)``: unit vectors after `l2`.

        Where that is `values` themselves no copy is made.
        """
        return scale_to_unit(values) if self.normalize else values.astype(np.float32, copy=False)

    def _weights(self, whiten: float) -> NDArray[np.float64] | None:
        """Return the factor of each component under a whitening metric; None for 0."""
        if not whiten:
            return None
        if not 0 < whiten <= 1:
            raise InvalidConfigError(f"whiten={whiten}; expected 0 to 1")
        if not self.knows_variance:
            raise InvalidConfigError(
                f"whiten={whiten}: recipe {self.recipe} rotates vectors without a projection, so "
                "nothing says how components vary; use one such as 'pca64-rot-…'"
            )
        deviation = np.sqrt(self.variance.astype(np.float64))
        largest = float(deviation.max()) or 1.0
        weights = (np.maximum(deviation, 1e-6 * largest) / largest) ** -whiten
        return np.asarray(weights, dtype=np.float64)

    def encode_block(
        self,
        values: NDArray[Any],
        valid: NDArray[np.bool_] | None = None,
        out: Codes | None = None,
    ) -> tuple[Codes, NDArray[np.bool_]]:
        """Encode pixels as columns: the form that rasters and chunks have.

        Parameters
        ----------
        values
            Real numbers, shape ``(dimension, n_pixels)``; taken as float32.
        valid
            bool, shape ``(n_pixels,)``; None where no pixel is known to be invalid.
        out
            Receives the codes.

        Returns
        -------
        codes
            Shape ``(code_length, n_pixels)``; invalid pixels are `nodata`, or 0 without one.
        valid
            bool, shape ``(n_pixels,)``: the given mask without the pixels that are not finite.
        """
        return kernel.encode_block(
            self.projection, self.quantizer, values, valid, normalize=self.normalize, out=out
        )

    def decode_block(
        self,
        codes: Codes,
        space: Space = "original",
        valid: NDArray[np.bool_] | None = None,
        components: int | None = None,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Decode pixels as columns, ``(code_length, n_pixels)`` to ``(dimension, n_pixels)``.

        `valid`, `space` and `components` are as in `decode`; `out` receives the result.
        """
        return self.decoder(space, components).decode(codes, valid, out)

    def config(self) -> dict[str, Any]:
        """Return the JSON part of the state: all that is not an array."""
        config: dict[str, Any] = {
            "dimension": self.dimension,
            "recipe": self.recipe,
            "projection": self.projection.config(),
            "quantizer": self.quantizer.config(),
        }
        return {**config, "normalize": True} if self.normalize else config

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the array part of the state, by stored name."""
        return {
            **self.projection.arrays(),
            **self.quantizer.arrays(),
            "variance": self.variance,
        }

    @classmethod
    def from_state(
        cls,
        config: Mapping[str, Any],
        arrays: Mapping[str, NDArray[np.generic]],
        report: FitReport | None = None,
        band_names: tuple[str | None, ...] = (),
    ) -> Self:
        """Rebuild an encoding from `config` and `arrays`.

        Raises
        ------
        EncodingError
            If something is missing, does not fit together, or is not finite.
        """
        parts = state.check_parts(config)
        projection = Projection.from_state(parts.dimension, parts.projection, arrays)
        quantizer = quantizer_from_state(parts.quantizer, arrays)
        encoding = cls(
            parts.recipe,
            projection,
            quantizer,
            state.stored_array("encoding", "variance", arrays, (projection.n_components,)),
            parts.normalize,
            report or FitReport(),
            band_names,
        )
        state.check_closed(config, encoding.config())
        return encoding

    def to_bytes(self) -> bytes:
        """Return the encoding as a file's content (spec/encoding.md, "File")."""
        return state.to_bytes(self.config(), self.arrays(), self.hash, self.report, self.band_names)

    @classmethod
    def from_bytes(cls, content: bytes, where: str = "encoding") -> Self:
        """Rebuild an encoding from `to_bytes`; `where` names it in messages.

        Raises
        ------
        EncodingError
            If the content is damaged, or does not have the hash that it claims.
        """
        loaded = state.from_bytes(content, where)
        encoding = cls.from_state(loaded.config, loaded.arrays, loaded.report, loaded.band_names)
        state.check_hash(where, encoding.hash, loaded.hash)
        return encoding

    def save(self, path: str | Path) -> None:
        """Write the encoding to a new file.

        Raises
        ------
        InvalidConfigError
            If something exists at `path`.
        OutputError
            If it cannot be written.
        """
        target, content = Path(path), self.to_bytes()
        if target.exists():
            raise InvalidConfigError(f"{path}: exists; remove it or name another file")
        with output_file(target) as partial:
            partial.write_bytes(content)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an encoding from a file that `save` wrote.

        Raises
        ------
        EncodingError
            If the file is missing, damaged, or its content does not have the hash it claims.
        """
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise EncodingError(
                f"{path}: cannot be read ({error.strerror}); expected a file of Encoding.save"
            ) from error
        return cls.from_bytes(content, str(path))

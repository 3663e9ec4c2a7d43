"""What was written: the result of every command that writes a map."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from geoembz._map.bands import MapBands
from geoembz._util.results import Result
from geoembz.store.map_figures import MapFigures


@dataclass(frozen=True)
class MapSummary(Result):
    """A map that was written.

    Parameters
    ----------
    out
        The file or store.
    png
        The quick look, if any.
    bands
        What the map holds.
    shape
        Height and width, in pixels.
    figures
        Sums over its valid pixels.
    bytes_written
        Size of the file or store.
    details
        What is particular to the map, as JSON values: the number of examples, the spread …
    """

    out: str
    png: str | None
    bands: MapBands
    shape: tuple[int, int]
    figures: MapFigures
    bytes_written: int
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def valid_pixels(self) -> int:
        """Pixels with an embedding."""
        return self.figures.valid_pixels

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return {
            "out": self.out,
            "png": self.png,
            "kind": self.bands.kind,
            "dtype": self.bands.dtype,
            "nodata": "NaN" if np.isnan(self.bands.nodata) else self.bands.nodata,
            "shape": list(self.shape),
            "valid_pixels": self.valid_pixels,
            "bands": [
                {"name": name, **figures}
                for name, figures in zip(self.bands.names, self._band_figures(), strict=True)
            ],
            "classes": self._classes(),
            "bytes_written": self.bytes_written,
            **self.details,
        }

    def _band_figures(self) -> list[dict[str, float]]:
        scale = self.bands.scale
        found: list[dict[str, float]] = [
            {
                "min": sums.least * scale,
                "max": sums.most * scale,
                "mean": sums.mean * scale,
                "std": sums.std * scale,
            }
            if sums.count
            else {}
            for sums in self.figures.bands
        ]
        return found or [{} for _ in self.bands.names]

    def _classes(self) -> list[dict[str, Any]]:
        counts = self.figures.counts or {}
        return [
            {**each.to_json(), "pixels": counts.get(each.value, 0)} for each in self.bands.classes
        ]

    def _rows(self) -> list[tuple[str, ...]]:
        height, width = self.shape
        valid = self.valid_pixels / (height * width)
        rows = [
            ("written", self.out),
            ("holds", f"{self.bands.kind}, {self.bands.count} x {self.bands.dtype}"),
            (
                "size",
                f"{width} x {height} pixels (width x height), {self.bytes_written:,} bytes",
            ),
            ("with data", f"{valid:.1%}"),
        ]
        if self.png is not None:
            rows.insert(1, ("picture", self.png))
        for each in self._classes():
            share = each["pixels"] / max(self.valid_pixels, 1)
            rows.append((each["name"], f"{each['pixels']:,} pixels, {share:.1%}"))
        if not self.bands.classes:
            rows += [
                (name, f"{sums['min']:.4g} to {sums['max']:.4g}, mean {sums['mean']:.4g}")
                for name, sums in zip(self.bands.names, self._band_figures(), strict=True)
                if sums
            ]
        return [
            *rows,
            *((name.replace("_", " "), _text(value)) for name, value in self.details.items()),
        ]


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)

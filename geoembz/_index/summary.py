"""What an index holds, in numbers."""

from dataclasses import dataclass

from geoembz._util.results import Result

_HELD = {
    "bits": "the store's own bits",
    "int8": "the store's own int8 codes",
    "pq": "the store's own pq codes",
    "float16": "reduced vectors as float16",
    "codes": "the store's own codes",
    "reduced": "reduced vectors as float32",
    "original": "original vectors as float32",
}


@dataclass(frozen=True)
class IndexSummary(Result):
    """What was written.

    Parameters
    ----------
    out
        The file.
    engine
        ``faiss``, ``parquet`` or ``lance``.
    holds
        How vectors are held: ``bits``, ``int8`` and ``pq`` are codes as stored.
    metric
        What neighbours are near by; of tables, what the store recommends.
    vectors
        How many.
    length
        Numbers of one, or bits.
    lists
        Inverted lists: a search looks into some of them. 0 where there are none.
    bytes_written
        Size of the file.
    """

    out: str
    engine: str
    holds: str
    metric: str
    vectors: int
    length: int
    lists: int
    bytes_written: int

    def _rows(self) -> list[tuple[str, ...]]:
        unit = "bits" if self.holds == "bits" else "numbers"
        lists = [("lists", f"{self.lists:,}")] if self.lists else []
        return [
            ("written", self.out),
            ("vectors", f"{self.vectors:,} of {self.length} {unit}: {_HELD[self.holds]}"),
            ("metric", self.metric),
            *lists,
            ("size", f"{self.bytes_written:,} bytes"),
        ]

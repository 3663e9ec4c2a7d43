"""Tables: the formats read, and the messages about those that cannot be."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geoembz._evaluate.inputs import read_table
from geoembz.errors import GeoembzError


def test_parquet_of_lists_and_of_numbered_columns(tmp_path: Path) -> None:
    """Both layouts give the same vectors."""
    vectors = np.arange(24, dtype=np.float32).reshape(6, 4)
    labels, region = [0, 1, 0, 1, 0, 1], ["n", "n", "s", "s", "n", "s"]
    lists = {"embedding": vectors.tolist(), "label": labels, "region": region}
    pq.write_table(pa.table(lists), tmp_path / "lists.parquet")
    columns = {f"A{i:02}": vectors[:, i] for i in range(4)}
    pq.write_table(pa.table({**columns, "label": labels, "region": region}), tmp_path / "c.parquet")
    for name in ("lists.parquet", "c.parquet"):
        sample = read_table(tmp_path / name, groups="region")
        np.testing.assert_array_equal(sample.vectors, vectors)
        assert sample.groups is not None
        assert sample.groups.tolist() == region


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"labels": np.zeros(3)}, {}, "no vectors"),
        ({"embeddings": np.zeros(3)}, {}, "expected real numbers"),
        ({"embeddings": np.zeros((3, 2)), "labels": np.zeros(4)}, {}, "4 labels for 3"),
        ({"embeddings": np.ones((3, 2))}, {"label_column": "kind"}, "no column 'kind'"),
        ({"embeddings": np.full((3, 2), np.nan)}, {}, "no row is left"),
    ],
)
def test_unusable_tables_are_explained(
    tmp_path: Path, arrays: dict[str, np.ndarray], options: dict[str, str], message: str
) -> None:
    """The message names what came and what was expected."""
    np.savez(tmp_path / "t.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(GeoembzError, match=message):
        read_table(tmp_path / "t.npz", **options)

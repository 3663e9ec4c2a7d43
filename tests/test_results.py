"""What commands return: one base, the same three forms everywhere."""

import json

import pytest

from geoembz._convert.summary import AppendSummary
from geoembz._export import PreviewSummary, TableExportSummary
from geoembz._util.results import Result

ADDED = AppendSummary("a&b.zarr", "2024-01-01", 200, 150, 3, 0.99, None, 0.5, 20, 1.25, ("<new>",))
RESULTS = (
    (
        ADDED,
        (
            "store            a&b.zarr\n"
            "time             2024-01-01\n"
            "pixels           200  (75.0% valid)\n"
            "rejected pixels  3\n"
            "cosine           0.99\n"
            "cosine, centred  not measured\n"
            "rmse             0.5\n"
            "held-out pixels  20\n"
            "seconds          1.25\n"
            "note             <new>"
        ),
    ),
    (
        PreviewSummary("a.png", (20, 48), 2, (1, 2, 3), 0.5),
        (
            "picture    a.png\n"
            "size       48 x 20 pixels (width x height), one of 2 shown\n"
            "shows      components 1, 2, 3\n"
            "with data  50.0%"
        ),
    ),
    (
        TableExportSummary("a.parquet", "reduced", 1200, 8, ("id", "embedding"), 4096),
        (
            "written  a.parquet\n"
            "rows     1,200, vectors of 8 numbers, space reduced\n"
            "columns  id, embedding\n"
            "size     4,096 bytes"
        ),
    ),
)


@pytest.mark.parametrize(("result", "table"), RESULTS)
def test_results_have_three_forms(result: Result, table: str) -> None:
    """JSON goes by the names of the fields, the table is text, and notebooks show it escaped."""
    document = result.to_json()
    assert list(document) == list(vars(result))
    assert json.loads(json.dumps(document, allow_nan=False)).keys() == document.keys()
    assert result.to_table() == table
    assert str(result) == table
    assert f"<strong>{type(result).__name__}</strong><table" in result._repr_html_()


def test_what_a_notebook_shows_is_escaped() -> None:
    """Names of files and notes come from others: none of them is markup."""
    shown = ADDED._repr_html_()
    assert "&lt;new&gt;" in shown
    assert "a&amp;b.zarr" in shown
    assert "<new>" not in shown

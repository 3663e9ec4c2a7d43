"""What others wrote moves no terminal: in messages, tables, warnings, JSON."""

import json
import shutil
from pathlib import Path

import pytest

from geoembz._cli import main
from geoembz._text import aligned, printable
from geoembz.errors import SourceError
from tests.hostile import GOLDEN, change_json

ESCAPES = "\x1b[2J\x1b]0;title\x07\nfake\r\u202egnp\u2066\u2028\x9b31m\x00"


def is_harmless(text: str) -> bool:
    """Whether a terminal shows each character of a line where it stands."""
    return printable(text, len(text) + 1) == text


@pytest.mark.parametrize(
    "text", ["", "plain", "Größe 10 µm", "日本語", "नमस्ते", "👩\u200d🌾", "a\u00a0b"]
)
def test_text_of_people_stays(text: str) -> None:
    assert printable(text) == text


def test_what_a_terminal_obeys_is_shown_instead() -> None:
    shown = printable(ESCAPES)
    assert shown.startswith(r"\x1b[2J\x1b]0;title\x07\nfake\r\u202e")
    assert shown.isprintable()
    assert printable("\udcff.tif") == r"\udcff.tif"


def test_long_texts_keep_both_ends() -> None:
    shown = printable("a" * 10**6 + "z" * 10**6)
    assert len(shown) == 4000
    assert (shown[0], shown[-1]) == ("a", "z")


def test_errors_are_one_line_but_for_their_details() -> None:
    error = SourceError(f"{ESCAPES}: no", details=["a\nb", ESCAPES])
    assert [is_harmless(line) for line in str(error).split("\n")] == [True] * 3
    assert error.details[0] == r"a\nb"


def test_cells_of_tables_are_one_line() -> None:
    assert aligned([("a\nb", "c"), ("d" * 9_999, "e")]).count("\n") == 1


@pytest.mark.parametrize("words", [["info", "{}"], ["info", "{}", "--json"], ["verify", "{}"],
                                   ["basis", "save", "{}", "b.npz"], ["cost", "{}"]])  # fmt: skip
def test_commands_print_stores_of_others_safely(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The recipe's name is not hashed, notes and licence are free text, a key may be anything."""
    monkeypatch.chdir(tmp_path)
    store = tmp_path / "s\x1b[31m\n.zarr"
    shutil.copytree(GOLDEN, store)

    def inject(document: dict[str, dict[str, object]]) -> None:
        attributes = document["attributes"]
        attributes["geoembz:encoding"]["recipe"] = f"int8{ESCAPES}"  # type: ignore[index]
        attributes |= {"geoembz:recipe": ESCAPES, "geoembz:license": ESCAPES}
        attributes["geoembz:notes"] = [ESCAPES]

    change_json(store / "zarr.json", inject)
    (store / "encoding" / "x\x1b[31m").mkdir()
    try:
        main([word.format(store) for word in words])
    except SystemExit as ended:
        assert ended.code in (0, 1, None)  # noqa: PT017
    said = capsys.readouterr()
    assert said.out
    assert all(is_harmless(line) for line in (said.out + said.err).split("\n"))
    if "--json" in words:
        assert "\x1b" in json.loads(said.out)["recipe"]


def test_names_of_files_in_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (f"{ESCAPES}.tif".replace("\0", ""), "bad\x1b[31m\n.csv", "x\x1b[31m\n.geojson"):
        (tmp_path / name).write_text("nothing")
        with pytest.raises(SystemExit):
            main(["convert", str(tmp_path / name), str(tmp_path / "out.zarr")])
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert is_harmless(said.rstrip("\n"))

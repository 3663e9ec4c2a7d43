"""Help says what a command is for, in groups that fit a terminal, with examples that parse."""

import io
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from geoembz._cli import main
from geoembz._cli.app import PURPOSES, app
from geoembz._cli.colours import painted, takes_colours
from geoembz._cli.help import examples, sections, summary
from tests.test_cli_options import COMMANDS

GROUPS: dict[str, Any] = {
    name: command
    for name, command in vars(typer.main.get_command(app))["commands"].items()
    if "commands" in vars(command)
}


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the help of a command."""
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    return capsys.readouterr().out


def test_commands_are_grouped_and_fit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """80 columns hold each summary, uncut, under the heading of what the command is for."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = shown(capsys).splitlines()
    assert [line[:-1] for line in lines if re.fullmatch(r"\S.*:", line)] == [*PURPOSES, "Options"]
    assert max(map(len, lines)) <= 80
    assert "..." not in "".join(lines[1:])
    for name, command in (COMMANDS | GROUPS).items():
        if " " not in name:
            assert f"  {name:<9}  {summary(command)}" in lines
            assert summary(command).endswith(".")
    for name in GROUPS:
        text = shown(capsys, name)
        inner = [command for each, command in COMMANDS.items() if each.startswith(f"{name} ")]
        assert all(summary(command) in text for command in inner)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_parse(name: str) -> None:
    """One or two lines, each of this command, with options that it has, that fit a terminal."""
    command = COMMANDS[name]
    assert 1 <= len(examples(command)) <= 3
    for line in examples(command):
        assert len(line) <= 78
        words = shlex.split(line)[1:]
        assert words[: len(name.split())] == name.split()
        command.make_context(name, words[len(name.split()) :])  # raises where it does not parse


@pytest.mark.parametrize("name", COMMANDS)
def test_parameters_are_written_in_one_style(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No `<str>`, no `[[DIR]]`, no `(default)`; every option once, under a heading."""
    monkeypatch.setenv("COLUMNS", "80")
    text = shown(capsys, *name.split())
    assert not re.search(r"<\w+>|\[\[|\{|\]\.\.\.|default: \(", text.replace("[MAP]...", ""))
    assert max(map(len, text.splitlines())) <= 80
    command = COMMANDS[name]
    found = sections(command, command.make_context(name, [], resilient_parsing=True))
    rows = [written for rows in found.values() for written, _ in rows]
    assert len(rows) == len(set(rows)) == len(command.params) + 1
    assert list(found)[-1] == "Output"
    assert all(written in text for written in rows)


def test_long_help_is_cut_into_groups(capsys: pytest.CaptureFixture[str]) -> None:
    """What belongs to the recipe stands together, and so on; nothing stands elsewhere."""
    text = shown(capsys, "convert")
    titles = re.findall(r"(?m)^(\S.*):$", text)
    assert titles == [
        "Arguments", "Recipe", "Storage", "Input", "Description", "Running", "Output", "Examples",
    ]  # fmt: skip


class Terminal(io.StringIO):
    """Takes colours."""

    def isatty(self) -> bool:
        """Return what terminals do."""
        return True


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """Return what a command prints on a terminal."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(SystemExit):
        main(words)
    return terminal.getvalue()


@pytest.mark.parametrize("taken", [None, ("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_are_for_terminals_that_take_them(
    taken: tuple[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headings are bold and errors red; not with NO_COLOR, and not on a dumb terminal."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if taken is not None:
        monkeypatch.setenv(*taken)
    help_ = on_a_terminal(monkeypatch, "info", "--help")
    wrong = on_a_terminal(monkeypatch, "info", "none.zarr")
    if taken is None:
        assert "\x1b[1mArguments\x1b[0m:" in help_
        assert "geoembz: \x1b[31merror\x1b[0m: " in wrong
    else:
        assert "\x1b" not in help_ + wrong
        assert "Arguments:" in help_


def test_no_colours_in_files(tmp_path: Path) -> None:
    """What goes to a file or pipe is plain."""
    with (tmp_path / "help.txt").open("w", encoding="utf-8") as file:
        assert not takes_colours(file)
        assert painted("x", "red", file) == "x"

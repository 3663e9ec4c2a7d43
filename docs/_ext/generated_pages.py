"""Pages that are made at build time: the command line's reference, and the specification.

Both are written below ``reference/generated``, which git ignores, so neither can fall behind what
it describes.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

GENERATED = Path("reference", "generated")
SPECIFICATION_FILES = (".md", ".json")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for documents."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(app: Sphinx) -> None:
    """Write the command line's page and copy the specification."""
    target = Path(app.srcdir) / GENERATED
    shutil.rmtree(target / "api", ignore_errors=True)  # autosummary keeps pages of removed modules
    write_if_changed(target / "cli.md", "\n".join(cli_page()))
    pages = copy_specification(Path(app.srcdir).parent / "spec", target / "spec")
    write_if_changed(target / "specification.md", specification_page(pages))


def write_if_changed(path: Path, text: str) -> None:
    """Leave an unchanged page alone, so that Sphinx need not read it again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def copy_specification(source: Path, target: Path) -> list[str]:
    """Copy the texts and schemas below `source`; return the texts' names, README first."""
    shutil.rmtree(target, ignore_errors=True)
    names = []
    for path in sorted(source.rglob("*"), key=lambda path: (path.stem != "README", path)):
        if path.suffix in SPECIFICATION_FILES:
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        if path.suffix == ".md":
            names.append(path.relative_to(source).with_suffix("").as_posix())
    return names


def specification_page(names: list[str]) -> str:
    """Return the table of the specification's pages."""
    entries = "\n".join(f"spec/{name}" for name in names)
    return f"# Specification\n\n```{{toctree}}\n:maxdepth: 2\n\n{entries}\n```\n"


def cli_page() -> Iterator[str]:
    """Yield the lines of the command line's reference."""
    yield "# Command line\n"
    import typer.main

    from geoembz._cli.app import app

    yield from command_section(typer.main.get_command(app), "geoembz", level=1)


def command_section(command: Any, name: str, level: int) -> Iterator[str]:
    """Yield a command's usage, help, examples and parameters, then those of its subcommands."""
    from geoembz._cli.help import description, examples, sections

    context = command.make_context(name, [], resilient_parsing=True)
    if level > 1:
        yield f"{'#' * level} `{name}`\n"
    yield f"```text\n{' '.join([name, *command.collect_usage_pieces(context)])}\n```\n"
    yield f"{_flags_as_code(description(command))}\n"
    if examples(command):
        yield "\n".join(["```sh", *examples(command), "```\n"])
    for title, rows in sections(command, context).items():
        yield f"**{title}**\n"
        for signature, text in rows:
            yield f"`{signature}`\n: {_flags_as_code(' '.join(text.split()))}\n"
    for subcommand in getattr(command, "commands", {}).values():
        if not subcommand.hidden:
            yield from command_section(subcommand, f"{name} {subcommand.name}", level + 1)


def _flags_as_code(text: str) -> str:
    """Put flags into backticks, where they are not yet: prose turns ``--`` into a dash."""
    return re.sub(r"(?<![\w`-])--[a-z][a-z0-9-]*(?!`)\b", r"`\g<0>`", text)

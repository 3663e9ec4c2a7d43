"""Pages that are made at build time: the command line's reference, the examples, the specification.

All are written below ``reference/generated``, which git ignores, so none can fall behind what it
describes.
"""

import ast
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
    """Write the command line's pages and the examples', and copy the specification."""
    target = Path(app.srcdir) / GENERATED
    for made in ("api", "cli"):  # pages of modules and commands that are no more
        shutil.rmtree(target / made, ignore_errors=True)
    for name, lines in cli_pages():
        write_if_changed(target / f"{name}.md", "\n".join(lines))
    examples = Path(app.srcdir).parent / "examples"
    write_if_changed(target / "examples.md", "\n".join(examples_page(examples)))
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


def examples_page(folder: Path) -> Iterator[str]:
    """Yield the lines of the page of examples: what each says of itself, and its text."""
    yield "# Examples\n"
    yield "Complete programs, each a file of `examples/` in the repository; tests run them.\n"
    for path in sorted(folder.glob("*.py")):
        said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        yield f"## `{path.name}`\n\n{said}\n"
        yield f"```{{literalinclude}} /../{folder.name}/{path.name}\n:language: python\n```\n"


def cli_pages() -> Iterator[tuple[str, Iterator[str]]]:
    """Yield a page of the commands and one for each, so that a search for a command finds it."""
    import typer.main

    from geoembz._cli.app import app

    root = typer.main.get_command(app)
    commands = [each for each in getattr(root, "commands", {}).values() if not each.hidden]
    yield "cli", cli_page(root, commands)
    for command in commands:
        name = f"geoembz {command.name}"
        yield f"cli/{command.name}", command_section(command, name, level=1)


def cli_page(root: Any, commands: list[Any]) -> Iterator[str]:
    """Yield the lines of the command line's first page."""
    from geoembz._cli.help import summary

    yield "# Command line\n"
    yield from list(command_section(root, "geoembz", level=1, inner=False))[1:]
    by_purpose: dict[str, list[Any]] = {}
    for command in commands:
        purpose = getattr(command, "rich_help_panel", None) or "Commands"
        by_purpose.setdefault(purpose, []).append(command)
    for purpose, those in by_purpose.items():
        yield f"\n## {purpose}\n\n| command | what it does |\n|---|---|"
        for command in those:
            short = _flags_as_code(summary(command))
            yield f"| {{doc}}`geoembz {command.name} <cli/{command.name}>` | {short} |"
    pages = "\n".join(f"cli/{command.name}" for command in commands)
    yield f"\n```{{toctree}}\n:hidden:\n\n{pages}\n```"


def command_section(command: Any, name: str, level: int, *, inner: bool = True) -> Iterator[str]:
    """Yield a command's usage, help, examples and parameters, then its subcommands' if `inner`."""
    from geoembz._cli.help import description, examples, sections

    context = command.make_context(name, [], resilient_parsing=True)
    yield f"{'#' * level} `{name}`\n"
    yield f"```text\n{' '.join([name, *command.collect_usage_pieces(context)])}\n```\n"
    yield f"{_flags_as_code(description(command))}\n"
    if examples(command):
        yield "\n".join(["```sh", *examples(command), "```\n"])
    for title, rows in sections(command, context).items():
        yield f"**{title}**\n"
        for signature, text in rows:
            yield f"`{signature}`\n: {_flags_as_code(' '.join(text.split()))}\n"
    for subcommand in getattr(command, "commands", {}).values() if inner else ():
        if not subcommand.hidden:
            yield from command_section(subcommand, f"{name} {subcommand.name}", level + 1)


def _flags_as_code(text: str) -> str:
    """Put flags into backticks, where they are not yet: prose turns ``--`` into a dash."""
    return re.sub(r"(?<![\w`-])--[a-z][a-z0-9-]*(?!`)\b", r"`\g<0>`", text)

"""Every link between the pages of a build leads somewhere: to a file, and to an anchor in it.

Sphinx checks what it resolves itself. This looks at what came out, links written as HTML included.
"""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

LINKING = {"href", "src"}
NO_PAGES = "_static"  # templates of the theme


def setup(app: Sphinx) -> dict[str, bool]:
    """Look at the pages once they are written."""
    app.connect("build-finished", check_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Page(HTMLParser):
    """The anchors and links of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag is called and where it leads."""
        del tag
        for name, value in attrs:
            if name in {"id", "name"} and value:
                self.anchors.add(value)
            elif name in LINKING and value:
                self.links.append(value)


def check_links(app: Sphinx, exception: Exception | None) -> None:
    """Fail a build of HTML that has links which lead nowhere.

    Raises
    ------
    ExtensionError
        If there are any; it names all of them.
    """
    if exception or app.builder.name != "html":
        return
    root = Path(app.outdir)
    found = (path for path in sorted(root.rglob("*.html")) if NO_PAGES not in path.parts)
    pages = {path: Page(path) for path in found}
    dead = [
        f"{path.relative_to(root)}: {link}"
        for path, page in pages.items()
        for link in sorted(set(page.links))
        if not leads_somewhere(path, link, pages)
    ]
    if dead:
        raise ExtensionError("links that lead nowhere:\n  " + "\n  ".join(dead))


def leads_somewhere(path: Path, link: str, pages: dict[Path, Page]) -> bool:
    """Whether a link of a page leads to a file that is there, and an anchor that it has."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target not in pages:
        return target.exists()
    return not parts.fragment or unquote(parts.fragment) in pages[target].anchors

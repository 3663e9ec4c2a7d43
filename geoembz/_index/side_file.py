"""What lies beside an index: which store its numbers are positions in, and how queries are made."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from geoembz._index.form import VectorForm
from geoembz._objects.tree import ObjectTree
from geoembz._search.parts import AnyStore, RasterPart, TablePart
from geoembz._util.bounded_json import parse_object
from geoembz._util.output import output_file
from geoembz._version import __version__
from geoembz.errors import InvalidConfigError, os_fault
from geoembz.store.digests import ROOT

_FORMAT, _VERSION = "geoembz-index", 1


@dataclass(frozen=True)
class SideFile:
    """What an index of FAISS does not say of itself.

    Parameters
    ----------
    store
        That was indexed.
    roots
        Of each part's store: SHA-256 of its root document.
    encoding_hash, metric, kind
        What vectors were made of, and how.
    part
        Options that chose the part: `bbox`, `bbox_crs`, `time`, `level`.
    """

    store: str
    roots: tuple[str, ...]
    encoding_hash: str
    metric: str
    kind: str
    part: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        parts: Sequence[RasterPart] | Sequence[TablePart],
        form: VectorForm,
        store: AnyStore,
        part: Mapping[str, Any],
    ) -> Self:
        """Describe an index."""
        url = str(store) if isinstance(store, str | Path) else store.url
        if "://" not in url:
            url = str(Path(url).absolute())
        return cls(url, roots_of(parts), form.encoding.hash, str(form.metric), form.kind, part)

    def write(self, index: Path) -> None:
        """Write it beside an index."""
        document = {"format": _FORMAT, "version": _VERSION, "software": f"geoembz {__version__}"}
        text = json.dumps({**document, **asdict(self)}, indent=2)
        with output_file(beside(index)) as draft:
            draft.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, index: Path) -> Self:
        """Read what lies beside an index.

        Raises
        ------
        InvalidConfigError
            If it cannot be read, or is something else.
        """
        path = beside(index)
        expected = "what geoembz index wrote beside the index"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InvalidConfigError(
                f"{path}: cannot be read ({os_fault(error)}); expected {expected}"
            ) from error
        document = parse_object(content, str(path), error=InvalidConfigError, expected=expected)
        if (document.get("format"), document.get("version")) != (_FORMAT, _VERSION):
            raise InvalidConfigError(f"{path}: expected {expected}, of version {_VERSION}")
        try:
            known = {name: document[name] for name in cls.__dataclass_fields__}
            return cls(**{**known, "roots": tuple(known["roots"])})
        except (KeyError, TypeError) as error:
            raise InvalidConfigError(
                f"{path}: damaged ({error!r}); build the index again"
            ) from error


def beside(index: Path) -> Path:
    """Return the name of the file beside an index."""
    return index.with_name(f"{index.name}.json")


def roots_of(parts: Sequence[RasterPart] | Sequence[TablePart]) -> tuple[str, ...]:
    """Return the SHA-256 of the root document of each part's store: it stands for every byte."""
    urls = dict.fromkeys(part.reader.url for part in parts)
    return tuple(hashlib.sha256(ObjectTree(url).read(ROOT) or b"").hexdigest() for url in urls)

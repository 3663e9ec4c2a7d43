"""Whether golden vectors are what they were: ``python packaging/golden.py [--record]``.

``golden.json`` holds one digest for each case that was ever committed: of its files' paths and
bytes. What is recorded never changes; ``--record`` adds cases that are new.
"""

import hashlib
import json
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
VECTORS = ROOT / "spec" / "vectors"
RECORD = Path(__file__).with_name("golden.json")
_DEPTH = 3
"""A case is VERSION/KIND/NAME: a folder, or a file."""


def digests(vectors: Path) -> dict[str, str]:
    """Return the digest of each case, by its path."""
    cases: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(path for path in vectors.rglob("*") if path.is_file()):
        cases["/".join(path.relative_to(vectors).parts[:_DEPTH])].append(path)
    return {case: _digest(vectors, files) for case, files in cases.items()}


def _digest(vectors: Path, files: list[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{content} {path.relative_to(vectors).as_posix()}\n".encode())
    return total.hexdigest()


def lost(recorded: dict[str, str], found: dict[str, str]) -> list[str]:
    """Return what is wrong: cases that changed, or went."""
    changed = [f"spec/vectors/{c}: changed" for c, d in recorded.items() if found.get(c, d) != d]
    return changed + [f"spec/vectors/{case}: gone" for case in recorded if case not in found]


def unrecorded(recorded: dict[str, str], found: dict[str, str]) -> list[str]:
    """Return the new cases, which nothing guards yet."""
    return [
        f"spec/vectors/{case}: new; run `python packaging/golden.py --record`"
        for case in found
        if case not in recorded
    ]


def check() -> list[str]:
    """Return what is wrong with those of this tree."""
    recorded, found = json.loads(RECORD.read_text("utf-8")), digests(VECTORS)
    return lost(recorded, found) + unrecorded(recorded, found)


def record() -> None:
    """Add what is new; what is there stays."""
    former = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    text = json.dumps({**digests(VECTORS), **former}, indent=0, sort_keys=True)
    RECORD.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    if "--record" in sys.argv[1:]:
        record()
    wrong = check()
    print(*(wrong or ["golden vectors: as they were"]), sep="\n")
    sys.exit(1 if wrong else 0)

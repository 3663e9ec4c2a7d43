"""What is to be released is looked at first: versions, changelog, promises, vectors, contents."""

import importlib
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import geoembz

WHEEL = "geoembz-1.2.3.dist-info"


@pytest.fixture(autouse=True)
def scripts(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tests import the scripts of packaging/, which are in no package."""
    monkeypatch.syspath_prepend(repository / "packaging")


def script(name: str) -> ModuleType:
    """Import a script."""
    sys.modules.pop(name, None)
    return importlib.import_module(name)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return the parts of a tree that name a version, with a changelog."""
    files = {
        "geoembz/_version.py": '__version__ = "1.2.3"\n',
        "CITATION.cff": "cff-version: 1.2.0\nversion: 1.2.3\n",
        "packaging/recipe.yaml": 'schema_version: 1\ncontext:\n  version: "1.2.3"\n',
        "CHANGELOG.md": "# Changelog\n\n## 1.2.3 (2026-01-02)\n\n- new\n\n## 1.2.2 (2025-01-02)\n",
        "changes/README.md": "How.\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_tree_that_agrees_can_be_released(tree: Path) -> None:
    """One version everywhere, nothing waiting, no promise due."""
    check = script("check_release")
    assert check.check_version(tree, "v1.2.3") == []
    assert check.check_changelog(tree) == []
    assert check.check_promises(tree) == []


def test_versions_that_differ_are_named(tree: Path) -> None:
    """Each file that says another version, and the tag."""
    check = script("check_release")
    (tree / "CITATION.cff").write_text("version: 1.2.2\n")
    assert check.check_version(tree, "v1.2.4") == [
        "CITATION.cff: 1.2.2; expected 1.2.3",
        "the tag: 1.2.4; expected 1.2.3",
    ]
    (tree / "geoembz" / "_version.py").write_text('__version__ = "1.2.3.dev0"\n')
    assert "1.2.3.dev0; expected three numbers" in check.check_version(tree)


def test_changes_that_wait_and_promises_that_are_due_are_named(tree: Path) -> None:
    """A release has what was written for it, and does what the last one promised."""
    check = script("check_release")
    (tree / "changes" / "7.added.md").write_text("More.\n")
    (tree / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.2 (2025-01-02)\n")
    assert check.check_changelog(tree) == [
        "CHANGELOG.md: first is 1.2.2; expected 1.2.3",
        "changes/: 1 wait; run packaging/set_version.py",
    ]
    (tree / "geoembz" / "old.py").write_text(
        'A = "goes with release 1.2"\nB = "goes with release 1.3"\n'
    )
    assert check.check_promises(tree) == ["geoembz/old.py: goes with release 1.2"]


def test_setting_the_version_reaches_every_place(tree: Path) -> None:
    """What one command writes is what the check reads; `cff-version` is not ours."""
    script("set_version").set_version(tree, "1.3.0")
    assert script("check_release").check_version(tree, "v1.3.0") == []
    assert "cff-version: 1.2.0\n" in (tree / "CITATION.cff").read_text()
    with pytest.raises(ValueError, match=r"1\.3; expected three numbers"):
        script("set_version").set_version(tree, "1.3")


def test_golden_vectors_are_what_they_were(repository: Path) -> None:
    """No committed case changed or went; new ones are recorded at the latest on release."""
    golden = script("golden")
    recorded = yaml.safe_load((repository / "packaging" / "golden.json").read_text())
    assert len(recorded) > 200
    assert golden.lost(recorded, golden.digests(repository / "spec" / "vectors")) == []


def test_a_golden_vector_that_changes_is_found(tmp_path: Path) -> None:
    """By one byte, by a file more in a case, by a case that is gone; new ones are told apart."""
    golden = script("golden")
    for case in ("0.1/stores/a", "0.1/stores/b", "0.1/stores/c"):
        (tmp_path / case).mkdir(parents=True)
        (tmp_path / case / "x").write_bytes(b"same")
    recorded = golden.digests(tmp_path)
    (tmp_path / "0.1/stores/a/x").write_bytes(b"sama")
    (tmp_path / "0.1/stores/b/y").write_bytes(b"more")
    (tmp_path / "0.1/stores/c/x").unlink()
    (tmp_path / "0.1/stores/d.json").write_bytes(b"new")
    found = golden.digests(tmp_path)
    assert golden.lost(recorded, found) == [
        "spec/vectors/0.1/stores/a: changed",
        "spec/vectors/0.1/stores/b: changed",
        "spec/vectors/0.1/stores/c: gone",
    ]
    (new,) = golden.unrecorded(recorded, found)
    assert "0.1/stores/d.json: new" in new


def test_wheel_and_sdist_hold_what_they_must_and_nothing_else() -> None:
    """What is missing and what is stray is named."""
    look = script("distributions")
    wheel = [*look._WHEEL, f"{WHEEL}/licenses/LICENSE", f"{WHEEL}/entry_points.txt"]
    assert look.check_wheel(wheel, "1.2.3") == []
    stray = ["tests/a.py", "geoembz/_view/.npmrc", "geoembz/_view/src/a.ts", "geoembz/a.pyc"]
    assert look.check_wheel([*wheel[1:], *stray], "1.2.3") == [
        f"wheel: no {wheel[0]}",
        *(f"wheel: stray {name}" for name in stray),
    ]
    sdist = [f"{name}/a.ts" if name.endswith("src") else name for name in look._SDIST]
    of_a_vector = "spec/vectors/0.1/tables/a.zarr/.geoembz/parts/0.parquet"
    assert look.check_sdist([*sdist, ".gitignore", of_a_vector]) == []
    left = ["geoembz/_view/node_modules/a.js", "docs/_build/a.html", "uv.lock"]
    assert look.check_sdist([*sdist[1:], *left]) == [
        f"sdist: no {sdist[0]}",
        *(f"sdist: stray {name}" for name in left),
    ]


def test_metadata_are_those_of_the_project(repository: Path) -> None:
    """A field that differs is named, and so is a link of the page that leads nowhere."""
    look = script("distributions")
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    fields = [
        ("Name", "geoembz"),
        ("License-Expression", project["license"]),
        ("Requires-Python", project["requires-python"]),
        ("Description-Content-Type", "text/markdown"),
        *(("Project-URL", f"{name}, {url}") for name, url in project["urls"].items()),
        *(("Classifier", classifier) for classifier in project["classifiers"]),
        *(("Provides-Extra", extra) for extra in project["optional-dependencies"]),
    ]
    head = "\n".join(f"{name}: {value}" for name, value in fields)
    assert look.check_metadata(repository, f"{head}\n\n[a](https://b.c) [d](#e)\n") == []
    first = look.check_metadata(repository, f"{head}\n\n![a](docs/b.jpg)\n")
    assert first == ["metadata: the page links to docs/b.jpg"]
    (second,) = look.check_metadata(repository, head.replace(">=3.12", ">=3.11") + "\n\n")
    assert "Requires-Python" in second


def test_readme_leads_somewhere_on_an_index(repository: Path) -> None:
    """Nothing lies beside the page there: its pictures and links become those of the tag."""
    document = tomllib.loads((repository / "pyproject.toml").read_text())
    hook: dict[str, Any] = document["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    text = (repository / hook["fragments"][0]["path"]).read_text("utf-8")
    for one in hook["substitutions"]:
        text = re.sub(one["pattern"], one["replacement"], text)
    home = document["project"]["urls"]["Repository"]
    assert f"]({home}/raw/v$HFPR_VERSION/docs/pictures/overview.jpg)" in text
    assert f"]({home}/blob/v$HFPR_VERSION/docs/tutorial.md)" in text
    assert not re.findall(r"\]\((?!https?://|#)", text)


def test_conda_recipe_asks_for_what_the_core_does(repository: Path) -> None:
    """The same packages from the same versions on, under the names that conda has for them."""
    recipe = yaml.safe_load((repository / "packaging" / "recipe.yaml").read_text())
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    core = [line.replace("dask[array]", "dask-core") for line in project["dependencies"]]
    run = [line.replace(" ", "") for line in recipe["requirements"]["run"]]
    assert sorted(run) == sorted(["python>=${{python_min}}", *core])
    assert project["requires-python"] == f">={recipe['context']['python_min']}"
    assert recipe["about"]["repository"] == project["urls"]["Repository"]
    assert recipe["context"]["version"] == geoembz.__version__

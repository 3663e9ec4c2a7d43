"""What stands around the package, for those who join, cite or host it, agrees with the package."""

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import geoembz

OLDEST_PYTHON = (3, 12)
ROOT_PAGES = ("README", "CONTRIBUTING", "CODE_OF_CONDUCT", "SECURITY", "CHANGELOG")


def project(repository: Path) -> dict[str, Any]:
    """Return the table ``[project]`` of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    return table


def workflows(repository: Path) -> dict[str, Any]:
    """Return the workflow files by name; YAML 1.1 reads their key ``on`` as True."""
    paths = sorted((repository / ".github" / "workflows").glob("*.yml"))
    return {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in paths}


def load(path: Path) -> ModuleType:
    """Import a script that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ROOT_PAGES)
def test_links_of_root_pages_lead_somewhere(repository: Path, page: str) -> None:
    """Who arrives at the repository finds what its pages promise."""
    text = (repository / f"{page}.md").read_text("utf-8")
    relative = re.findall(r"\]\((?!https?://)([^)#]+)", text)
    assert not [link for link in relative if not (repository / link).exists()]


def test_citation_agrees_with_the_package(repository: Path) -> None:
    """Version, licence and address are those of the package."""
    citation = yaml.safe_load((repository / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == geoembz.__version__
    assert citation["license"] == project(repository)["license"]
    assert citation["repository-code"] == project(repository)["urls"]["Repository"]
    assert citation["authors"] == project(repository)["authors"]


def test_addresses_agree(repository: Path) -> None:
    """There is one repository: every address below it starts with its own."""
    urls = project(repository)["urls"]
    below = [urls[name] for name in ("Issues", "Changelog")]
    assert all(url.startswith(urls["Repository"] + "/") for url in below)


def test_every_supported_python_is_tested(repository: Path) -> None:
    """The matrix, the classifiers and the policy name the same, from the oldest allowed on."""
    classifiers = project(repository)["classifiers"]
    named = [c.rpartition(" ")[2] for c in classifiers if re.search(r"Python :: \d\.\d+$", c)]
    tested = workflows(repository)["checks"]["jobs"]["pythons"]["strategy"]["matrix"]["python"]
    policy = (repository / "docs" / "reference" / "stability.md").read_text("utf-8")
    (promised,) = re.findall(r"\| Python \| .* and later \| (.+) \|", policy)
    assert named == tested == re.findall(r"\d\.\d+", promised)
    oldest = ".".join(map(str, OLDEST_PYTHON))
    assert project(repository)["requires-python"] == f">={oldest}"
    assert named[0] == oldest


def test_workflows_call_what_ci_run_knows(repository: Path) -> None:
    """A hosted check is a run of .ci/run, and each run has its check or its line in the head."""
    script = (repository / ".ci" / "run").read_text("utf-8")
    known = set(re.findall(r"^  (\w+)\)", script.partition("esac")[0], flags=re.MULTILINE))
    jobs = [job for flow in workflows(repository).values() for job in flow["jobs"].values()]
    steps = [step.get("run", "") for job in jobs for step in job["steps"]]
    called = {s.removeprefix(".ci/run").strip() or "all" for s in steps if s.startswith(".ci/run")}
    assert known == {"all", "quick", "tests", "oldest", "upstream"}
    assert called == known - {"quick"}


def test_ci_run_refuses_a_run_that_it_does_not_know(repository: Path) -> None:
    """A misspelt run must not pass as a check that found nothing."""
    run = subprocess.run(
        ["bash", repository / ".ci" / "run", "quik"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "no run 'quik'; expected quick, tests, oldest, upstream" in run.stderr


def test_workflows_may_only_read(repository: Path) -> None:
    """A job that may write says so itself, with a limit of time as all."""
    for flow in workflows(repository).values():
        assert flow["permissions"] == {"contents": "read"}
        assert all("timeout-minutes" in job for job in flow["jobs"].values())


@pytest.mark.parametrize(
    ("percent", "message", "colour"),
    [(95.2, "95%", "brightgreen"), (90, "90%", "green"), (12, "12%", "red")],
)
def test_coverage_badge(repository: Path, percent: float, message: str, colour: str) -> None:
    """The badge shows what SlipCover found, in the form that badges are read in."""
    badge = load(repository / ".ci" / "coverage_badge.py").badge
    shown = badge({"summary": {"percent_covered": percent}})
    assert shown == {"schemaVersion": 1, "label": "coverage", "message": message, "color": colour}

"""Wheels carry the viewer's page where npm is there, and nothing else depends on npm."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def hook() -> ModuleType:
    """Return ``hatch_build.py`` as a module."""
    pytest.importorskip("hatchling", reason="the build backend is missing; the extra dev has it")
    spec = importlib.util.spec_from_file_location("hatch_build", REPOSITORY / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def initialize(hook: ModuleType, root: Path, version: str) -> None:
    from hatchling.bridge.app import Application

    plugin: Any = hook.ViewerBuildHook(str(root), {}, None, None, "", "wheel", Application())
    plugin.initialize(version, {})


def without_npm(hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook.shutil, "which", lambda _: None)


def test_a_wheel_without_npm_says_that_it_has_no_viewer(
    hook: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    without_npm(hook, monkeypatch)
    initialize(hook, tmp_path, "standard")
    printed = capsys.readouterr()
    assert "built without its viewer: there is no npm" in printed.out + printed.err


def test_a_release_without_npm_fails(
    hook: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_npm(hook, monkeypatch)
    monkeypatch.setenv("GEOEMBZ_REQUIRE_VIEWER", "1")
    with pytest.raises(RuntimeError, match=r"no npm.*GEOEMBZ_REQUIRE_VIEWER"):
        initialize(hook, tmp_path, "standard")


@pytest.mark.parametrize(("version", "is_sdist"), [("editable", False), ("standard", True)])
def test_editable_installs_and_sdists_ask_for_no_npm(
    hook: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, is_sdist: bool
) -> None:
    """README's two commands install a clone to be edited; an sdist has the page in it."""
    monkeypatch.setattr(hook, "build", lambda _: pytest.fail("npm was asked for"))
    if is_sdist:
        (tmp_path / "PKG-INFO").touch()
    initialize(hook, tmp_path, version)


def test_a_wheel_is_built_after_the_page(
    hook: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built: list[Path] = []
    monkeypatch.setattr(hook, "build", built.append)
    initialize(hook, tmp_path, "standard")
    assert built == [tmp_path / "geoembz" / "_view"]


def test_a_failing_npm_is_the_reason_given(
    hook: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no registry >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setattr(hook.shutil, "which", lambda _: str(npm))
    assert "'npm install" in str(hook.build(tmp_path))
    assert "no registry" in str(hook.build(tmp_path))

"""Files are written whole or not at all; what goes wrong is said in words, and nothing is left."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import geoembz
from geoembz._cli import main
from geoembz._util.output import output_file, scratch_folder
from geoembz.errors import OutputError
from tests import products
from tests.hostile import STORES

TABLE = STORES.parent / "tables" / "int8.zarr"

LIMITED = """
import resource, sys
from geoembz._cli import main
words = sys.argv[2:]
import geoembz._export, geoembz._search, geoembz.store, rasterio, pyarrow.parquet, numba
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
main(words)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store, points to sample it at, and a query."""
    folder = tmp_path_factory.mktemp("output")
    values = np.asarray(products.unit_vectors(64, 64, 16, seed=1))
    raster = products.write_raster(folder / "a.tif", values)
    geoembz.convert(raster, folder / "a.zarr")
    (folder / "p.csv").write_text("lon,lat\n" + "9.004,47.85\n" * 500)
    np.save(folder / "q.npy", np.ones((20, 16), np.float32))
    return folder


COMMANDS = [
    ["export", "a.zarr", "out/x.tif"],
    ["export", str(TABLE), "out/x.parquet"],
    ["preview", "a.zarr", "out/x.png"],
    ["preview", "a.zarr", "out/x.tif"],
    ["sample", "a.zarr", "p.csv", "--out", "out/x.parquet"],
    ["sample", "a.zarr", "p.csv", "--out", "out/x.csv"],
    ["search", "a.zarr", "--vector", "q.npy", "--out", "out/x.geojson"],
    ["basis", "save", "a.zarr", "out/x.npz"],
]


@pytest.mark.parametrize(
    "words", COMMANDS, ids=lambda words: f"{words[0]} {Path(words[-1]).suffix}"
)
def test_no_room(words: list[str], folder: Path, tmp_path: Path) -> None:
    """A file that cannot grow beyond a few bytes, as on a full disk."""
    for name in ("a.zarr", "p.csv", "q.npy"):
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "out").mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, "200", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    message = ended.stderr.strip().splitlines()[-1]
    assert ended.returncode == 1, ended.stderr
    assert message.startswith(f"geoembz: error: {words[-1]}: cannot be written (")
    assert "[Errno" not in message
    assert "bug" not in message
    assert list((tmp_path / "out").iterdir()) == []


def write_and_fail(target: Path, error: BaseException) -> None:
    """Write half a file, then meet an error."""
    with output_file(target) as path:
        path.write_text("half")
        raise error


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EACCES, "no permission; change the permissions"),
        (errno.ENOSPC, "the disk is full; make room"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EMFILE, "too many open files"),
    ],
)
def test_faults_are_said_in_words(code: int, said: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=rf"x\.txt: cannot be written \({said}"):
        write_and_fail(tmp_path / "x.txt", OSError(code, os.strerror(code), "x"))
    assert list(tmp_path.iterdir()) == []


def test_a_fault_that_nobody_expected_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the operating system refuses, in any command: file, reason, what to do."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "labels.csv")

    monkeypatch.setattr("geoembz.store.summary.open_any_group", refuse)
    with pytest.raises(SystemExit) as ended:
        main(["info", str(tmp_path)])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said == (
        "geoembz: error: labels.csv: no permission; change the permissions, or choose another "
        "place\n"
    )


def test_errors_of_our_own_go_through(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_and_fail(tmp_path / "x.txt", ZeroDivisionError())
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_and_fail(target, KeyboardInterrupt())
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_leftovers_of_killed_processes_are_swept(tmp_path: Path) -> None:
    """Those of the same file and of this machine; not those of a process that still writes."""
    target = tmp_path / "x[1].tif"
    code = (
        "import os, sys; from pathlib import Path; from geoembz._util.output import output_file\n"
        "with output_file(Path(sys.argv[1])) as path:\n"
        "    path.write_text('half'); path.with_name(path.name + '.plain.tif').write_text('half')\n"
        "    os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(target)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    with output_file(target) as path:
        other = path.with_name(path.name.replace(str(os.getpid()), str(os.getppid())))
        other.write_text("of a process that lives")
    with output_file(target) as path:
        path.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([other.name, "x[1].tif"])


def test_temporary_folders_of_killed_processes_are_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those of a process that lives, nor what others keep there."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = (
        "import os; from geoembz._util.output import scratch_folder\n"
        "(scratch_folder() / 'rows').write_text('half'); os._exit(9)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    (killed,) = tmp_path.iterdir()
    (tmp_path / "geoembz-of-a-user").mkdir()
    folders = [scratch_folder(), scratch_folder()]
    assert not killed.exists()
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == sorted(["geoembz-of-a-user", *(folder.name for folder in folders)])


def test_a_folder_is_replaced_whole_by_a_folder_alone(tmp_path: Path) -> None:
    """Nothing of the former one stays; a file never takes the place of a folder."""
    target = tmp_path / "a.lance"
    for name in ("old", "new"):
        with output_file(target) as path:
            path.mkdir()
            (path / name).touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["a.lance", "new"]
    with pytest.raises(OutputError), output_file(target) as path:
        path.touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["a.lance", "new"]

"""What the code writes and reads is what ``spec/`` says, byte for byte."""

import json
import shutil
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz._version import ENCODING_VERSION, FORMAT_VERSION
from geoembz.codecs._stages import PREFIX, Stage, build_stage
from geoembz.encoding import Encoding
from geoembz.encoding._packing import Bits, pack, unpack
from geoembz.errors import EncodingError, StoreError
from geoembz.store import StoreReader, View
from tests.spec import independent, make_vectors
from tests.trees import objects

SPEC = Path(__file__).resolve().parents[2] / "spec"
VERSIONS = sorted(path for path in (SPEC / "vectors").iterdir() if path.is_dir())
CODECS = [path for version in VERSIONS for path in sorted((version / "codecs").glob("*"))]
ENCODINGS = [path for version in VERSIONS for path in sorted((version / "encoding").glob("*.npz"))]
STORES = [path for version in VERSIONS for path in sorted((version / "stores").glob("*.zarr"))]
WHITENED = [path for path in STORES if path.with_suffix(".whitened.npy").exists()]
WIDTHS: tuple[Bits, ...] = (1, 2, 4)
LARGEST_VECTORS_BYTES = 1_350_000
"""Of one version. Of 0.2 stores have 566 kB, overviews 357, grids 121, tables 105, layers 74, times
49. Nearly all of it are documents: 1,167 of 1,273 kB, some 2 kB for an array and once more in the
root. So smaller rasters would not help; a kind more needs its share, and a higher limit."""

each_codec = pytest.mark.parametrize("folder", CODECS, ids=lambda path: path.name)
each_store = pytest.mark.parametrize(
    "store", STORES, ids=lambda path: f"{path.parents[1].name}-{path.stem}"
)


@pytest.fixture
def codec_stage(folder: Path) -> Stage:
    document = read_json(folder / "zarr.json")
    return build_stage(document["name"].removeprefix(PREFIX), document["configuration"])


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def codec_name(folder: Path) -> str:
    """Return the codec of a folder of vectors, such as ``int8`` of ``int8-codebook``."""
    return folder.name.partition("-")[0]


def expected(store: Path, space: str) -> NDArray[Any]:
    array: NDArray[Any] = np.load(store.with_suffix(f".{space}.npy"))
    return array


def test_vectors_of_the_current_version_exist() -> None:
    """The version that the code writes has golden vectors, and they are small."""
    assert FORMAT_VERSION in [path.name for path in VERSIONS]
    for version in VERSIONS:
        size = sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
        assert size < LARGEST_VECTORS_BYTES


def test_vectors_are_written_once(tmp_path: Path) -> None:
    """The script adds what is missing, byte for byte, and changes nothing that is there."""
    golden, copy = SPEC / "vectors", tmp_path / "vectors"
    shutil.copytree(golden, copy)
    parts, stores = copy / ENCODING_VERSION, copy / FORMAT_VERSION
    changed = parts / "codecs" / "int4" / "encoded.bin"
    original = changed.read_bytes()
    changed.write_bytes(b"another version's")
    shutil.rmtree(parts / "codecs" / "pq")
    shutil.rmtree(stores / "stores" / "pq-plain.zarr")
    (parts / "encoding" / "aef.npz").unlink()
    make_vectors.main(copy)
    assert changed.read_bytes() == b"another version's"
    changed.write_bytes(original)
    assert objects(copy) == objects(golden)


@each_codec
def test_codec_encodes_to_the_golden_bytes(folder: Path, codec_stage: Stage) -> None:
    encoded = codec_stage.encode(np.load(folder / "input.npy"))
    assert encoded.tobytes() == (folder / "encoded.bin").read_bytes()


@each_codec
def test_codec_decodes_to_the_golden_values(folder: Path, codec_stage: Stage) -> None:
    golden = np.load(folder / "decoded.npy")
    shape = (codec_stage.encoded_length, *golden.shape[1:])
    content = (folder / "encoded.bin").read_bytes()
    codes = np.frombuffer(content, codec_stage.encoded_dtype).reshape(shape)
    np.testing.assert_array_equal(codec_stage.decode(codes), golden)


@each_codec
def test_numcodecs_form_means_the_same(folder: Path) -> None:
    """The v2 form encodes and decodes the same bytes, and writes the same configuration again."""
    document = read_json(folder / "numcodecs.json")
    codec = numcodecs.get_codec(document)
    values, golden = np.load(folder / "input.npy"), np.load(folder / "decoded.npy")
    content = (folder / "encoded.bin").read_bytes()
    assert codec.encode(values).tobytes() == content
    np.testing.assert_array_equal(codec.decode(content).reshape(golden.shape), golden)
    assert codec.get_config() == document


@each_codec
def test_codec_configuration_survives_a_round_trip(folder: Path, codec_stage: Stage) -> None:
    assert codec_stage.config() == read_json(folder / "zarr.json")["configuration"]


@each_codec
def test_codec_refuses_keys_it_does_not_know(folder: Path) -> None:
    """A key of a later version changes what the bytes mean: it must not be ignored."""
    document = read_json(folder / "zarr.json")
    with pytest.raises(EncodingError, match="unknown key 'later'"):
        build_stage(codec_name(folder), {**document["configuration"], "later": 1})


@pytest.mark.parametrize("bits", WIDTHS)
def test_packing_order(bits: Bits) -> None:
    """Codes and bytes turn into each other, in ours and in a reader made from the text."""
    version = SPEC / "vectors" / ENCODING_VERSION
    codes = np.load(version / "pack" / f"codes-{bits}.npy")
    content = (version / "pack" / f"packed-{bits}.bin").read_bytes()
    packed = np.frombuffer(content, np.uint8).reshape(-1, codes.shape[1])
    assert pack(codes, bits).tobytes() == content
    np.testing.assert_array_equal(unpack(packed, bits, len(codes)), codes)
    np.testing.assert_array_equal(independent.unpack(packed, bits, len(codes)), codes)


@pytest.mark.parametrize("path", ENCODINGS, ids=lambda path: path.stem)
def test_encoding_file_and_hash(path: Path) -> None:
    """A golden file has the golden hash, in ours and in an implementation made from the text."""
    golden = read_json(path.parent / "hashes.json").get(path.name)
    if golden is None:
        golden = path.with_suffix(".hash").read_text().strip()
    encoding = Encoding.load(path)
    assert encoding.hash == golden
    with np.load(path, allow_pickle=False) as archive:
        members = {name: archive[name] for name in archive.files}
    document = json.loads(members.pop("encoding.json"))
    assert independent.content_hash(document["encoding"], members) == golden == document["hash"]
    assert encoding.to_bytes() == path.read_bytes()


@each_store
@pytest.mark.parametrize("space", ["codes", "reduced", "original"])
def test_our_reader_decodes_golden_stores(store: Path, space: View) -> None:
    reader = StoreReader.open(str(store))
    whole = Window(0, 0, *reader.shape)
    came = reader.read_codes(whole) if space == "codes" else reader.read(whole, space)
    np.testing.assert_array_equal(came, expected(store, space))


@each_store
@pytest.mark.parametrize("space", ["codes", "reduced", "original"])
def test_independent_reader_decodes_golden_stores(store: Path, space: str) -> None:
    """The text of spec/ suffices to read a store without geoembz and without zarr-python."""
    came = independent.decode_store(store, space)
    np.testing.assert_array_equal(came, expected(store, space))
    assert came.dtype == expected(store, space).dtype


@pytest.mark.parametrize("store", WHITENED, ids=lambda path: path.stem)
def test_the_whitening_metric_of_golden_stores(store: Path) -> None:
    """Components weighed by their standard deviation, in ours and in the reader from the text."""
    reader = StoreReader.open(str(store))
    came = reader.read(Window(0, 0, *reader.shape), "reduced", whiten=1.0)
    np.testing.assert_array_equal(came, expected(store, "whitened"))
    np.testing.assert_array_equal(independent.decode_store(store, "whitened"), came)


@each_store
def test_plain_zarr_reads_golden_stores(store: Path) -> None:
    """zarr-python alone gives codes in the plain layout, vectors in the codec layout."""
    group = zarr.open_group(store, mode="r")
    space = "original" if group.attrs["geoembz:layout"] == "codec" else "codes"
    golden = expected(store, space)
    array = group["embedding"]
    assert isinstance(array, zarr.Array)
    assert array.dtype == golden.dtype
    np.testing.assert_array_equal(np.asarray(array[...]), golden)


@each_store
def test_store_hash_follows_the_text(store: Path) -> None:
    attributes = read_json(store / "zarr.json")["attributes"]
    folders = [path for path in (store / "encoding").iterdir() if path.is_dir()]
    arrays = {path.name: independent.read_array(path) for path in folders}
    came = independent.content_hash(attributes["geoembz:encoding"], arrays)
    assert came == attributes["geoembz:encoding_hash"]


def test_layouts_share_their_objects() -> None:
    """The shards of both layouts are the same bytes; only metadata differ."""
    for version in VERSIONS:
        plain, codec = (version / "stores" / f"int8-{layout}.zarr" for layout in ("plain", "codec"))
        objects = [
            {
                path.relative_to(root): path.read_bytes()
                for path in root.rglob("*")
                if path.is_file()
            }
            for root in (plain, codec)
        ]
        differing = {str(key) for key in objects[0] if objects[0][key] != objects[1][key]}
        assert objects[0].keys() == objects[1].keys()
        assert differing == {"zarr.json", "embedding/zarr.json"}


@each_store
def test_consolidated_metadata_repeat_the_documents(store: Path) -> None:
    consolidated = read_json(store / "zarr.json")["consolidated_metadata"]["metadata"]
    documents = {
        path.parent.relative_to(store).as_posix(): read_json(path)
        for path in store.rglob("zarr.json")
        if path.parent != store
    }
    assert {name: without_consolidated(doc) for name, doc in consolidated.items()} == documents


def without_consolidated(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "consolidated_metadata"}


@each_store
def test_golden_stores_open_from_a_copy_without_consolidated_metadata(
    store: Path, tmp_path: Path
) -> None:
    """Consolidated metadata are a convenience: nothing in them is missing elsewhere."""
    copy = tmp_path / "copy.zarr"
    shutil.copytree(store, copy)
    document = without_consolidated(read_json(copy / "zarr.json"))
    (copy / "zarr.json").write_text(json.dumps(document), encoding="utf-8")
    reader = StoreReader.open(str(copy))
    came = reader.read(Window(0, 0, *reader.shape), "original")
    np.testing.assert_array_equal(came, expected(store, "original"))


@pytest.fixture
def copied_store(tmp_path: Path) -> Path:
    copy = tmp_path / "copy.zarr"
    shutil.copytree(STORES[0], copy)
    return copy


def change(store: Path, attribute: str, **members: Any) -> None:
    """Change members of one of the group's attributes."""
    document = read_json(store / "zarr.json")
    document["attributes"][f"geoembz:{attribute}"].update(members)
    (store / "zarr.json").write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize("attribute", ["fit", "fidelity", "pixels"])
def test_provenance_may_grow(copied_store: Path, attribute: str) -> None:
    """Members that a later version adds to the provenance are ignored."""
    change(copied_store, attribute, later=1)
    assert StoreReader.open(str(copied_store)).shape == make_vectors.SHAPE


@pytest.mark.parametrize("part", ["projection", "quantizer"])
def test_encodings_are_closed(copied_store: Path, part: str) -> None:
    """A key that a later version adds to the Encoding is refused: it changes what codes mean."""
    encoding = read_json(copied_store / "zarr.json")["attributes"]["geoembz:encoding"]
    change(copied_store, "encoding", **{part: {**encoding[part], "later": 1}})
    arrays = copied_store / "encoding"
    changed = read_json(copied_store / "zarr.json")["attributes"]["geoembz:encoding"]
    read = {path.name: independent.read_array(path) for path in arrays.iterdir() if path.is_dir()}
    document = read_json(copied_store / "zarr.json")
    document["attributes"]["geoembz:encoding_hash"] = independent.content_hash(changed, read)
    (copied_store / "zarr.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(StoreError):
        StoreReader.open(str(copied_store))

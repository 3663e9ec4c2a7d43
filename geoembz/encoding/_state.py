"""An encoding as JSON and arrays: checks of what was stored, content hash, file."""

import hashlib
import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
import rfc8785
from numpy.typing import NDArray

from geoembz._text import checked_names
from geoembz._util.bounded_json import parse_object
from geoembz._version import ENCODING_VERSION
from geoembz.errors import EncodingError

type Arrays = Mapping[str, NDArray[np.generic]]

MAX_DIMENSION = 65_536
"""Longest vector believed; a file that claims more is refused before anything is allocated."""

MAX_ARRAY_BYTES = 1 << 30
"""Most bytes that the arrays of an encoding may have together."""

_CONFIG_NAME = "encoding.json"

_DAMAGE = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile),
    *(NotImplementedError, RuntimeError, MemoryError, zlib.error, struct.error),
)
"""What NumPy and zipfile raise on archives that are cut, changed, encrypted or made up."""


def stored_length(where: str, config: Mapping[str, Any], name: str = "n_components") -> int:
    """Return a length of a stored configuration; `where` names it in messages.

    Raises
    ------
    EncodingError
        If it is missing or not an integer from 1 to 65,536.
    """
    count = config.get(name)
    if type(count) is not int or not 1 <= count <= MAX_DIMENSION:  # True is an int, too
        raise EncodingError(
            f"{where}: {name} is {count!r}; expected an integer from 1 to {MAX_DIMENSION}"
        )
    return count


def stored_array(
    where: str, name: str, arrays: Arrays, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return the array `name` as contiguous float32 after checking it against `shape`.

    Raises
    ------
    EncodingError
        If it is missing, of another type or shape, or not finite.
    """
    array = arrays.get(name)
    if array is None:
        raise EncodingError(f"{where}: array {name!r} is missing; the encoding is incomplete")
    if array.dtype != np.float32 or array.shape != shape:
        raise EncodingError(
            f"{where}: {name} is {array.dtype} {array.shape}; expected float32 of shape {shape}"
        )
    if not np.isfinite(array).all():
        raise EncodingError(f"{where}: {name} holds values that are not finite")
    return np.ascontiguousarray(array, dtype=np.float32)


@dataclass(frozen=True)
class Parts:
    """The checked JSON part of an encoding."""

    dimension: int
    recipe: str
    projection: Mapping[str, Any]
    quantizer: Mapping[str, Any]
    normalize: bool


def check_parts(config: Mapping[str, Any]) -> Parts:
    """Check the JSON part of an encoding before any array is read.

    Raises
    ------
    EncodingError
        If a key is missing, of a wrong type, or a size is out of bounds.
    """
    dimension, recipe = config.get("dimension"), config.get("recipe")
    projection, quantizer = config.get("projection"), config.get("quantizer")
    if not isinstance(dimension, int) or not 1 <= dimension <= MAX_DIMENSION:
        raise EncodingError(
            f"encoding: dimension {dimension!r}; expected an integer from 1 to {MAX_DIMENSION}"
        )
    if not isinstance(recipe, str):
        raise EncodingError(f"encoding: recipe {recipe!r}; expected a name such as 'pca64-int8'")
    if not isinstance(projection, Mapping) or not isinstance(quantizer, Mapping):
        raise EncodingError("encoding: 'projection' and 'quantizer' must be JSON objects")
    n_components = projection.get("n_components")
    if not isinstance(n_components, int) or not 1 <= n_components <= dimension:
        raise EncodingError(
            f"encoding: {n_components!r} components; expected an integer from 1 to {dimension}"
        )
    normalize = config.get("normalize", False)
    if not isinstance(normalize, bool):
        raise EncodingError(f"encoding: normalize is {normalize!r}; expected true or false")
    return Parts(dimension, recipe, projection, quantizer, normalize)


def check_closed(config: Mapping[str, Any], understood: Mapping[str, Any]) -> None:
    """Refuse a JSON part that says more or other than what was understood of it.

    Raises
    ------
    EncodingError
        If a key is unknown or redundant, or a value contradicts the rest.
    """
    for name in {**understood, **config}:
        came, known = config.get(name), understood.get(name)
        if came != known:
            raise EncodingError(
                f"encoding: {name} is {came!r}, of which {known!r} is understood; a newer geoembz "
                "may read it, else it is damaged"
            )


def content_hash(config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """Hash the JSON part (RFC 8785) and the arrays, by name, little-endian, C order.

    The recipe's name is left out: it is a label, and says nothing that the rest does not. Each
    array enters as its name, type, shape and bytes (spec/encoding.md, "Hash").

    Raises
    ------
    EncodingError
        If the JSON part has no canonical form.
    """
    hashed = {name: value for name, value in config.items() if name != "recipe"}
    try:
        digest = hashlib.sha256(rfc8785.dumps(hashed))
    except rfc8785.CanonicalizationError as error:
        raise EncodingError(f"encoding: {hashed!r} is no canonical JSON ({error})") from error
    for name in sorted(arrays):
        array = arrays[name]
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        header = {"name": name, "dtype": str(array.dtype), "shape": list(array.shape)}
        digest.update(rfc8785.dumps(header))
        digest.update(little.tobytes())
    return f"sha256:{digest.hexdigest()}"


def check_hash(where: str, found: str, claimed: str) -> None:
    """Refuse an encoding that is not the one its metadata names.

    Raises
    ------
    EncodingError
        If the hashes differ.
    """
    if found != claimed:
        raise EncodingError(
            f"{where}: the encoding's content has hash {found}, its metadata say {claimed}; it was "
            "changed or damaged: fetch it again"
        )


@dataclass(frozen=True)
class FitReport:
    """What an encoding was fitted on, and how much it keeps.

    Parameters
    ----------
    n_samples
        Vectors that entered the fit.
    seed
        Seed of every random choice.
    explained_variance
        Share of the sample's variance that the components keep, 0 to 1.
    """

    n_samples: int = 0
    seed: int = 0
    explained_variance: float = 1.0

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a stored report; members that later versions may add are ignored.

        Raises
        ------
        EncodingError
            If a member is not a number.
        """
        known = {item.name: document[item.name] for item in fields(cls) if item.name in document}
        if not all(isinstance(value, int | float) for value in known.values()):
            raise EncodingError(f"fit report {dict(document)!r}: expected numbers")
        return cls(**known)


@dataclass(frozen=True)
class Loaded:
    """What a file holds: JSON, arrays, the hash it claims, the fit's report, names of bands."""

    config: Mapping[str, Any]
    arrays: Mapping[str, NDArray[np.generic]]
    hash: str
    report: FitReport
    band_names: tuple[str | None, ...] = ()


def to_bytes(
    config: Mapping[str, Any],
    arrays: Mapping[str, NDArray[np.generic]],
    claimed: str,
    report: FitReport,
    band_names: tuple[str | None, ...] = (),
) -> bytes:
    """Return an encoding as an ``.npz`` archive; see `Encoding.to_bytes`."""
    document = {
        "version": ENCODING_VERSION,
        "encoding": dict(config),
        "hash": claimed,
        "fit": asdict(report),
        **({"band_names": list(band_names)} if any(band_names) else {}),
    }
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(arrays))
    with zipfile.ZipFile(buffer, "a") as archive:
        member = zipfile.ZipInfo(_CONFIG_NAME)  # dated 1980, as NumPy's members are
        archive.writestr(member, json.dumps(document, sort_keys=True))
    return buffer.getvalue()


def from_bytes(content: bytes, where: str) -> Loaded:
    """Read what `to_bytes` wrote; see `Encoding.from_bytes`."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            _check_sizes(where, archive)
            members = {name: archive[name] for name in archive.files}
        document = parse_object(members.pop(_CONFIG_NAME), where, error=EncodingError)
        _check_version(where, document["version"])
        report = FitReport.from_json(document["fit"])
        config, names = {**document["encoding"]}, document.get("band_names")
        known = () if names is None else checked_names(names, config["dimension"])
        return Loaded(config, members, str(document["hash"]), report, known)
    except _DAMAGE as error:
        raise EncodingError(
            f"{where}: not an encoding file ({error}); expected one written by Encoding.save"
        ) from error


def _check_version(where: str, version: object) -> None:
    if version != ENCODING_VERSION:
        raise EncodingError(
            f"{where}: an encoding file of version {version!r}; this geoembz reads "
            f"{ENCODING_VERSION!r}; install a newer geoembz"
        )


def _check_sizes(where: str, archive: Any) -> None:
    """Refuse members too large to be believed, before anything is allocated for them."""
    members = archive.zip.infolist()
    total = sum(max(member.file_size, _claimed_bytes(archive.zip, member)) for member in members)
    if total > MAX_ARRAY_BYTES:
        raise EncodingError(
            f"{where}: {len(members)} members claim {total} bytes; expected at most "
            f"{MAX_ARRAY_BYTES}"
        )


def _claimed_bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    """Return what the header of a NumPy member asks for; 0 for other members."""
    if not member.filename.endswith(".npy"):
        return 0
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{member.filename} is of NumPy's format {version}; expected (1, 0)")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return math.prod(shape) * dtype.itemsize

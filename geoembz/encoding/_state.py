"""An encoding as JSON and arrays: content hash and file."""

import hashlib
import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import rfc8785
from numpy.typing import NDArray

from geoembz._text import checked_names
from geoembz._util.bounded_json import parse_object
from geoembz._version import ENCODING_VERSION
from geoembz.encoding._fit import FitReport
from geoembz.errors import EncodingError

MAX_ARRAY_BYTES = 1 << 30
"""Most bytes that the arrays of an encoding may have together."""

_CONFIG_NAME = "encoding.json"

_DAMAGE = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile),
    *(NotImplementedError, RuntimeError, MemoryError, zlib.error, struct.error),
)
"""What NumPy and zipfile raise on archives that are cut, changed, encrypted or made up."""


@dataclass(frozen=True)
class Loaded:
    """What a file holds: JSON, arrays, the hash it claims, the fit's report, names of bands."""

    config: Mapping[str, Any]
    arrays: Mapping[str, NDArray[np.generic]]
    hash: str
    report: FitReport
    band_names: tuple[str | None, ...] = ()


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

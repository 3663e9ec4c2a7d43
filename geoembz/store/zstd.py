"""Decompress one zstd frame whose size is known, believing no other size that it claims."""

from numcodecs.zstd import decompress as _decompress

_MAGIC = b"\x28\xb5\x2f\xfd"
_DICTIONARY_BYTES = (0, 1, 2, 4)
_SIZE_BYTES = (0, 2, 4, 8)


def decompress(frame: bytes, n_bytes: int) -> bytes:
    """Return the content of a frame, which must be `n_bytes` long.

    Raises
    ------
    ValueError
        If the frame claims or has another size, or is none.
    RuntimeError
        If it is damaged.

    References
    ----------
    RFC 8878, "Zstandard Compression and the 'application/zstd' Media Type", 3.1.1.

    Examples
    --------
    >>> import numcodecs
    >>> decompress(numcodecs.Zstd().encode(b"codes"), 5)
    b'codes'
    """
    claimed = _content_size(frame)
    if claimed is not None and claimed > n_bytes:
        raise ValueError(f"a chunk that claims {claimed} bytes; expected {n_bytes}: damaged")
    content: bytes = _decompress(frame)
    if len(content) != n_bytes:
        raise ValueError(f"a chunk of {len(content)} bytes; expected {n_bytes}: damaged")
    return content


def _content_size(frame: bytes) -> int | None:
    """Return the content size that a frame's header tells; None where it tells none."""
    if frame[:4] != _MAGIC or len(frame) < 6:
        raise ValueError("a chunk is no zstd frame: corrupt")
    descriptor = frame[4]
    is_single = descriptor >> 5 & 1
    size = _SIZE_BYTES[descriptor >> 6] or is_single
    start = 5 + (1 - is_single) + _DICTIONARY_BYTES[descriptor & 3]
    if not size:
        return None
    value = int.from_bytes(frame[start : start + size], "little")
    return value + 256 if size == 2 else value

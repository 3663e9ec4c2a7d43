"""What the bands of a written raster are called."""

from geoembz.store import StorePlan, StoreReader, View

_PLAIN_LAWS = ("identity", "power")
"""Of codes that another reader knows: numbers as they are, or AlphaEarth's own codes."""


def band_labels(reader: StoreReader, space: View, length: int) -> tuple[str, ...]:
    """Return a text for each of the numbers that a view holds of a pixel.

    Components of original vectors have the store's own names. So have reduced components and codes
    where each stands for one such component, no projection between; others are counted from 0.

    Parameters
    ----------
    reader
        The store.
    space
        ``original``, ``reduced`` or ``codes``.
    length
        Numbers of a pixel.
    """
    encoding, names = reader.encoding, reader.attributes.band_names
    axis = "dimension" if space == "original" else "component"
    if space == "codes":
        axis = StorePlan.axis_of(encoding)
    labels = [f"{axis} {number}" for number in range(length)]
    is_projected = space != "original" and encoding.projection.law != "identity"
    if not any(names) or is_projected or axis not in {"dimension", "component"}:
        return tuple(labels)
    is_plain = space != "codes" or encoding.quantizer.config()["law"] in _PLAIN_LAWS
    of = "" if is_plain else "code of "
    named = zip(names[:length], labels, strict=True)
    return tuple(f"{of}{name}" if name else label for name, label in named)

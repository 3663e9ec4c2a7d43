"""How one date is appended."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AppendOptions:
    """How to append.

    Parameters
    ----------
    date
        As ``YYYY-MM-DD``.
    replace
        Write over a date that is there already.
    recode
        Accept a store with another encoding as input: its vectors are decoded and encoded again.
    seed
        Seed of the choice of held-out pixels.
    workers
        Shards written at once.
    breaks_lock
        Take the store from another conversion that seems to hold it.
    nodata
        Replaces the nodata value of the inputs; ``"none"`` says that there is none.
    checksum
        Record the SHA-256 of the inputs.
    """

    date: str
    replace: bool
    recode: bool
    seed: int
    workers: int
    breaks_lock: bool = False
    nodata: float | str | None = None
    checksum: bool = False

"""Try again, with growing pauses, what may pass.

Knows nothing of servers: the caller says which errors pass.
"""

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from geoembz._objects.faults import as_store_error, will_pass
from geoembz.errors import GeoembzError, InvalidConfigError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently to try.

    Parameters
    ----------
    attempts
        At least 1.
    first_pause_s, longest_pause_s
        The pause doubles after each failure, in seconds.
    """

    attempts: int = 8
    first_pause_s: float = 0.25
    longest_pause_s: float = 20.0

    def __post_init__(self) -> None:
        """Refuse no attempt at all."""
        if self.attempts < 1:
            raise InvalidConfigError(f"publish: {self.attempts} attempts; expected at least 1")

    def pause_s(self, failures: int, name: str) -> float:
        """Return the pause after so many failures: 50 to 100 % of the doubled one.

        The share follows from `name`, so that parallel workers do not come back all at once.
        """
        spread = 0.5 + zlib.crc32(f"{name} {failures}".encode()) / 2**33
        doubled = self.first_pause_s * float(2 ** (failures - 1))
        return spread * min(self.longest_pause_s, doubled)


def with_retries[T](
    action: Callable[[], T],
    what: str,
    policy: RetryPolicy,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Return what an action returns, trying again while its errors may pass.

    Parameters
    ----------
    action
        What to do; it must be safe to do twice.
    what
        Its name in messages.
    policy
        How often, how patiently.
    sleep
        Waits so many seconds.

    Raises
    ------
    StoreError
        If an error will not pass, or did not pass in time. It names no credentials and carries no
        cause that could.
    """
    for attempt in range(1, policy.attempts + 1):
        try:
            return action()
        except GeoembzError:
            raise
        except Exception as error:  # noqa: BLE001 (every library has its own; all are translated)
            if attempt == policy.attempts or not will_pass(error):
                raise as_store_error(error, what, attempt) from None
        sleep(policy.pause_s(attempt, what))
    raise AssertionError("unreachable")

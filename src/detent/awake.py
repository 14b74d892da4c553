"""The clock that leases, drills and draining are counted by, and runs that are idle."""

from __future__ import annotations

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed_s() -> float:
    """Seconds since some moment, never set back; those for which the host was suspended are counted where the system counts them (Linux).

    `time.monotonic` stands still meanwhile: a host that wakes up after a night would go on with a lease of the evening before.
    """
    return time.clock_gettime(_CLOCK)

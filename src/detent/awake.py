"""The two clocks of a process: one that records are stamped by, one that leases, drills, draining and idle runs are counted by."""

from __future__ import annotations

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_us() -> int:
    """Microseconds since the epoch; a clock that people set."""
    return time.time_ns() // 1000


def elapsed_s() -> float:
    """Seconds since some moment, never set back; those for which the host was suspended are counted where the system counts them (Linux).

    `time.monotonic` stands still meanwhile: a host that wakes up after a night would go on with a lease of the evening before.
    """
    return time.clock_gettime(_CLOCK)

"""When simulated rollouts are looked at, and what is read of the looks: shared by the simulations of bench/stats.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOOKS_H: Floats = np.concatenate([np.arange(1, 121) / 60.0, np.arange(2.0 + 1 / 12, 48.0 + 1e-9, 1 / 12)])
"""Continuous looking: every minute for two hours, then every five minutes, to 48 h: 672 looks."""

PROOF_H = np.array([48.0, 72.0, 96.0, 120.0, 144.0, 168.0])
"""The planned looks at the proof."""


def units_to_alarm(log_es: Floats, candidate_units: NDArray[Any], alpha: float = 0.05) -> Floats:
    """Candidate units seen at the first look with E >= 1/alpha, by run; infinite where there was none."""
    alarms = log_es >= -math.log(alpha)
    at = np.take_along_axis(candidate_units, alarms.argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.where(alarms.any(axis=1), at, np.inf)


def false_share(alarms: Floats) -> float:
    """Share of runs with an alarm."""
    return float(np.isfinite(alarms).mean())

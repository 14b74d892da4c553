"""Planned looks at the proof, in many simulated rollouts at once: the rules of `view.View.look`, on arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from detent.power.ramp import Ramp
from detent.stats.power import Simulated
from detent.stats.proof import NEW_INFORMATION, boundaries

Floats = NDArray[np.float64]


def proved_at(guards: Sequence[Simulated], ramp: Ramp, alpha: float) -> Floats:
    """Seconds at which each simulated rollout was proved by all these guards at one look; infinite where it never was.

    A look is due at the end of the first step's time and half as long after each look; it waits until every guard has new information.
    Boundaries come from the median information of the rollouts that take the same look at the same time: what differs is noise.
    """
    z = np.stack([np.asarray(guard.z) for guard in guards])
    information = np.stack([np.asarray(guard.information) for guard in guards])
    runs = z.shape[1]
    proved = np.full(runs, math.inf)
    taken, due = np.zeros(runs, dtype=int), np.full(runs, ramp.looks[0] if ramp.looks else math.inf)
    planned = len(ramp.looks)
    seen = np.zeros((len(guards), runs, planned))
    half = ramp.looks[0] / 2.0 if ramp.looks else 0.0
    for i, now in enumerate(ramp.times):
        news = (information[:, :, i] > (1.0 + NEW_INFORMATION) * seen.max(axis=2)).all(axis=0)
        looking = news & (due <= now + 1e-6) & (taken < planned) & np.isinf(proved)
        for number in np.unique(taken[looking]):
            these = np.nonzero(looking & (taken == number))[0]
            seen[:, these, number] = information[:, these, i]
            passed = np.ones(len(these), dtype=bool)
            for g in range(len(guards)):
                passed &= z[g, these, i] >= _boundary(alpha, np.median(seen[g, these, : number + 1], axis=0), planned)
            proved[these[passed]] = now
            taken[these], due[these] = number + 1, now + half
    return proved


def _boundary(alpha: float, information: Floats, planned: int) -> float:
    shares = tuple(round(float(x), 3) for x in information / information[-1])
    return _boundary_of(alpha, shares, planned)


@lru_cache(maxsize=4096)
def _boundary_of(alpha: float, shares: tuple[float, ...], planned: int) -> float:
    return boundaries(alpha, shares, planned)[-1]

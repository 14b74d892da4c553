"""How much a sender may send: a token bucket. Pure; the time is an argument."""

from __future__ import annotations


class Allowance:
    """Full at the start with `most` tokens, and filled up again by `per_s` a second."""

    def __init__(self, per_s: float, most: float, now_s: float) -> None:
        self._per_s = per_s
        self._most = most
        self._left = most
        self._at_s = now_s

    def take(self, cost: float, now_s: float) -> float:
        """0.0 if so many tokens were there, and are gone now; else the seconds until they will be, and none is gone."""
        self._left = min(self._most, self._left + max(0.0, now_s - self._at_s) * self._per_s)
        self._at_s = max(self._at_s, now_s)
        if cost <= self._left:
            self._left -= cost
            return 0.0
        return (cost - self._left) / self._per_s

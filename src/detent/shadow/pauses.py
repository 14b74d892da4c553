"""When a provider wants no more requests for a while: then no copies are sent, so that they never compete with live traffic. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from detent.wire.patience import ASKS_TO_WAIT, SLOW_DOWN

FIRST_S = 2.0
LONGEST_S = 300.0
"""How long to wait at least: doubling from the former to the latter, until it has answered again. A provider may ask for more."""

MOST_S = 3600.0
"""A provider that says more than this is asked again after it."""


@dataclass(slots=True)
class _Pause:
    until_s: float = 0.0
    wait_s: float = 0.0
    stumbled: bool = False


class Pauses:
    """The pauses of all providers, by name."""

    def __init__(self) -> None:
        self._of: dict[str, _Pause] = {}

    def paused(self, provider: str, now_s: float) -> bool:
        """Whether the provider is to be left alone now."""
        return provider in self._of and now_s < self._of[provider].until_s

    def hear(self, provider: str, status: int, retry_after_s: float | None, now_s: float) -> None:
        """Take note of a status. Of several refusals at once the first begins a pause; the others make it longer only where they say so.

        A 503 between answers is chance, which some providers have once in a hundred calls: only the second in a row begins a pause.
        """
        pause = self._of.setdefault(provider, _Pause())
        if status not in ASKS_TO_WAIT:
            if status < 400:
                pause.wait_s, pause.stumbled = 0.0, False
            return
        if status not in SLOW_DOWN and not pause.stumbled and (retry_after_s or 0.0) <= FIRST_S:
            pause.stumbled = True
            return
        if now_s >= pause.until_s:
            pause.wait_s = min(LONGEST_S, max(FIRST_S, 2 * pause.wait_s))
            pause.until_s = now_s + max(pause.wait_s, min(MOST_S, retry_after_s or 0.0))
        elif retry_after_s is not None:
            pause.until_s = max(pause.until_s, now_s + min(MOST_S, retry_after_s))

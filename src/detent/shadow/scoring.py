"""Pairs of which no bodies are stored: scored in memory, by the pin file that is applied, as the grader would."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from detent.checks import Rule
from detent.errors import DetentError
from detent.grading import RecordedPair, grade
from detent.store import Store
from detent.terms import Pair, Route

LOOKS_S = 60.0
"""The pin file is looked at again after this, and no sooner however many routes are not in it."""


@dataclass(frozen=True, slots=True)
class _Applied:
    digest: str
    routes: Mapping[str, Route]
    own: Mapping[str, Rule]


class Scoring:
    """Use it in one thread. Of a pair its scores leave it, and the kind of request that it is: which tools, which schema by its digest,
    which language, how long, when, which template by its digest. Its MinHash does not: whoever guessed a prompt could prove by it that it
    was asked.
    """

    def __init__(self, store: Callable[[], Store], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._applied = _Applied("", {}, {})
        self._why = ""
        self._look_at_s = float("-inf")

    def score(self, route: str, recorded: RecordedPair) -> Pair:
        """The pair's scores; a pair that cannot be scored says why."""
        self._look()
        known = self._applied.routes.get(route)
        if known is None:
            return self._unscored(recorded, self._why or "its route is in no pin file that is applied")
        try:
            return replace(grade(known, recorded, self._applied.own), signature=b"")
        except Exception as error:  # noqa: BLE001 a check of the team's own may do anything; what it raised may quote the answer
            return self._unscored(recorded, f"a check failed: {type(error).__name__}")

    def _look(self) -> None:
        """Read what is applied, where it changed."""
        if self._monotonic() < self._look_at_s:
            return
        self._look_at_s = self._monotonic() + LOOKS_S
        # Imported here: reading a pin file costs a third of a second, which a shadow that stores its bodies never needs.
        from detent import manifest
        from detent.plugins import load_checks

        try:
            found = self._store().state.manifest_text()
            if found is not None and found.digest != self._applied.digest:
                read = manifest.read(found.text)
                self._applied = _Applied(found.digest, read.routes, load_checks(read))
            self._why = ""
        except DetentError as error:
            self._why = f"the pin file could not be read: {error.message.splitlines()[0]}"

    def _unscored(self, recorded: RecordedPair, note: str) -> Pair:
        return Pair(rollout=recorded.rollout, exchange=recorded.exchange, at_us=recorded.at_us, note=note)

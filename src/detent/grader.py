"""Layer 2: scores the shadow's pairs that have no score yet, and has them counted. In the background, resumable, in small steps.

Where it is, is written down with what it did: a pair that is stored is marked in the journal, and counted in the transaction that marks it
as counted. Killed anywhere, it goes on where it was; no pair is scored twice, and none is left out for having come late.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from detent import checks
from detent.errors import InvalidInput
from detent.grading import RecordedPair, checks_of, grade
from detent.store import Store
from detent.terms import Pair, Phase, Rollout, Route

PAIRS_AT_ONCE = 20
"""Pairs that are read at a time: each may have some megabytes."""

MOST_S = 1.0
"""How long one run goes on at most, so that a server that is to stop need not wait for a long backlog."""

REST = 2.0
"""How much longer than it worked on a pair the grader rests after it: it shares the process with the gateway, and has time."""

UNKEPT_EVERY_S = 10.0
"""How often it is looked for mirrored legs that nothing was kept of."""

_NONE: Mapping[str, checks.Rule] = MappingProxyType({})


class Grader:
    """Scores the pairs of all rollouts in their shadow phase. `clock` is monotonic, in seconds; `rest` waits for so many."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.monotonic, rest: Callable[[float], None] = time.sleep) -> None:
        self._store = store
        self._clock = clock
        self._rest = rest
        self._unkept_at: dict[str, float] = {}

    def run_once(self, routes: Mapping[str, Route], own: Mapping[str, checks.Rule] = _NONE) -> int:
        """Score what is new, by the checks that the routes name; `own` are the pin file's own. Returns the number of pairs scored.

        Pairs that were scored where they were mirrored, since no bodies are kept, are counted as well. Raises InvalidInput for a route that
        names a check that there is not, once the others' pairs are scored.
        """
        done, wrong = 0, list[InvalidInput]()
        for rollout in self._store.state.rollouts(open_only=True):
            if rollout.phase is Phase.SHADOW and rollout.route in routes:
                try:
                    done += self._rollout(rollout, routes[rollout.route], own)
                except InvalidInput as error:
                    wrong.append(error)
        if wrong:
            raise wrong[0]
        return done

    def _rollout(self, rollout: Rollout, route: Route, own: Mapping[str, checks.Rule]) -> int:
        state, journal = self._store.state, self._store.journal
        graded, until = 0, self._clock() + MOST_S

        def going() -> bool:
            return self._clock() < until

        while found := journal.ungraded_pairs(rollout.id, limit=PAIRS_AT_ONCE):
            # The first turn of a conversation before the second, where both are here: that one is only compared after it.
            found.sort(key=lambda pair: (pair.asked_us, pair.exchange))
            state.add_pairs([self._grade(route, pair, own) for pair in found])
            journal.mark_graded(rollout.id, [pair.exchange for pair in found])
            graded += len(found)
            state.fold_pairs(rollout, checks_of(route), going)
            if not going():
                return graded
        state.fold_pairs(rollout, checks_of(route), going)
        if self._clock() >= self._unkept_at.get(rollout.id, 0.0):
            journal.pass_over_unkept(rollout.id)
            self._unkept_at[rollout.id] = self._clock() + UNKEPT_EVERY_S
        return graded

    def _grade(self, route: Route, recorded: RecordedPair, own: Mapping[str, checks.Rule]) -> Pair:
        began = self._clock()
        try:
            return grade(route, recorded, own)
        except InvalidInput:
            raise
        except Exception as error:  # noqa: BLE001 one pair that cannot be read for a defect of ours must not keep all others waiting
            note = f"the grader failed on it: {type(error).__name__}"
            return Pair(rollout=recorded.rollout, exchange=recorded.exchange, at_us=recorded.at_us, note=note)
        finally:
            self._rest(REST * max(0.0, self._clock() - began))

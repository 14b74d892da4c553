"""Layer 2: scores shadow pairs that have no score yet, by the route's rule checks. In the background, idempotent, resumable.

Both sides are judged by the same absolute checks (no known-good output), so that "no change" is a fair coin among the pairs where exactly
one side fails (statistics 2.6). A conversation is followed only up to the first turn at which the two versions' tool calls differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from detent import checks, diff, wire
from detent.baseline import checks_of
from detent.errors import InvalidInput
from detent.evidence import NOT_COMPARABLE, refuses_request
from detent.reading import kept_answer
from detent.store import Store
from detent.store.journal import RecordedPair
from detent.terms import Answer, Outcome, Pair, Phase, Rollout, Route

PAIRS_AT_ONCE = 200

LATE_US = 5_000_000
"""How much later than another pair one may reach the journal that was complete before it: gateways' spools are read in turns."""

DIVERGING = ("tool_call_added", "tool_call_removed", "other_tool_called", "other_tool_arguments")
"""Named changes after which the two versions' conversations are no longer the same conversation."""

_NONE: Mapping[str, checks.Rule] = MappingProxyType({})
_NOT_KEPT = Answer(complete=False, error="the answer was not kept")

REFUSED = "shadow_refused"
"""The change of a pair in which the candidate refused a request that stable had answered."""


def grade(route: Route, rollout: str, pair: RecordedPair, own: Mapping[str, checks.Rule] = _NONE) -> Pair:
    """One pair, scored: what failed on either side, and what changed by name; `own` are the route's own checks. Pure.

    Only requests that stable answered are mirrored. A mirrored leg that failed by chance (an overload, a cut, a dead gateway) therefore
    has no counterpart on stable's side, and is not scored: counted against the candidate, it would condemn every version in time.
    """
    if pair.stable_outcome is not Outcome.COMPLETE:
        return _unscored(rollout, pair, "the live answer failed")
    try:
        prompt = wire.read_prompt(pair.endpoint, pair.request)
    except InvalidInput as error:  # one odd request must not keep the others from being scored
        return _unscored(rollout, pair, f"the request cannot be read: {error.message}")
    context = checks.find_context(route.context, prompt)
    stable = kept_answer(pair.stable_answer) or _NOT_KEPT

    def passed(answer: Answer) -> bool | None:
        return checks.passed(checks.run(checks_of(route), checks.Graded(prompt, answer, None, context), own))

    of_stable = passed(stable)
    if pair.candidate_outcome is Outcome.HTTP_ERROR and refuses_request(pair.candidate_status or 500):
        return Pair(rollout=rollout, exchange=pair.exchange, stable_passed=of_stable, candidate_passed=False, changes=(REFUSED,))
    if pair.candidate_outcome is not Outcome.COMPLETE:
        status = f", HTTP {pair.candidate_status}" if pair.candidate_outcome is Outcome.HTTP_ERROR else ""
        return _unscored(rollout, pair, f"the mirrored call failed: {pair.candidate_outcome}{status}")
    candidate = kept_answer(pair.candidate_answer) or _NOT_KEPT
    return Pair(
        rollout=rollout,
        exchange=pair.exchange,
        stable_passed=of_stable,
        candidate_passed=passed(candidate),
        changes=tuple(change.name for change in diff.changes(stable, candidate)),
    )


def _unscored(rollout: str, pair: RecordedPair, note: str) -> Pair:
    return Pair(rollout=rollout, exchange=pair.exchange, stable_passed=None, candidate_passed=None, note=note)


@dataclass(slots=True)
class _Progress:
    """How far a rollout's pairs are scored: newest completion seen, pairs that late ones may stand among, diverged sessions."""

    newest_us: int = 0
    scored: dict[str, int] = field(default_factory=dict)
    diverged: set[str] = field(default_factory=set)


class Grader:
    """Scores the pairs of all rollouts in their shadow phase. After a restart it begins again; what is stored is not stored twice."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._progress: defaultdict[str, _Progress] = defaultdict(_Progress)

    def run_once(self, routes: Mapping[str, Route], own: Mapping[str, checks.Rule] = _NONE) -> int:
        """Score what is new, by the checks that the routes name; `own` are the pin file's own. Returns the number of pairs scored."""
        shadowing = [r for r in self._store.state.rollouts(open_only=True) if r.phase is Phase.SHADOW and r.route in routes]
        return sum(self._rollout(rollout, routes[rollout.route], own) for rollout in shadowing)

    def _rollout(self, rollout: Rollout, route: Route, own: Mapping[str, checks.Rule]) -> int:
        progress, graded = self._progress[rollout.id], 0
        after_us = progress.newest_us - LATE_US
        while found := self._store.journal.ungraded_pairs(rollout.id, limit=PAIRS_AT_ONCE, after_us=after_us):
            fresh = [pair for pair in found if pair.exchange not in progress.scored]
            self._store.state.add_pairs([self._grade(route, rollout, pair, own) for pair in fresh])
            progress.scored.update((pair.exchange, pair.at_us) for pair in fresh)
            after_us = found[-1].at_us
            progress.newest_us = max(progress.newest_us, after_us)
            graded += len(fresh)
        if graded:
            progress.scored = {exchange: at for exchange, at in progress.scored.items() if at > progress.newest_us - LATE_US}
        return graded

    def _grade(self, route: Route, rollout: Rollout, pair: RecordedPair, own: Mapping[str, checks.Rule]) -> Pair:
        diverged = self._progress[rollout.id].diverged
        if pair.session is not None and pair.session in diverged:
            return _unscored(rollout.id, pair, NOT_COMPARABLE)
        graded = grade(route, rollout.id, pair, own)
        if pair.session is not None and any(change in DIVERGING for change in graded.changes):
            diverged.add(pair.session)
        return graded

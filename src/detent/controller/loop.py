"""Load, decide, commit; nothing else. A level-triggered loop: it can be killed anywhere and started twice."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from detent import evidence as ev
from detent.baseline.staleness import Staleness
from detent.controller.loading import flag_to_write, load_evidence, load_layers, working_for
from detent.decide import decide
from detent.errors import Conflict
from detent.store import Store
from detent.terms import BaselineEvidence, Decision, Evidence, Phase, Plan, Rollout, ShadowEvidence, Verb
from detent.transitions import after, learnable, learned

MOST_GAP_S = 600.0
"""The longest time between two looks of a controller that counts as served: one that hung for longer looked after nothing."""

WATCH_EVERY_S = 5.0
"""How often it is written at most that a rollout is looked after; for a plan of short windows a hundredth of the shortest."""


def watch_every_s(plan: Plan) -> float:
    """How long the count of watched seconds may lag."""
    windows = [step.at_least for step in plan.canary.steps] + [plan.shadow.at_least, plan.soak.at_least]
    return min(WATCH_EVERY_S, min(windows) / 100.0)


class Controller:
    """Moves every open rollout one decision on. Two of them at once do no harm: the loser of a compare-and-set loads again.

    `elapsed` counts seconds from wherever, and no clock that is set moves it: what a rollout has served is counted by it.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime], *, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._elapsed = elapsed
        self._said: dict[str, tuple[Phase, Verb, str]] = {}
        self._layers: dict[str, tuple[object, tuple[BaselineEvidence | None, ShadowEvidence | None]]] = {}
        self._looked_after: dict[str, float] = {}
        self._stale = Staleness(store)

    def run_once(self) -> tuple[Decision, ...]:
        """Decide about every open rollout once; returns the decisions that were committed.

        Raises what kept a rollout from being decided, after the others were: one that is broken must not hide harm in another.
        """
        committed: list[Decision] = []
        broken: list[Exception] = []
        rollouts = self._store.state.rollouts(open_only=True)
        try:
            if self._look_after(rollouts):
                rollouts = self._store.state.rollouts(open_only=True)
        except Exception as error:  # noqa: BLE001 raised again below: time that is not counted must not hide harm
            broken.append(error)
        for rollout in rollouts:
            try:
                decision = self._reconcile(rollout)
            except Conflict:
                continue  # somebody moved it first; the next pass loads what they wrote
            except Exception as error:  # noqa: BLE001 raised again below, when all others have had their turn
                broken.append(error)
                continue
            if decision is not None:
                committed.append(decision)
        try:
            self._stale.tell(self._clock())
        except Exception as error:  # noqa: BLE001 likewise: a journal that cannot be read must not hide harm
            broken.append(error)
        if broken:
            raise broken[0]
        return tuple(committed)

    def _look_after(self, rollouts: Sequence[Rollout]) -> bool:
        """Write that these are looked after, where it is time to; whether anything was written.

        A controller that begins counts nothing at its first look: for how long nobody looked is not known.
        """
        now, elapsed = self._clock(), self._elapsed()
        by_last = defaultdict[float, list[str]](list)
        for rollout in rollouts:
            last = self._looked_after.get(rollout.id)
            if last is None or elapsed - last >= watch_every_s(rollout.plan):
                by_last[elapsed if last is None else last].append(rollout.id)
        for last, looked_after in by_last.items():
            self._store.state.look_after(looked_after, now, min(MOST_GAP_S, elapsed - last))
            self._looked_after.update(dict.fromkeys(looked_after, elapsed))
        return bool(by_last)

    def _reconcile(self, rollout: Rollout) -> Decision | None:
        evidence = load_evidence(self._store, rollout, layers=self._known_layers(rollout))
        now = self._clock()
        decision = decide(rollout, evidence, now)
        moved = after(rollout, decision, now)
        if moved.phase is Phase.CANARY and rollout.phase is not Phase.CANARY:
            moved = replace(moved, working=working_for(self._store, rollout, now))
        if moved == rollout and not self._is_news(decision, rollout.phase):
            self._learn(rollout, evidence, now)
            return None
        what = f"{decision.verb}: {decision.reason}: {decision.sentence}"
        flag = flag_to_write(self._store, rollout, moved)
        self._store.state.commit(rollout, moved, flag=flag, decision=decision, evidence=ev.encode(evidence), by="detent", what=what, at=now)
        self._said[rollout.id] = (moved.phase, decision.verb, decision.reason)
        return decision

    def _learn(self, rollout: Rollout, evidence: Evidence, now: datetime) -> None:
        """What had no history when the canary began is learned from stable's own units, once there are enough of them."""
        models = learnable(rollout, evidence)
        if not models:
            return
        moved = learned(rollout, models)
        units = ", ".join(f"{metric} of {model.units} units" for metric, model in models.items())
        what = f"learned what is usual on stable: {units}"
        flag = flag_to_write(self._store, rollout, moved)
        self._store.state.commit(rollout, moved, flag=flag, decision=None, evidence=None, by="detent", what=what, at=now)

    def _known_layers(self, rollout: Rollout) -> tuple[BaselineEvidence | None, ShadowEvidence | None]:
        """Read again only when something was found since: a baseline is thousands of runs, and this is asked ten times a second."""
        waits = rollout.phase in (Phase.PROPOSED, Phase.BASELINE)
        stale = self._stale.of(rollout.route, rollout.plan.baseline, self._clock()) if waits else ()
        mark = (rollout.phase, stale, self._store.state.findings_mark(rollout.id, rollout.route))
        known = self._layers.get(rollout.id)
        if known is None or known[0] != mark:
            known = self._layers[rollout.id] = (mark, load_layers(self._store, rollout, stale=stale))
        return known[1]

    def _is_news(self, decision: Decision, phase: Phase) -> bool:
        """Whether this is not what was last decided about the rollout, by whichever controller or person."""
        said = (phase, decision.verb, decision.reason)
        if self._said.get(decision.rollout) == said:
            return False
        last = self._store.state.last_decision(decision.rollout)
        known = last is not None and (last.verb, last.reason) == (decision.verb, decision.reason)
        if known:
            self._said[decision.rollout] = said
        return not known

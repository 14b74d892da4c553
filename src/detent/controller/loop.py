"""Load, decide, commit; nothing else. A level-triggered loop: it can be killed anywhere and started twice."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from detent import evidence as ev
from detent.alerting import alert
from detent.approving import WAITS, usable
from detent.baseline.staleness import Staleness
from detent.controller.alarms import Alarms
from detent.controller.finishing import end_draining
from detent.controller.live import LiveGateways
from detent.controller.loading import flag_to_write, load_evidence, load_layers, working_for
from detent.controller.way_backs import WayBacks
from detent.decide import decide
from detent.errors import Conflict
from detent.store import Store
from detent.terms import Approval, BaselineEvidence, Decision, Evidence, Phase, Plan, Rollout, ShadowEvidence, Verb, WayBack
from detent.transitions import after, human_approve, learnable, learned

MOST_GAP_S = 600.0
"""The longest time between two looks of a controller that counts as served: one that hung for longer looked after nothing."""

WATCH_EVERY_S = 5.0
"""How often it is written at most that a rollout is looked after; for a plan of short windows a hundredth of the shortest."""


ENDS_FOR_HARM = frozenset({Verb.ROLL_BACK, Verb.REJECT, Verb.VOID})
"""What is said of a rollout whatever its way back is like."""


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
        self._way_backs = WayBacks(store)
        self._alarms = Alarms(store)
        self._gateways = LiveGateways(store, elapsed=elapsed)

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
        try:
            self._gateways.step(self._clock())
        except Exception as error:  # noqa: BLE001 likewise
            broken.append(error)
        # Harm first: no way back is read before each rollout has been looked at for harm.
        known = [(rollout, self._way_backs.last(rollout, self._clock())) for rollout in rollouts]
        later: list[Rollout] = []
        for rollout, way_back in known:
            self._take(rollout, way_back, committed, broken, later if way_back is None else None)
        for rollout in later:
            try:
                way_back = self._way_backs.of(rollout, self._clock())
            except Exception as error:  # noqa: BLE001 raised again below; nothing moves on to a candidate while this is not known
                broken.append(error)
                continue
            self._take(rollout, way_back, committed, broken)
        try:
            end_draining(self._store, self._clock())
        except Exception as error:  # noqa: BLE001 likewise
            broken.append(error)
        try:
            self._tell(self._store.state.rollouts(open_only=True) if committed else rollouts, self._clock())
        except Exception as error:  # noqa: BLE001 likewise: a journal that cannot be read must not hide harm
            broken.append(error)
        if broken:
            raise broken[0]
        return tuple(committed)

    def _take(
        self,
        rollout: Rollout,
        way_back: WayBack | None,
        committed: list[Decision],
        broken: list[Exception],
        later: list[Rollout] | None = None,
    ) -> None:
        """One rollout, decided; into `later` goes one that shows no harm and of whose way back nothing is known yet."""
        try:
            decision = self._reconcile(rollout, way_back, harm_only=later is not None)
        except Conflict:
            return  # somebody moved it first; the next pass loads what they wrote
        except Exception as error:  # noqa: BLE001 raised again by who asked, when all others have had their turn
            broken.append(error)
            return
        if decision is not None:
            committed.append(decision)
        elif later is not None:
            later.append(rollout)

    def _tell(self, opened: Sequence[Rollout], now: datetime) -> None:
        """Who is to know of what there is now, is told of it; what is over is ended.

        Raises what could not be looked up, after all else was told, and by what was last known of it.
        """
        failed: list[Exception] = []
        for look in (self._stale.tell, self._way_backs.step):
            try:
                look(now)
            except Exception as error:  # noqa: BLE001 raised again below: it must not keep word of harm from anybody
                failed.append(error)
        stale = [alert("BaselineStale", one.route, one.owner, one.sentence, now, key=one.digest) for one in self._stale.known]
        ways = self._alarms.of_way_backs(self._way_backs.known, self._way_backs.owners, opened, now)
        self._alarms.step(opened, [*stale, *ways, *self._gateways.alerts(now)], now, owners=self._way_backs.owners)
        if failed:
            raise failed[0]

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

    def _reconcile(self, rollout: Rollout, way_back: WayBack | None, *, harm_only: bool = False) -> Decision | None:
        """Decide about one and commit what is new, with `harm_only` nothing else; the decision, if it was committed."""
        orders = self._gateways.orders_of(rollout.route)
        evidence = load_evidence(self._store, rollout, layers=self._known_layers(rollout), way_back=way_back, orders=orders)
        now = self._clock()
        decision = decide(rollout, evidence, now)
        if harm_only and decision.verb not in ENDS_FOR_HARM:
            return None
        said, about = self._approved(rollout, decision, now)
        if said is not None and (then := decide(about, evidence, now)).verb in (Verb.ADVANCE, Verb.PROMOTE):
            decision = then
        else:
            said, about = None, rollout
        moved = after(about, decision, now)
        if moved.phase is Phase.CANARY and rollout.phase is not Phase.CANARY:
            moved = replace(moved, working=working_for(self._store, rollout, now))
        if moved == rollout and not self._is_news(decision, rollout.phase):
            self._learn(rollout, evidence, now)
            return None
        what = f"{decision.verb}: {decision.reason}: {decision.sentence}"
        self._store.state.commit(
            rollout,
            moved,
            flag=flag_to_write(self._store, rollout, moved),
            decision=decision,
            evidence=ev.encode(evidence),
            by="detent",
            what=what,
            at=now,
            decided=about,
            approval=said.id if said else None,
        )
        self._said[rollout.id] = (moved.phase, decision.verb, decision.reason)
        return decision

    def _approved(self, rollout: Rollout, decision: Decision, now: datetime) -> tuple[Approval | None, Rollout]:
        """The yes that is good for what this decision waits for, and the rollout with it; see `approving`."""
        if decision.reason != WAITS:
            return None, rollout
        given = self._store.state.approvals(rollout.id)
        said = usable(given, rollout, self._store.state.last_decision(rollout.id), now) if given else None
        return said, rollout if said is None else human_approve(rollout, said.by, "", now)

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

"""Load, decide, commit; nothing else. A level-triggered loop: it can be killed anywhere and started twice.

Also the one place where a human's verb and a pin file reach the store: `act` and `apply`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from detent import evidence as ev
from detent import manifest as pin_file
from detent.baseline.staleness import Staleness
from detent.decide import decide, objection
from detent.errors import Conflict, Refused
from detent.evidence import flips
from detent.proposals import Proposal, proposals, refuse_if_any
from detent.store import Store
from detent.terms import (
    Baseline,
    BaselineEvidence,
    Decision,
    Evidence,
    Flag,
    Manifest,
    Phase,
    Plan,
    Rollout,
    Route,
    ShadowEvidence,
    Verb,
)
from detent.transitions import HUMAN_VERBS, after, flag_for

TRIES = 20
"""How often a human's verb is tried again when the controller moved the row meanwhile."""


def load_evidence(
    store: Store, rollout: Rollout, *, layers: tuple[BaselineEvidence | None, ShadowEvidence | None] | None = None
) -> Evidence:
    """All that a decision about this rollout may read, from the store. Its size is bounded by guards x share periods, not by traffic.

    `layers` are the findings of baseline and shadow, where they are known already.
    """
    state = store.state
    baseline, shadow = layers if layers is not None else load_layers(store, rollout)
    # Before the exposure: a unit is exposed first, so every period that is counted here has its split below.
    counts = state.label_counts(rollout.id)
    exposure = state.exposure(rollout.id)
    splits = ev.splits(exposure)
    exposed, seen = state.users(rollout.id)
    return Evidence(
        rollout=rollout.id,
        guards=tuple(ev.guard_evidence(guard.metric, counts, splits) for guard in rollout.plan.guards),
        exposure=exposure,
        baseline=baseline,
        shadow=shadow,
        identity_violations=state.identity_violations(rollout.id),
        users_exposed=exposed,
        users_seen=seen,
    )


def load_layers(store: Store, rollout: Rollout, *, stale: tuple[str, ...] = ()) -> tuple[BaselineEvidence | None, ShadowEvidence | None]:
    """What baseline and shadow have found, each while the rollout is in it; of a baseline that is stale, before it begins as well."""
    wanted = rollout.phase is Phase.BASELINE or (rollout.phase is Phase.PROPOSED and stale)
    baseline = baseline_of(store, rollout, stale=stale) if wanted else None
    shadow = ev.shadow_evidence(store.state.pairs(rollout.id)) if rollout.phase is Phase.SHADOW else None
    return baseline, shadow


def baseline_of(store: Store, rollout: Rollout, *, frozen: Baseline | None = None, stale: tuple[str, ...] = ()) -> BaselineEvidence:
    """Where this rollout's baseline run stands, over `frozen` or else the baseline in force.

    `stale` is why its baseline does not speak for current traffic (`baseline.stale_of`).
    """
    frozen = frozen or store.state.baseline(rollout.route)
    cases = frozen.cases if frozen else ()
    sent = rollout.stable.model, rollout.candidate.model
    return flips.baseline_evidence(rollout.plan.baseline, cases, store.state.runs(rollout.id), stale=stale, sent=sent)


def _commit(
    store: Store, before: Rollout, moved: Rollout, *, decision: Decision | None, evidence: bytes | None, by: str, what: str, at: datetime
) -> Rollout:
    """Write a moved rollout, and its flag if gateways have to obey another one now, in one transaction."""
    flag = store.state.flags()[before.route]
    wanted = flag_for(moved, flag)
    obeyed = replace(wanted, revision=flag.revision, written_at=flag.written_at) == flag
    return store.state.commit(before, moved, flag=None if obeyed else wanted, decision=decision, evidence=evidence, by=by, what=what, at=at)


class Controller:
    """Moves every open rollout one decision on. Two of them at once do no harm: the loser of a compare-and-set loads again."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._said: dict[str, tuple[Verb, str]] = {}
        self._layers: dict[str, tuple[object, tuple[BaselineEvidence | None, ShadowEvidence | None]]] = {}
        self._stale = Staleness(store)

    def run_once(self) -> tuple[Decision, ...]:
        """Decide about every open rollout once; returns the decisions that were committed.

        Raises what kept a rollout from being decided, after the others were: one that is broken must not hide harm in another.
        """
        committed: list[Decision] = []
        broken: list[Exception] = []
        for rollout in self._store.state.rollouts(open_only=True):
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

    def _reconcile(self, rollout: Rollout) -> Decision | None:
        evidence = load_evidence(self._store, rollout, layers=self._known_layers(rollout))
        now = self._clock()
        decision = decide(rollout, evidence, now)
        moved = after(rollout, decision, now)
        if moved.phase is Phase.CANARY and rollout.phase is not Phase.CANARY:
            moved = replace(moved, base_rates=self._store.journal.base_rates(rollout.route, rollout.plan.guards))
        if moved == rollout and not self._is_news(decision):
            return None
        what = f"{decision.verb}: {decision.reason}"
        _commit(self._store, rollout, moved, decision=decision, evidence=ev.encode(evidence), by="detent", what=what, at=now)
        self._said[rollout.id] = (decision.verb, decision.reason)
        return decision

    def _known_layers(self, rollout: Rollout) -> tuple[BaselineEvidence | None, ShadowEvidence | None]:
        """Read again only when something was found since: a baseline is thousands of runs, and this is asked ten times a second."""
        waits = rollout.phase in (Phase.PROPOSED, Phase.BASELINE)
        stale = self._stale.of(rollout.route, rollout.plan.baseline, self._clock()) if waits else ()
        mark = (rollout.phase, stale, self._store.state.findings_mark(rollout.id, rollout.route))
        known = self._layers.get(rollout.id)
        if known is None or known[0] != mark:
            known = self._layers[rollout.id] = (mark, load_layers(self._store, rollout, stale=stale))
        return known[1]

    def _is_news(self, decision: Decision) -> bool:
        """Whether this is not what was last decided about the rollout, by whichever controller."""
        said = (decision.verb, decision.reason)
        if self._said.get(decision.rollout) == said:
            return False
        last = [(known.verb, known.reason) for known, _ in self._store.state.decisions(decision.rollout)[-1:]]
        if last == [said]:
            self._said[decision.rollout] = said
        return last != [said]


def act(store: Store, rollout_id: str, verb: str, *, by: str, why: str, now: datetime) -> Rollout:
    """Carry out a human's verb (`transitions.HUMAN_VERBS`) in one write; tried again when the controller moved the row meanwhile.

    Raises Refused for what is not allowed now, InvalidInput for an unknown rollout.
    """
    what = f"{verb}: {why}" if why else verb
    for _ in range(TRIES):
        rollout = store.state.rollout(rollout_id)
        moved = HUMAN_VERBS[verb](rollout, by, why, now)
        if verb == "promote":
            _refuse_unfit(store, rollout, now)
        try:
            return _commit(store, rollout, moved, decision=None, evidence=None, by=by, what=what, at=now)
        except Conflict:
            continue
    raise Conflict(f"rollout `{rollout_id}` kept moving", hint="run the command again")


def _refuse_unfit(store: Store, rollout: Rollout, now: datetime) -> None:
    """Raises Refused when the evidence speaks against the candidate, or when the route has moved on since the rollout ended."""
    against = objection(rollout, load_evidence(store, rollout), now)
    if against is not None:
        raise Refused(f"rollout `{rollout.id}` can be rolled back, not promoted", hint=against)
    flag = store.state.flags().get(rollout.route)
    if flag is None or flag.stable != rollout.stable:
        now_on = f"`{flag.stable}`" if flag else "no longer a route"
        raise Refused(
            f"route `{rollout.route}` has moved on from {rollout.stable} since: {now_on}", hint="propose the version again as `next`"
        )
    for other in store.state.rollouts(route=rollout.route, open_only=True):
        if other.id != rollout.id:
            raise Refused(
                f"route `{rollout.route}` has another open rollout: `{other.id}`", hint=f"end it first: `detent abort {other.id}`"
            )


def apply(
    store: Store,
    text: str,
    *,
    file: str,
    by: str,
    now: datetime,
    new_id: Callable[[], str],
    new_salt: Callable[[], str],
    supersede: bool = False,
    retry_why: str | None = None,
) -> tuple[Proposal, ...]:
    """Hand a pin file to the store: add routes, open a rollout for each `next`. Refused as a whole or carried out as a whole.

    The steps are idempotent and the file itself is stored last, so an `apply` that was killed is finished by running it again.
    """
    manifest = pin_file.read(text, file=file)
    found = proposed(store, manifest, supersede=supersede, retry=retry_why is not None)
    refuse_if_any(found)
    flags = store.state.flags()
    added = [Flag(route=name, revision=0, stable=route.stable) for name, route in manifest.routes.items() if name not in flags]
    if added:
        store.state.put_flags(added, at=now, by=by)
    for proposal in found:
        if proposal.ends is not None:
            act(store, proposal.ends, "abort", by=by, why=f"superseded by {proposal.candidate}", now=now)
        if proposal.kind in ("open", "supersede"):
            route = manifest.routes[proposal.route]
            rollout = _opened(store, route, manifest.plans[route.plan], rollout_id=new_id(), salt=new_salt(), now=now)
            store.state.open_rollout(rollout, by=by, at=now, why=retry_why or "")
    removed = [proposal.route for proposal in found if proposal.kind == "remove"]
    if removed:
        store.state.drop_flags(removed, at=now, by=by)
    store.state.put_manifest(text, by=by, at=now)
    return found


def proposed(store: Store, manifest: Manifest, *, supersede: bool = False, retry: bool = False) -> tuple[Proposal, ...]:
    """What applying this pin file would do, from the store's flags and rollouts."""
    rollouts = store.state.rollouts()
    applied = store.state.manifest_text()
    opened: Mapping[str, Rollout] = {r.route: r for r in rollouts if not r.phase.terminal}
    ended = [r for r in rollouts if r.phase.terminal]
    return proposals(
        manifest,
        store.state.flags(),
        opened,
        ended,
        applied=pin_file.read(applied.text) if applied else None,
        supersede=supersede,
        retry=retry,
    )


def _opened(store: Store, route: Route, plan: Plan, *, rollout_id: str, salt: str, now: datetime) -> Rollout:
    """A rollout of the route's `next`, as it begins. Raises Conflict when the pin moved since the file was looked at."""
    stable = store.state.flags()[route.name].stable
    if route.candidate is None or stable != route.stable:
        raise Conflict(
            f"the pin of route `{route.name}` moved meanwhile: `{stable}`", hint="see what the file would do now with `detent plan`"
        )
    return Rollout(
        id=rollout_id,
        route=route.name,
        owner=route.owner,
        stable=stable,
        candidate=route.candidate,
        plan=plan,
        salt=salt,
        opened_at=now,
        entered_at=now,
    )

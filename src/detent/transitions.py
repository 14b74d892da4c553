"""What a decision or a human's word does to a rollout and to its flag. Pure: old value in, new value out.

Every exit from canary or soak leaves split = 0 except `done`, whose flag has the candidate as its stable version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from detent.catalog import price
from detent.errors import Refused
from detent.evidence import control_share, working_from
from detent.terms import Decision, Draining, Evidence, Flag, Held, Mirror, Phase, RolledBack, Rollout, Verb, Working, show_duration
from detent.windows import canary_served_s, minimum_window_s, served_s

HOLDING_REASONS = {
    "AwaitingApproval",
    "BaselineBudget",
    "BaselineCouldNotRun",
    "BaselineInconclusive",
    "BaselineStale",
    "Frozen",
    "GuardFailed",
    "GuardHarmedHold",
    "GuardWithoutData",
    "HarmSuspected",
    "LeftScript",
    "NoBaseline",
    "OrderStands",
    "SampleRatioAlarm",
    "ShadowHarmSuspected",
    "ShadowInconclusive",
    "WayBackBroken",
}
"""Reasons of Detent's own that need somebody; the others only wait for time or traffic."""


STORE_PUT_BACK = "StorePutBack"
"""What a rollout is held for that was open in a store which was put back to an older state: what was decided since is not known."""


def _enter(rollout: Rollout, phase: Phase, now: datetime, *, split: float, step: int = 0) -> Rollout:
    """The rollout in another phase or step; a changed split begins a new share period."""
    watched_s, begins = rollout.watched_s or 0.0, phase is Phase.CANARY and rollout.canary_at is None
    period = rollout.period + (split != rollout.split)
    return replace(
        rollout,
        phase=phase,
        step=step,
        entered_at=now,
        entered_watched_s=watched_s,
        split=split,
        period=period,
        entered_period=period,
        canary_at=now if begins else rollout.canary_at,
        canary_watched_s=watched_s if begins else rollout.canary_watched_s,
        held=rollout.held if rollout.held and rollout.held.by != "detent" else None,
    )


def _end(rollout: Rollout, phase: Phase, reason: str, now: datetime) -> Rollout:
    return replace(_enter(rollout, phase, now, split=0.0), reason=reason, ended_at=now, held=None)


def _advance(rollout: Rollout, now: datetime) -> Rollout:
    steps = rollout.plan.canary.steps
    match rollout.phase:
        case Phase.PROPOSED:
            return _enter(rollout, Phase.BASELINE, now, split=0.0)
        case Phase.BASELINE:
            return _enter(rollout, Phase.SHADOW, now, split=0.0)
        case Phase.SHADOW:
            return _enter(rollout, Phase.CANARY, now, split=steps[0].share)
        case Phase.CANARY:
            return _enter(rollout, Phase.CANARY, now, split=steps[rollout.step + 1].share, step=rollout.step + 1)
    raise AssertionError(f"nothing to advance to from {rollout.phase}")


def _hold(rollout: Rollout, decision: Decision, now: datetime) -> Rollout:
    if rollout.held is not None and rollout.held.by != "detent":
        return rollout
    if decision.reason not in HOLDING_REASONS:
        return replace(rollout, held=None)
    if rollout.held is not None and rollout.held.reason == decision.reason:
        return rollout
    return replace(rollout, held=Held(reason=decision.reason, by="detent", since_at=now, why=decision.sentence))


def after(rollout: Rollout, decision: Decision, now: datetime) -> Rollout:
    """The rollout once the decision is carried out."""
    if decision.look is not None:
        rollout = replace(rollout, looks=(*rollout.looks, decision.look))
    why = f"{decision.reason}: {decision.sentence}"
    match decision.verb:
        case Verb.HOLD:
            return _hold(rollout, decision, now) if not rollout.phase.terminal else rollout
        case Verb.ADVANCE:
            return _advance(rollout, now)
        case Verb.PROMOTE:
            return replace(_enter(rollout, Phase.SOAK, now, split=1.0 - rollout.plan.soak.holdback), reason=why)
        case Verb.FINISH:
            return _end(rollout, Phase.DONE, why, now)
        case Verb.ROLL_BACK:
            return replace(_end(rollout, Phase.ROLLED_BACK, why, now), harmed=decision.guard)
        case Verb.REJECT:
            return _end(rollout, Phase.REJECTED, why, now)
        case Verb.NOT_PROVED:
            return _end(rollout, Phase.NOT_PROVED, why, now)
        case Verb.VOID:
            return _end(rollout, Phase.VOID, why, now)


def into_canary(rollout: Rollout, now: datetime) -> Rollout:
    """A rollout of the pinned version against itself begins with its canary: there is nothing to compare before."""
    return _enter(rollout, Phase.CANARY, now, split=rollout.plan.canary.steps[0].share)


LEARNED_FROM = 200
"""Scored units of stable from which it is learned what is usual of a value that had no history."""


def learnable(rollout: Rollout, evidence: Evidence) -> dict[str, Working]:
    """Working models of the guards on values that have none, where stable has had enough units since the canary began."""
    if rollout.phase not in (Phase.CANARY, Phase.SOAK) or (rollout.held is not None and rollout.held.reason == STORE_PUT_BACK):
        return {}
    found_out = dict[str, Working]()
    for found in evidence.guards:
        metric = found.metric
        if metric in rollout.working or found.stable_units < LEARNED_FROM or rollout.metric(metric).kind == "rate":
            continue
        buckets = sum((Counter(tally.stable) for tally in found.values), Counter[int]())
        working = working_from(rollout.metric(metric), buckets)
        if working is not None:
            found_out[metric] = working
    return found_out


def learned(rollout: Rollout, models: Mapping[str, Working]) -> Rollout:
    """The rollout with what was learned of stable's own units, in a new share period of the same split.

    Bets on these guards begin with the units of that period: those that a model was measured on are not judged by it.
    """
    period = rollout.period + 1
    working = rollout.working | {metric: replace(model, since=period) for metric, model in models.items()}
    return replace(rollout, period=period, working=working)


def flag_for(rollout: Rollout, flag: Flag) -> Flag:
    """The flag that gateways must obey for this rollout; `flag` is the one in force. The store sets revision and time."""
    if rollout.phase is Phase.DONE:
        return Flag(route=flag.route, revision=flag.revision, stable=rollout.candidate, written_at=flag.written_at)
    if rollout.phase.terminal:
        rolled_back = rolled_back_of(rollout, flag)
        ended = Flag(route=flag.route, revision=flag.revision, stable=flag.stable, written_at=flag.written_at, rolled_back=rolled_back)
        draining = draining_of(rollout, flag)
        return ended if draining is None else replace(ended, draining=draining, lease_s=rollout.plan.lease)
    return replace(
        flag,
        candidate=rollout.candidate,
        drill=None,
        draining=None,
        rolled_back=None,
        lease_s=rollout.plan.lease,
        rollout=rollout.id,
        split=rollout.split,
        control=control_share(rollout.split) if rollout.plan.canary.control and 0.0 < rollout.split < 1.0 else 0.0,
        period=rollout.period,
        salt=rollout.salt,
        mirror=mirror_of(rollout) if rollout.phase is Phase.SHADOW else None,
    )


DRAIN_S = 30 * 60.0
"""How long runs may finish on the candidate after a rollback: a run that asked for nothing in so long is over anyway (`runs.IDLE_S`)."""

CUTTING = ("error", "fallback", "hard_failure")
"""Harm by these is a candidate that does not answer: no run can finish on it."""


def draining_of(rollout: Rollout, flag: Flag) -> Draining | None:
    """What may finish on the candidate of a rollout that has just ended, by the plan's `runs = "drain"`; `flag` is the one in force.

    A candidate that answers badly may finish what it began; one that fails, or that its provider has changed (`void`), may not. A human's
    word drains as the plan has it: what that human knows to be worse is for `rollback --cut` to say.
    """
    if rollout.plan.runs != "drain" or flag.rollout != rollout.id or flag.candidate is None or flag.split <= 0.0:
        return None
    if rollout.phase not in (Phase.ROLLED_BACK, Phase.ABORTED) or rollout.harmed in CUTTING:
        return None
    return Draining(rollout=rollout.id, candidate=flag.candidate, split=flag.split, salt=flag.salt, lasts_s=DRAIN_S)


def rolled_back_of(rollout: Rollout, flag: Flag) -> RolledBack | None:
    """Whose candidate it was that some units were on until now; None for one that nobody met. `flag` is the one in force."""
    if flag.rollout != rollout.id or flag.candidate is None or flag.split <= 0.0:
        return None
    return RolledBack(rollout=rollout.id, candidate=flag.candidate, split=flag.split, salt=flag.salt, lasts_s=DRAIN_S)


def cut_short(flag: Flag) -> Flag:
    """The flag with nothing left to finish elsewhere: every run moves to stable at its next request."""
    return replace(flag, draining=None)


def mirror_of(rollout: Rollout) -> Mirror:
    """What gateways mirror for this rollout while it is in its shadow, and what that may cost."""
    stage = rollout.plan.shadow
    return Mirror(
        share=stage.share,
        second=stage.second,
        usd_per_day=stage.budget_usd_per_day,
        tokens_per_day=stage.tokens_per_day,
        per_second=stage.per_second,
        stable_price=price(rollout.stable, rollout.prices),
        candidate_price=price(rollout.candidate, rollout.prices),
    )


# ── what a human says: from every phase, without evidence, judge or controller ──────────────────────────────────────


def _open(rollout: Rollout, verb: str) -> None:
    if rollout.phase.terminal:
        done = rollout.phase is Phase.DONE and verb == "roll back"
        raise Refused(
            f"rollout `{rollout.id}` has ended as {rollout.phase}: nothing to {verb}",
            hint=f"{'propose the former version as `next`; ' if done else ''}see why with `detent explain {rollout.id}`",
        )


def _said(code: str, by: str, why: str) -> str:
    return f"{code}: {by}" + (f": {why}" if why else "")


def human_roll_back(rollout: Rollout, by: str, why: str, now: datetime) -> Rollout:
    """All traffic on stable. From canary and soak the end is `rolled_back`; before that no user saw the candidate, and it is `aborted`."""
    _open(rollout, "roll back")
    seen = rollout.phase in (Phase.CANARY, Phase.SOAK)
    return _end(rollout, Phase.ROLLED_BACK if seen else Phase.ABORTED, _said("RolledBackByHuman", by, why), now)


def human_abort(rollout: Rollout, by: str, why: str, now: datetime) -> Rollout:
    """The human's end of a rollout, from every phase."""
    _open(rollout, "abort")
    return _end(rollout, Phase.ABORTED, _said("AbortedByHuman", by, why), now)


def human_hold(rollout: Rollout, by: str, why: str, now: datetime) -> Rollout:
    """Stay where it is until resumed; harm still ends it. What another human holds it for is not written over."""
    _open(rollout, "hold")
    if rollout.held is not None and rollout.held.by not in ("detent", by):
        raise Refused(
            f"rollout `{rollout.id}` is held by {rollout.held.by} already",
            hint=f"see why with `detent explain {rollout.id}`; it stays held",
        )
    return replace(rollout, held=Held(reason="HeldByHuman", by=by, since_at=now, why=why))


def human_resume(rollout: Rollout, by: str, why: str, now: datetime) -> Rollout:
    """Take back a human's hold. Detent's own holds end when their cause does."""
    _open(rollout, "resume")
    if rollout.held is None or rollout.held.by == "detent":
        reason = f": it waits for {rollout.held.reason}" if rollout.held else ""
        raise Refused(f"rollout `{rollout.id}` is not held by anyone{reason}", hint=f"see `detent explain {rollout.id}`")
    return replace(rollout, held=None)


def coming_stage(rollout: Rollout, verb: str) -> str:
    """The stage that comes next, where it begins with a human yes. Raises Refused where none does."""
    _open(rollout, verb)
    following = {Phase.PROPOSED: "baseline", Phase.BASELINE: "shadow", Phase.SHADOW: "canary", Phase.CANARY: "soak"}
    stage = following.get(rollout.phase)
    if stage is None or stage not in rollout.plan.approve:
        raise Refused(f"rollout `{rollout.id}` in phase {rollout.phase} waits for no approval", hint=f"see `detent explain {rollout.id}`")
    return stage


def human_approve(rollout: Rollout, by: str, why: str, now: datetime) -> Rollout:
    """The human yes for the stage that comes next, as it is used: what it is bound to until then stands in `approving`."""
    return replace(rollout, approved=tuple(dict.fromkeys((*rollout.approved, coming_stage(rollout, "approve")))))


def human_promote(rollout: Rollout, by: str, why: str, now: datetime) -> Rollout:
    """Promote without proof, on a human's word and with a name: once the plan's minimum window is served, also after `not_proved`.

    That window is all steps of the canary together; no word, no clock and no edit of the plan makes it shorter. In soak the same word
    finishes it, once it was served: a soak that Detent holds for a guard that cannot be computed would have no other way forward. What the
    evidence has to say against it (`decide.objection`) is asked by the caller, who has it. A human's hold is not lifted by the way.
    """
    if rollout.phase is not Phase.NOT_PROVED or rollout.canary_at is None:
        _open(rollout, "promote")
    if rollout.aa:
        raise Refused(f"both arms of rollout `{rollout.id}` are the same version: nothing to promote", hint="propose another as `next`")
    if rollout.held is not None and rollout.held.by != "detent":
        raise Refused(
            f"rollout `{rollout.id}` is held by {rollout.held.by}: resume first", hint=f"see why with `detent explain {rollout.id}`"
        )
    soak = rollout.phase is Phase.SOAK
    if not soak and rollout.phase not in (Phase.CANARY, Phase.NOT_PROVED):
        raise Refused(
            f"rollout `{rollout.id}` is in phase {rollout.phase}, in which no user meets its candidate: nobody can promote it yet",
            hint=f"a canary can be, once it has served its minimum window of {show_duration(minimum_window_s(rollout.plan))}",
        )
    window = rollout.plan.soak.at_least if soak else minimum_window_s(rollout.plan)
    served = served_s(rollout, now) if soak else canary_served_s(rollout, now)
    if served < window:
        raise Refused(
            f"rollout `{rollout.id}` in phase {rollout.phase} has served {show_duration(float(int(served)))} of its minimum window of "
            f"{show_duration(window)}: nobody can {'finish' if soak else 'promote'} it yet",
            hint=f"see what it waits for with `detent explain {rollout.id}`",
        )
    if soak:
        return _end(rollout, Phase.DONE, _said("FinishedByHuman", by, why), now)
    promoted = _enter(rollout, Phase.SOAK, now, split=1.0 - rollout.plan.soak.holdback)
    unproven = "; ".join(filter(None, (rollout.unproven, f"{by}: {why}" if why else by)))
    return replace(promoted, reason=_said("PromotedUnproved", by, why), held=None, ended_at=None, unproven=unproven)


HUMAN_VERBS = {
    "roll_back": human_roll_back,
    "abort": human_abort,
    "hold": human_hold,
    "resume": human_resume,
    "approve": human_approve,
    "promote": human_promote,
}

"""(rollout, evidence, now) -> Decision: one table, in order of precedence.

The first row that has something to say decides. Harm is tested at every look by an anytime-valid e-process; promotion is another test, at
planned looks, and no evidence never passes. Pure: the same arguments give the same decision, which is how a stored one is checked.

What a human says (`roll back`, `abort`) does not pass through here: it ends the rollout by one write (see transitions.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from detent import evidence as ev
from detent.evidence.verdict import Finding, few, finding
from detent.guarding import describe_e
from detent.shadowing import harm_sentence, lacking, passed
from detent.terms import BaselineEvidence, Decision, Evidence, LookAt, Phase, Rollout, ShadowEvidence, Verb, Verdict, show_duration
from detent.view import View
from detent.windows import planned_looks

PAGE_AT_E = 10.0
"""E-value at which a rollout holds and its owner is told (statistics 2.1)."""


@dataclass(frozen=True)
class Said:
    """What a rule says: verb, reason code, sentence, and the numbers it rests on."""

    verb: Verb
    reason: str
    sentence: str
    numbers: dict[str, float]


def _say(verb: Verb, reason: str, sentence: str, **numbers: float) -> Said:
    return Said(verb, reason, sentence, numbers)


def _ended(view: View) -> Said | None:
    if not view.rollout.phase.terminal:
        return None
    return _say(Verb.HOLD, "Ended", f"the rollout ended as {view.rollout.phase}: {view.rollout.reason}")


def _harm(view: View) -> Said | None:
    said = _harmed(view)
    return said if said is not None and said.verb is Verb.ROLL_BACK else None


def _harm_to_hold_for(view: View) -> Said | None:
    said = _harmed(view)
    return said if said is not None and said.verb is Verb.HOLD else None


def _harmed(view: View) -> Said | None:
    """What harm asks for: a rollback, or a hold where only guards with `action = "hold"` are harmed."""
    if view.rollout.phase not in (Phase.CANARY, Phase.SOAK) or view.log_e_all < view.limit:
        return None
    guard = view.culprit
    alone, together = describe_e(view.log_e[guard.metric]), describe_e(view.log_e_all)
    sentence = (
        f"{guard.metric}: {view.describe_arms(guard.metric)}; E = {together} >= 1/alpha = {1 / view.rollout.plan.alpha:g}, "
        f"all guards together ({guard.metric} alone: {alone})"
    )
    if view.rollout.aa:
        sentence += "; a false alarm, since both arms are the same version"
    verb, reason = (Verb.ROLL_BACK, "GuardHarmed") if guard.action == "roll_back" else (Verb.HOLD, "GuardHarmedHold")
    return _say(verb, reason, sentence, log_e=view.log_e_all, log_e_guard=view.log_e[guard.metric])


def _shadow_harm(view: View) -> Said | None:
    harm = view.shadow_harm
    if harm is None or harm.log_e < view.limit:
        return None
    sentence = f"{harm_sentence(harm)} >= 1/alpha = {1 / view.rollout.plan.alpha:g}; no user saw it"
    return _say(Verb.REJECT, "ShadowHarm", sentence, log_e=harm.log_e, log_e_field=harm.log_e_field)


def _identity(view: View) -> Said | None:
    if not view.evidence.identity_violations:
        return None
    return _say(Verb.VOID, "IdentityViolated", "the provider moved under the experiment: " + "; ".join(view.evidence.identity_violations))


def _human_hold(view: View) -> Said | None:
    held = view.rollout.held
    if held is None or held.by == "detent":
        return None
    return _say(Verb.HOLD, "HeldByHuman", f"held by {held.by}" + (f": {held.why}" if held.why else ""))


def _suspected(view: View) -> Said | None:
    if view.rollout.phase not in (Phase.CANARY, Phase.SOAK) or view.log_e_all < math.log(PAGE_AT_E):
        return None
    sentence = f"harm suspected in {view.culprit.metric}: E = {describe_e(view.log_e_all)} >= {PAGE_AT_E:g}; waiting for it to rise or fall"
    return _say(Verb.HOLD, "HarmSuspected", sentence, log_e=view.log_e_all)


def _suspected_in_shadow(view: View) -> Said | None:
    harm = view.shadow_harm
    if harm is None or harm.log_e < math.log(PAGE_AT_E):
        return None
    sentence = f"harm suspected: {harm_sentence(harm)} >= {PAGE_AT_E:g}; waiting for it to rise or fall"
    return _say(Verb.HOLD, "ShadowHarmSuspected", sentence, log_e=harm.log_e)


def _limit(view: View) -> Said | None:
    """`at_most` reached, by the clock: a canary without proof, or a shadow without its pairs, ends as not proved.

    By the clock alone, whether a controller looked after it or not: that is the safe direction. Time that nobody watched promotes nothing,
    and may well end what has stood for too long; the worst of a clock set forward is then that stable serves.
    """
    rollout, in_doubt = view.rollout, None
    if rollout.phase is Phase.CANARY and rollout.canary_at is not None:
        passed, limit = (view.now - rollout.canary_at).total_seconds(), rollout.plan.canary.at_most
        last_step = rollout.step + 1 == len(rollout.plan.canary.steps)
        in_doubt = _suspected(view) or _sample_ratio(view) or _guard_failed(view) or _waits_in_canary(view) or _waits_for_proof(view)
        ready = last_step and in_doubt is None
    elif rollout.phase is Phase.SHADOW:
        passed, limit = (view.now - rollout.entered_at).total_seconds(), rollout.plan.shadow.at_most
        in_doubt = _suspected_in_shadow(view) or _waits_in_shadow(view)
        ready = in_doubt is None
    else:
        return None
    if passed < limit or ready:
        return None
    why = f" ({in_doubt.sentence})" if in_doubt else ""
    return _say(Verb.NOT_PROVED, "LimitReached", f"{rollout.phase} reached at_most = {show_duration(limit)} without proof{why}")


def _sample_ratio(view: View) -> Said | None:
    if not view.distrusted:
        return None
    arms = sum(e.candidate for e in view.evidence.exposure), sum(e.stable for e in view.evidence.exposure)
    sentence = f"{arms[0]} candidate and {arms[1]} stable units do not fit the split; nothing is proved until this is explained"
    return _say(Verb.HOLD, "SampleRatioAlarm", sentence, log_e=view.log_e_sample_ratio)


def _guard_failed(view: View) -> Said | None:
    """A guard that cannot be computed guards nothing: nothing widens and nothing is proved until it can. Harm in the others still acts."""
    if not view.failed or view.rollout.phase not in (Phase.CANARY, Phase.SOAK):
        return None
    why = "; ".join(f"{metric} ({why})" for metric, why in view.failed.items())
    return _say(Verb.HOLD, "GuardFailed", f"could not be computed: {why}")


def _of_baseline(view: View) -> Finding:
    """What the baseline run comes to. That it is stale kept a rollout from beginning; one that has begun ends on the set it began with."""
    return finding(view.evidence.baseline or BaselineEvidence(cases=0, pending=0), on_stale="warn")


def _baseline_regression(view: View) -> Said | None:
    if view.rollout.phase is not Phase.BASELINE:
        return None
    found = _of_baseline(view)
    return _say(Verb.REJECT, found.reason, found.sentence, **found.numbers) if found.verdict is Verdict.REGRESSION else None


def _stale(view: View) -> Said | None:
    """A rollout that begins on a baseline which is stale waits for a fresh one."""
    found, rollout = view.evidence.baseline, view.rollout
    if found is None or not found.stale or rollout.plan.baseline.on_stale != "wait":
        return None
    said = f"the baseline is stale: {few(list(found.stale))}; {rollout.owner} freezes a fresh one"
    return _say(Verb.HOLD, "BaselineStale", f"{said}: `detent baseline freeze {rollout.route}`")


def _waits_in_baseline(view: View) -> Said | None:
    found, route = _of_baseline(view), view.rollout.route
    if found.verdict is Verdict.PASS:
        return None
    if found.reason == "NoBaseline":
        return _say(Verb.HOLD, found.reason, f"no frozen baseline: freeze one with `detent baseline freeze {route}`")
    return _say(Verb.HOLD, found.reason, found.sentence, **found.numbers)


def _waits_in_shadow(view: View) -> Said | None:
    """Time, pairs, second answers, coverage: a shadow ends when it has them all, and what is lacking is told by its name."""
    stage = view.rollout.plan.shadow
    if view.served_s < stage.at_least:
        return _not_served(view, "shadow", stage.at_least)
    found = lacking(stage, view.evidence.shadow or ShadowEvidence())
    return _say(Verb.HOLD, found.reason, found.sentence, **found.numbers) if found is not None else None


def _shadow_passed(view: View) -> Said:
    return _advance(view, Phase.CANARY, "ShadowPassed", passed(view.evidence.shadow or ShadowEvidence(), view.rollout.plan.alpha))


def _waits_in_canary(view: View) -> Said | None:
    if view.served_s < view.step.at_least:
        where = f"canary step {view.rollout.step + 1} of {len(view.rollout.plan.canary.steps)} ({100 * view.step.share:g} %)"
        return _not_served(view, where, view.step.at_least)
    # A unit is exposed once: where the same few come back every day no later step has any, and a plan that asks for none must not wait.
    seen = _units_of_step(view) if view.step.units > 1 else view.candidate_units
    if seen < view.step.units:
        return _say(Verb.HOLD, "TooFewUnits", f"{seen} of {view.step.units} candidate units seen in this step", units=seen)
    return None


def _units_of_step(view: View) -> int:
    """Candidate units first exposed in this step: since the share period that it began with."""
    return sum(e.candidate for e in view.evidence.exposure if e.period >= view.rollout.entered_period)


def _not_served(view: View, where: str, at_least: float) -> Said:
    said = f"{where}: at least {show_duration(at_least)} to serve"
    return _say(Verb.HOLD, "TimeNotServed", said, served_s=round(view.served_s, 3), at_least_s=at_least)


def _waits_for_proof(view: View) -> Said | None:
    if view.rollout.aa:
        return None
    if view.proved:
        return _without_data(view)
    look = view.look or (view.rollout.looks[-1] if view.rollout.looks else None)
    if look is None:
        return _say(Verb.HOLD, "ProofNotReached", f"not yet proved: {_too_little(view)}")
    lacking = ", ".join(_describe_look_at(at) for at in look.guards if at.metric in look.lacking) or "the plan has no proving guard"
    planned = planned_looks(view.rollout.plan)
    return _say(Verb.HOLD, "ProofNotReached", f"look {look.number} of {planned}: not yet proved: {lacking}", look=look.number)


def _without_data(view: View) -> Said | None:
    if not view.without_data:
        return None
    said = f"nothing was ever heard of {', '.join(view.without_data)}: silence from an app that may send no feedback is no good news"
    return _say(Verb.HOLD, "GuardWithoutData", said)


def _too_little(view: View) -> str:
    short = [metric for metric, proof in view.proofs.items() if proof is None or proof.information == 0.0]
    return f"too little to go by for a look at the proof ({', '.join(short)})" if short else "no look at the proof has been due"


def _describe_look_at(at: LookAt) -> str:
    if at.z is None or at.boundary is None:
        return f"{at.metric} (too little to go by)"
    return f"{at.metric} (z {at.z:.2f} of {at.boundary:.2f})"


def _stage(view: View) -> Said | None:
    """The stage's own conditions, and the way on when they are met."""
    rollout = view.rollout
    match rollout.phase:
        case Phase.PROPOSED:
            return _stale(view) or _advance(view, Phase.BASELINE, "Opened", "the baseline run begins")
        case Phase.BASELINE:
            return _waits_in_baseline(view) or _advance(view, Phase.SHADOW, "BaselinePassed", _of_baseline(view).sentence)
        case Phase.SHADOW:
            return _waits_in_shadow(view) or _shadow_passed(view)
        case Phase.CANARY:
            return _waits_in_canary(view) or _canary_on(view)
        case Phase.SOAK:
            if view.served_s < rollout.plan.soak.at_least:
                return _not_served(view, "soak", rollout.plan.soak.at_least)
            return _say(Verb.FINISH, "SoakServed", f"the holdback of {100 * rollout.plan.soak.holdback:g} % showed no harm")
    return None


def _canary_on(view: View) -> Said | None:
    steps = view.rollout.plan.canary.steps
    if view.rollout.step + 1 < len(steps):
        share = steps[view.rollout.step + 1].share
        return _say(Verb.ADVANCE, "StepServed", f"time and units served, no harm: on to {100 * share:g} %")
    if waits := _waits_for_proof(view):
        return waits
    if view.rollout.aa:
        return _aa_served(view)
    look = next(look for look in (*view.rollout.looks, view.look) if look is not None and look.proved)
    said = f"every step served and every proving guard shown non-inferior at look {look.number}: " + ", ".join(
        _describe_look_at(at) for at in look.guards
    )
    if view.not_applying:
        said += f"; does not apply to this traffic so far: {', '.join(view.not_applying)}"
    if "soak" in view.rollout.plan.approve and "soak" not in view.rollout.approved:
        return _awaits_approval(view, "soak", said)
    return _say(Verb.PROMOTE, "Proved", said, look=look.number)


def _aa_served(view: View) -> Said:
    """The end of a trial of the machinery on two arms of one version: no false alarm, and what the looks said."""
    looks = [look for look in (*view.rollout.looks, view.look) if look is not None]
    proof = next((f"proved at look {look.number}" for look in looks if look.proved), f"not proved at {len(looks)} looks")
    said = f"both arms are the same version: every step served without a false alarm, E = {describe_e(view.log_e_all)}; {proof}"
    return _say(Verb.FINISH, "AAServed", said, log_e=view.log_e_all, looks=len(looks))


def _awaits_approval(view: View, stage: str, said: str) -> Said:
    return _say(Verb.HOLD, "AwaitingApproval", f"{said}; {stage} waits for a human yes: `detent approve {view.rollout.id}`")


def _advance(view: View, to: Phase, reason: str, said: str) -> Said:
    if to.value in view.rollout.plan.approve and to.value not in view.rollout.approved:
        return _awaits_approval(view, to.value, said)
    return _say(Verb.ADVANCE, reason, said)


@dataclass(frozen=True)
class Rule:
    """One row of the table of precedence."""

    name: str
    says: str
    rule: Callable[[View], Said | None]


PRECEDENCE: tuple[Rule, ...] = (
    Rule("ended", "a rollout that ended stays ended, whoever asks", _ended),
    Rule("harm", "E >= 1/alpha over the guards: roll back, in every look of canary and soak", _harm),
    Rule("shadow harm", "E >= 1/alpha of the paired bets on shadow pairs, against the noise floor: reject; no user saw it", _shadow_harm),
    Rule(
        "baseline regression",
        "confirmed flips, a harmed slice or a refused shape of request: reject; no user saw it",
        _baseline_regression,
    ),
    Rule("identity", "answers came from another version than was sent: the comparison is void", _identity),
    Rule("human hold", "a human said hold", _human_hold),
    Rule("limit", "at_most reached without proof: stable serves", _limit),
    Rule("harm to hold for", "E >= 1/alpha by a guard whose action is hold", _harm_to_hold_for),
    Rule("harm suspected", "E >= 10: hold and tell the owner", _suspected),
    Rule("shadow harm suspected", "E >= 10 in the shadow: hold and tell the owner", _suspected_in_shadow),
    Rule("sample ratio", "the arms' sizes do not fit the split: blocks proof, never a rollback", _sample_ratio),
    Rule("guard failed", "a guard that cannot be computed: blocks proof, never a rollback by the others", _guard_failed),
    Rule(
        "stage",
        "approval, a baseline that is stale as it begins or undecided, time served, samples, coverage, proof, data; then on",
        _stage,
    ),
)


def decide(rollout: Rollout, evidence: Evidence, now: datetime) -> Decision:
    """What to do with a rollout now.

    Promises: harm acts at any look; success never shortens a window; nothing is promoted without proof.
    """
    view = View(rollout, evidence, now)
    for row in PRECEDENCE:
        said = row.rule(view)
        if said is None:
            continue
        look = None if said.verb in (Verb.ROLL_BACK, Verb.VOID) or rollout.phase.terminal else view.look
        return Decision(
            rollout=rollout.id,
            verb=said.verb,
            reason=said.reason,
            sentence=said.sentence,
            at=now,
            evidence_digest=ev.digest(evidence),
            numbers=said.numbers,
            look=look,
            unsafe_short_windows=rollout.plan.unsafe_short_windows,
        )
    raise AssertionError(f"no rule spoke for a rollout in phase {rollout.phase}")


OBJECTIONS: tuple[Callable[[View], Said | None], ...] = (_harm, _identity, _suspected, _sample_ratio)
"""What no human's word outweighs either."""


def objection(rollout: Rollout, evidence: Evidence, now: datetime) -> str | None:
    """What speaks against promoting this rollout without proof, as a sentence: harm or its suspicion, or evidence that can't be trusted.

    Reads all that was seen since the canary began, whether it is held, and by whom, or has ended.
    """
    view = View(replace(rollout, phase=Phase.CANARY), evidence, now)
    return next((said.sentence for rule in OBJECTIONS if (said := rule(view)) is not None), None)

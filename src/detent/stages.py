"""The stages of a rollout: what each still waits for, and the way on when it has that. Pure.

`decide` asks them last of all, once nothing speaks against moving on.
"""

from __future__ import annotations

from dataclasses import dataclass

from detent.evidence.verdict import Finding, few, finding
from detent.guarding import describe_e
from detent.shadowing import lacking, passed
from detent.terms import BaselineEvidence, LookAt, Phase, ShadowEvidence, Verb, Verdict, show_duration
from detent.view import View
from detent.windows import planned_looks


@dataclass(frozen=True)
class Said:
    """What a rule says: verb, reason code, sentence, the numbers it rests on, and the metric that it found harm in."""

    verb: Verb
    reason: str
    sentence: str
    numbers: dict[str, float]
    guard: str = ""


def say(verb: Verb, reason: str, sentence: str, **numbers: float) -> Said:
    """What a rule says, in short."""
    return Said(verb, reason, sentence, numbers)


def of_baseline(view: View) -> Finding:
    """What the baseline run comes to. That it is stale kept a rollout from beginning; one that has begun ends on the set it began with."""
    return finding(view.evidence.baseline or BaselineEvidence(cases=0, pending=0), on_stale="warn")


def _stale(view: View) -> Said | None:
    """A rollout that begins on a baseline which is stale waits for a fresh one."""
    found, rollout = view.evidence.baseline, view.rollout
    if found is None or not found.stale or rollout.plan.baseline.on_stale != "wait":
        return None
    said = f"the baseline is stale: {few(list(found.stale))}; {rollout.owner} freezes a fresh one"
    return say(Verb.HOLD, "BaselineStale", f"{said}: `detent baseline freeze {rollout.route}`")


def _waits_in_baseline(view: View) -> Said | None:
    found, route = of_baseline(view), view.rollout.route
    if found.verdict is Verdict.PASS:
        return None
    if found.reason == "NoBaseline":
        return say(Verb.HOLD, found.reason, f"no frozen baseline: freeze one with `detent baseline freeze {route}`")
    return say(Verb.HOLD, found.reason, found.sentence, **found.numbers)


def waits_in_shadow(view: View) -> Said | None:
    """Time, pairs, second answers, coverage: a shadow ends when it has them all, and what is lacking is told by its name."""
    stage = view.rollout.plan.shadow
    if view.served_s < stage.at_least:
        return _not_served(view, "shadow", stage.at_least)
    found = lacking(stage, view.evidence.shadow or ShadowEvidence())
    return say(Verb.HOLD, found.reason, found.sentence, **found.numbers) if found is not None else None


def _shadow_passed(view: View) -> Said:
    return _advance(view, Phase.CANARY, "ShadowPassed", passed(view.evidence.shadow or ShadowEvidence(), view.rollout.plan.alpha))


def waits_in_canary(view: View) -> Said | None:
    """Time and units of the step."""
    if view.served_s < view.step.at_least:
        where = f"canary step {view.rollout.step + 1} of {len(view.rollout.plan.canary.steps)} ({100 * view.step.share:g} %)"
        return _not_served(view, where, view.step.at_least)
    # A unit is exposed once: where the same few come back every day no later step has any, and a plan that asks for none must not wait.
    seen = _units_of_step(view) if view.step.units > 1 else view.candidate_units
    if seen < view.step.units:
        return say(Verb.HOLD, "TooFewUnits", f"{seen} of {view.step.units} candidate units seen in this step", units=seen)
    return None


def _units_of_step(view: View) -> int:
    """Candidate units first exposed in this step: since the share period that it began with."""
    return sum(e.candidate for e in view.evidence.exposure if e.period >= view.rollout.entered_period)


def _not_served(view: View, where: str, at_least: float) -> Said:
    said = f"{where}: at least {show_duration(at_least)} to serve"
    return say(Verb.HOLD, "TimeNotServed", said, served_s=round(view.served_s, 3), at_least_s=at_least)


def waits_for_proof(view: View) -> Said | None:
    """What is lacking to the proof; None once it is reached, and where none is asked for."""
    if view.rollout.aa:
        return None
    if view.proved:
        return _without_data(view)
    look = view.look or (view.rollout.looks[-1] if view.rollout.looks else None)
    if look is None:
        return say(Verb.HOLD, "ProofNotReached", f"not yet proved: {_too_little(view)}")
    lacking = ", ".join(_describe_look_at(at) for at in look.guards if at.metric in look.lacking) or "the plan has no proving guard"
    planned = planned_looks(view.rollout.plan)
    return say(Verb.HOLD, "ProofNotReached", f"look {look.number} of {planned}: not yet proved: {lacking}", look=look.number)


def _without_data(view: View) -> Said | None:
    if not view.without_data:
        return None
    said = f"nothing was ever heard of {', '.join(view.without_data)}: silence from an app that may send no feedback is no good news"
    return say(Verb.HOLD, "GuardWithoutData", said)


def _too_little(view: View) -> str:
    short = [metric for metric, proof in view.proofs.items() if proof is None or proof.information == 0.0]
    return f"too little to go by for a look at the proof ({', '.join(short)})" if short else "no look at the proof has been due"


def _describe_look_at(at: LookAt) -> str:
    if at.z is None or at.boundary is None:
        return f"{at.metric} (too little to go by)"
    return f"{at.metric} (z {at.z:.2f} of {at.boundary:.2f})"


def stage(view: View) -> Said | None:
    """The stage's own conditions, and the way on when they are met."""
    rollout = view.rollout
    match rollout.phase:
        case Phase.PROPOSED:
            return _stale(view) or _advance(view, Phase.BASELINE, "Opened", "the baseline run begins")
        case Phase.BASELINE:
            return _waits_in_baseline(view) or _advance(view, Phase.SHADOW, "BaselinePassed", of_baseline(view).sentence)
        case Phase.SHADOW:
            return waits_in_shadow(view) or _shadow_passed(view)
        case Phase.CANARY:
            return waits_in_canary(view) or _canary_on(view)
        case Phase.SOAK:
            if view.served_s < rollout.plan.soak.at_least:
                return _not_served(view, "soak", rollout.plan.soak.at_least)
            return say(Verb.FINISH, "SoakServed", f"the holdback of {100 * rollout.plan.soak.holdback:g} % showed no harm")
    return None


def _canary_on(view: View) -> Said | None:
    steps = view.rollout.plan.canary.steps
    if view.rollout.step + 1 < len(steps):
        share = steps[view.rollout.step + 1].share
        return say(Verb.ADVANCE, "StepServed", f"time and units served, no harm: on to {100 * share:g} %")
    if waits := waits_for_proof(view):
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
    return say(Verb.PROMOTE, "Proved", said, look=look.number)


def _aa_served(view: View) -> Said:
    """The end of a trial of the machinery on two arms of one version: no false alarm, and what the looks said."""
    looks = [look for look in (*view.rollout.looks, view.look) if look is not None]
    proof = next((f"proved at look {look.number}" for look in looks if look.proved), f"not proved at {len(looks)} looks")
    said = f"both arms are the same version: every step served without a false alarm, E = {describe_e(view.log_e_all)}; {proof}"
    return say(Verb.FINISH, "AAServed", said, log_e=view.log_e_all, looks=len(looks))


def _awaits_approval(view: View, stage: str, said: str) -> Said:
    return say(Verb.HOLD, "AwaitingApproval", f"{said}; {stage} waits for a human yes: `detent approve {view.rollout.id}`")


def _advance(view: View, to: Phase, reason: str, said: str) -> Said:
    if to.value in view.rollout.plan.approve and to.value not in view.rollout.approved:
        return _awaits_approval(view, to.value, said)
    return say(Verb.ADVANCE, reason, said)

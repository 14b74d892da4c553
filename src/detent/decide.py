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
from detent.freezing import frozen
from detent.guarding import describe_e
from detent.shadowing import harm_sentence
from detent.stages import Said, of_baseline, say, stage, waits_for_proof, waits_in_canary, waits_in_shadow
from detent.terms import Decision, Evidence, Phase, Rollout, Verb, Verdict, show_duration
from detent.view import View
from detent.windows import canary_served_s, served_s

PAGE_AT_E = 10.0
"""E-value at which a rollout holds and its owner is told (statistics 2.1)."""


def _ended(view: View) -> Said | None:
    if not view.rollout.phase.terminal:
        return None
    return say(Verb.HOLD, "Ended", f"the rollout ended as {view.rollout.phase}: {view.rollout.reason}")


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
    said = say(verb, reason, sentence, log_e=view.log_e_all, log_e_guard=view.log_e[guard.metric])
    return replace(said, guard=guard.metric)


def _shadow_harm(view: View) -> Said | None:
    harm = view.shadow_harm
    if harm is None or harm.log_e < view.limit:
        return None
    sentence = f"{harm_sentence(harm)} >= 1/alpha = {1 / view.rollout.plan.alpha:g}; no user saw it"
    return say(Verb.REJECT, "ShadowHarm", sentence, log_e=harm.log_e, log_e_field=harm.log_e_field)


def _identity(view: View) -> Said | None:
    if not view.evidence.identity_violations:
        return None
    return say(Verb.VOID, "IdentityViolated", "the provider moved under the experiment: " + "; ".join(view.evidence.identity_violations))


def _human_hold(view: View) -> Said | None:
    held = view.rollout.held
    if held is None or held.by == "detent":
        return None
    return say(Verb.HOLD, "HeldByHuman", f"held by {held.by}" + (f": {held.why}" if held.why else ""))


def _suspected(view: View) -> Said | None:
    if view.rollout.phase not in (Phase.CANARY, Phase.SOAK) or view.log_e_all < math.log(PAGE_AT_E):
        return None
    sentence = f"harm suspected in {view.culprit.metric}: E = {describe_e(view.log_e_all)} >= {PAGE_AT_E:g}; waiting for it to rise or fall"
    return say(Verb.HOLD, "HarmSuspected", sentence, log_e=view.log_e_all)


def _suspected_in_shadow(view: View) -> Said | None:
    harm = view.shadow_harm
    if harm is None or harm.log_e < math.log(PAGE_AT_E):
        return None
    sentence = f"harm suspected: {harm_sentence(harm)} >= {PAGE_AT_E:g}; waiting for it to rise or fall"
    return say(Verb.HOLD, "ShadowHarmSuspected", sentence, log_e=harm.log_e)


def _limit(view: View) -> Said | None:
    """`at_most` reached, in time served as all windows are counted: a canary without proof, or a shadow without its pairs, ends as not
    proved. So a clock that jumps ends nothing, and a rollout whose server was off for a week is where it was: what came meanwhile is
    looked at for harm first, by the rows above.
    """
    rollout, in_doubt = view.rollout, None
    if _way_back(view) is not None:
        return None  # a clock alone moves no traffic to a version that is known not to take it
    if rollout.phase is Phase.CANARY and rollout.canary_at is not None:
        passed, limit = canary_served_s(_counted(view), view.now), rollout.plan.canary.at_most
        last_step = rollout.step + 1 == len(rollout.plan.canary.steps)
        in_doubt = _suspected(view) or _sample_ratio(view) or _guard_failed(view) or waits_in_canary(view) or waits_for_proof(view)
        ready = last_step and in_doubt is None
    elif rollout.phase is Phase.SHADOW:
        passed, limit = served_s(_counted(view), view.now), rollout.plan.shadow.at_most
        in_doubt = _suspected_in_shadow(view) or waits_in_shadow(view)
        ready = in_doubt is None
    else:
        return None
    if passed < limit or ready:
        return None
    why = f" ({in_doubt.sentence})" if in_doubt else ""
    return say(Verb.NOT_PROVED, "LimitReached", f"{rollout.phase} reached at_most = {show_duration(limit)} without proof{why}")


def _counted(view: View) -> Rollout:
    """The rollout by whose count of time its limit is reached; without a count the clock is taken at its word."""
    return replace(view.rollout, watched_s=None) if view.limits_by_clock else view.rollout


def _sample_ratio(view: View) -> Said | None:
    if not view.distrusted:
        return None
    arms = sum(e.candidate for e in view.evidence.exposure), sum(e.stable for e in view.evidence.exposure)
    sentence = f"{arms[0]} candidate and {arms[1]} stable units do not fit the split; nothing is proved until this is explained"
    return say(Verb.HOLD, "SampleRatioAlarm", sentence, log_e=view.log_e_sample_ratio)


def _guard_failed(view: View) -> Said | None:
    """A guard that cannot be computed guards nothing: nothing widens and nothing is proved until it can. Harm in the others still acts."""
    if not view.failed or view.rollout.phase not in (Phase.CANARY, Phase.SOAK):
        return None
    why = "; ".join(f"{metric} ({why})" for metric, why in view.failed.items())
    return say(Verb.HOLD, "GuardFailed", f"could not be computed: {why}")


def _way_back(view: View) -> Said | None:
    """No step away from a version that traffic could not come back to. Harm still acts: it is worse where it is.

    One of which nobody can tell whether it works holds nothing: it is told. Else a server that begins, or one whose provider says nothing,
    would hold every rollout.
    """
    found, rollout = view.evidence.way_back, view.rollout
    if found is None or not found.broken or rollout.aa or rollout.phase not in (Phase.SHADOW, Phase.CANARY, Phase.SOAK):
        return None
    return say(Verb.HOLD, "WayBackBroken", f"the way back to {found.version} is broken: {found.broken}")


def _ordered(view: View) -> Said | None:
    """Somebody on a gateway's host wants this route on stable, and the store cannot be told who: nothing goes on as if nobody had.

    Traffic elsewhere is left as it is: an order that cannot be read has no name to answer for it.
    """
    if not view.evidence.orders or view.rollout.aa:
        return None
    return say(Verb.HOLD, "OrderStands", f"an order by file stands and cannot be carried out: {'; '.join(view.evidence.orders)}")


def _frozen(view: View) -> Said | None:
    why = frozen(view.rollout.plan, view.now)
    return say(Verb.HOLD, "Frozen", why) if why is not None else None


def _baseline_regression(view: View) -> Said | None:
    if view.rollout.phase is not Phase.BASELINE:
        return None
    found = of_baseline(view)
    return say(Verb.REJECT, found.reason, found.sentence, **found.numbers) if found.verdict is Verdict.REGRESSION else None


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
    Rule("way back broken", "stable could not take the traffic back: nothing moves on to the candidate; harm still acts", _way_back),
    Rule("order by file", "a gateway's host wants stable and the store cannot carry that out: nothing moves on; harm still acts", _ordered),
    Rule("frozen", "a freeze of the plan: what has opened waits, nothing widens, advances or finishes; harm still acts", _frozen),
    Rule(
        "stage",
        "approval, a baseline that is stale as it begins or undecided, time served, samples, coverage, proof, data; then on",
        stage,
    ),
)


def decide(rollout: Rollout, evidence: Evidence, now: datetime, *, limits_by_clock: bool = False) -> Decision:
    """What to do with a rollout now. `limits_by_clock`: as an older Detent would have decided, whose `at_most` went by the clock.

    Promises: harm acts at any look; success never shortens a window; nothing is promoted without proof.
    """
    view = View(rollout, evidence, now, limits_by_clock)
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
            guard=said.guard,
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

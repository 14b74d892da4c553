"""On a person's word: the decision that somebody takes, by name, who promotes without proof, or finishes a soak. Pure."""

from __future__ import annotations

from datetime import datetime

from detent import evidence as ev
from detent.terms import Decision, Evidence, Phase, Rollout, Verb
from detent.view import View

BY_HAND = ("PromotedUnproved", "FinishedByHuman")
"""Reasons of decisions that a person took, by name: no rule comes to them, and none makes them again."""


def on_a_word(rollout: Rollout, evidence: Evidence, now: datetime, *, by: str, why: str) -> Decision:
    """The decision that a person takes who promotes this rollout without proof, or finishes its soak, over what was known then.

    Says nothing about whether it may be taken: that are `transitions.human_promote` and `decide.objection`.
    """
    view, soak = View(rollout, evidence, now), rollout.phase is Phase.SOAK
    return Decision(
        rollout=rollout.id,
        verb=Verb.FINISH if soak else Verb.PROMOTE,
        reason="FinishedByHuman" if soak else "PromotedUnproved",
        sentence=f"{by}: {why}" if why else by,
        at=now,
        evidence_digest=ev.digest(evidence),
        numbers={"log_e": view.log_e_all},
        unsafe_short_windows=rollout.plan.unsafe_short_windows,
    )

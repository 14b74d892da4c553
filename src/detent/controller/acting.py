"""A human's verb, in one write: from every phase, tried again when the controller moved the row meanwhile."""

from __future__ import annotations

import secrets
from datetime import datetime

from detent import evidence as ev
from detent import manifest as pin_file
from detent.approving import approval_of, refuse_own
from detent.by_hand import on_a_word
from detent.controller.loading import flag_to_write, load_evidence
from detent.decide import objection
from detent.errors import Conflict, Refused
from detent.store import Store
from detent.terms import Approval, Evidence, Rollout
from detent.transitions import HUMAN_VERBS

TRIES = 20
"""How often a human's verb is tried again when the controller moved the row meanwhile."""


def act(store: Store, rollout_id: str, verb: str, *, by: str, why: str, now: datetime) -> Rollout:
    """Carry out a human's verb (`transitions.HUMAN_VERBS`) in one write; tried again when the controller moved the row meanwhile.

    A promotion is stored as a decision, with the evidence that was asked for objections. An approval is no move: see `approve`. Raises
    Refused for what is not allowed now, InvalidInput for an unknown rollout.
    """
    if verb == "approve":
        approve(store, rollout_id, by=by, why=why, now=now)
        return store.state.rollout(rollout_id)
    what = f"{verb}: {why}" if why else verb
    for _ in range(TRIES):
        rollout = store.state.rollout(rollout_id)
        moved = HUMAN_VERBS[verb](rollout, by, why, now)
        decision, known = None, None
        if verb == "promote":
            evidence = load_evidence(store, rollout)
            _refuse_unfit(store, rollout, evidence, now)
            if "soak" in rollout.plan.approve and "soak" not in rollout.approved:  # the yes that this word goes without
                refuse_own(rollout, verb, by=by, proposed_by=proposer(store, rollout), approves_alone=_approves_alone(store))
            if not why.strip():
                raise Refused(f"nobody promotes rollout `{rollout_id}` on a word without a reason", hint='say why: --why "..."')
            decision, known = on_a_word(rollout, evidence, now, by=by, why=why), ev.encode(evidence)
        try:
            flag = flag_to_write(store, rollout, moved)
            return store.state.commit(rollout, moved, flag=flag, decision=decision, evidence=known, by=by, what=what, at=now)
        except Conflict:
            continue
    raise Conflict(f"rollout `{rollout_id}` kept moving", hint="run the command again")


def approve(store: Store, rollout_id: str, *, by: str, why: str, now: datetime, revision: int | None = None) -> Approval:
    """Say yes to the stage that a rollout waits to begin; the controller uses it up (`approving`).

    `revision` is the rollout's as the approver saw it. Raises Refused where nothing waits, or for who proposed the rollout.
    """
    for _ in range(TRIES):
        rollout = store.state.rollout(rollout_id)
        given = approval_of(
            rollout,
            store.state.last_decision(rollout_id),
            by=by,
            proposed_by=proposer(store, rollout),
            approves_alone=_approves_alone(store),
            now=now,
            approval_id=f"ap_{secrets.token_hex(8)}",
            revision=revision,
        )
        try:
            return store.state.give_approval(given, why=why)
        except Conflict:
            continue
    raise Conflict(f"rollout `{rollout_id}` kept moving", hint="run the command again")


def proposer(store: Store, rollout: Rollout) -> str:
    """Who had this rollout opened; of one that an older Detent opened the audit log knows."""
    if rollout.proposed_by:
        return rollout.proposed_by
    return next((row.by for row in reversed(store.state.audit(None, rollout=rollout.id)) if row.what.startswith("open: ")), "")


def _approves_alone(store: Store) -> tuple[str, ...]:
    applied = store.state.manifest_text()
    return pin_file.read(applied.text).server.approves_alone if applied is not None else ()


def _refuse_unfit(store: Store, rollout: Rollout, evidence: Evidence, now: datetime) -> None:
    """Raises Refused when the evidence speaks against the candidate, or when the route has moved on since the rollout ended."""
    against = objection(rollout, evidence, now)
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

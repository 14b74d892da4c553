"""A human yes to the stage that waits for one: what it is bound to, and whether it is still good. Pure.

It is bound to the rollout at its revision, to the stage, and to the decision that waits: `AwaitingApproval`, by the digest of the evidence
that it was made from. It is good for one use, within `GOOD_FOR`. The controller uses it in the commit that advances, and only if
  - the rollout is at the very revision that was approved: no hold, no alarm and no learning came in between: each of them is one;
  - the last decision that is stored is the one that was approved;
  - a new decision, over all that is known by now, says again that nothing is lacking but the yes to this very stage.
Evidence grows with every unit, and a yes that only held for the very same sums would never be used: so the growth that is let through is
what changed no decision. Harm, suspicion, a stale baseline, a limit reached, a way back that broke or a freeze that began each speak before
approval does, and end this yes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta

from detent.errors import Refused
from detent.terms import Approval, Decision, Rollout
from detent.transitions import coming_stage

GOOD_FOR = timedelta(hours=24)
"""How long a yes is good: over a night and a controller that is down, and not over a week in which somebody forgot that it was given."""

WAITS = "AwaitingApproval"


def approval_of(
    rollout: Rollout,
    last: Decision | None,
    *,
    by: str,
    proposed_by: str,
    approves_alone: Collection[str],
    now: datetime,
    approval_id: str,
    revision: int | None = None,
) -> Approval:
    """The yes to the stage that this rollout waits to begin, over its last stored decision.

    `revision` is the rollout's as the approver saw it, where that is known. Raises Refused where nothing waits, for a rollout that has
    moved on, and for who proposed it.
    """
    stage = coming_stage(rollout, "approve")
    if last is None or last.reason != WAITS or rollout.held is None or rollout.held.reason != WAITS:
        waits = f"it waits for {rollout.held.reason} of {rollout.held.by}" if rollout.held is not None else "it waits for no approval yet"
        raise Refused(
            f"rollout `{rollout.id}` in phase {rollout.phase} cannot be approved now: {waits}",
            hint=f"a yes is about evidence that is there: see `detent explain {rollout.id}`",
        )
    if revision is not None and revision != rollout.revision:
        raise Refused(
            f"rollout `{rollout.id}` is at revision `{rollout.revision}`, and what you saw is {revision}",
            hint=f"read it again: `detent explain {rollout.id}`",
        )
    refuse_own(rollout, "approve", by=by, proposed_by=proposed_by, approves_alone=approves_alone)
    return Approval(
        id=approval_id,
        rollout=rollout.id,
        stage=stage,
        revision=rollout.revision,
        evidence=last.evidence_digest,
        by=by,
        at=now,
        until_at=now + GOOD_FOR,
    )


def same_name(one: str, other: str) -> bool:
    """Whether two names are one person's as far as spelling goes: case, blanks at the ends, and what nobody sees do not tell them apart."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    plain = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in plain if unicodedata.category(c)[0] != "C").strip()


def refuse_own(rollout: Rollout, verb: str, *, by: str, proposed_by: str, approves_alone: Collection[str]) -> None:
    """Raises Refused where `by` would say yes to what they proposed themselves, and the pin file does not let them. However the name is
    spelt: while the store knows no token, a name is a claim.
    """
    if same_name(by, proposed_by) and by not in approves_alone:
        raise Refused(
            f"`{by}` proposed rollout `{rollout.id}`, and nobody can {verb} what they proposed themselves",
            hint=f'somebody else can; a team of one writes `approves_alone = ["{by}"]` under [server] and applies it',
        )


def unfit(approval: Approval, rollout: Rollout, last: Decision | None, now: datetime) -> str | None:
    """Why this yes cannot be used for what waits now; None where it can, if the decision made now waits for nothing else."""
    if approval.used_at is not None:
        return "it was used"
    if now >= approval.until_at:
        return f"it was good until {approval.until_at:%Y-%m-%d %H:%M} UTC"
    if rollout.revision != approval.revision:
        return f"it was given at revision {approval.revision}, and the rollout has moved on to {rollout.revision}"
    if last is None or last.reason != WAITS or last.evidence_digest != approval.evidence:
        return "it was given over another decision than the last one"
    if rollout.phase.terminal or coming_stage(rollout, "approve") != approval.stage:
        return f"it was a yes to {approval.stage}, which is not what comes next"
    return None


def usable(approvals: Iterable[Approval], rollout: Rollout, last: Decision | None, now: datetime) -> Approval | None:
    """The first yes that is good for what waits now."""
    return next((approval for approval in approvals if unfit(approval, rollout, last, now) is None), None)


def told(approvals: Iterable[Approval], rollout: Rollout, last: Decision | None, now: datetime) -> Iterator[str]:
    """What `explain` says of the approvals of a rollout that waits for one: which are there, and why one that is there is not used."""
    if rollout.held is None or rollout.held.reason != WAITS:
        return
    for approval in approvals:
        if approval.used_at is not None:
            continue
        why = unfit(approval, rollout, last, now)
        given = f"{approval.by} approved {approval.stage} {approval.at:%Y-%m-%d %H:%M} UTC, at revision {approval.revision}"
        if why is None:
            yield f"{given}: used as soon as a controller looks, until {approval.until_at:%Y-%m-%d %H:%M} UTC"
        else:
            yield f"{given}, and that is not used: {why}; approve what is there now: `detent approve {rollout.id}`"

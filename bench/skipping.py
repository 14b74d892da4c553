"""How benches of later stages get past the baseline, which is another bench's: versions are proposed as by `detent apply`, and step on."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from detent.controller import apply
from detent.errors import Conflict
from detent.patch import propose
from detent.store import Store
from detent.terms import Decision, Phase, Rollout, Verb
from detent.transitions import after, flag_for


def open_rollouts(store: Store, file: Path, versions: Mapping[str, str]) -> dict[str, str]:
    """Propose these versions, by route, and go on until all are in their shadow. Ids by route."""
    text = file.read_text()
    for route, version in versions.items():
        text = propose(text, route, version)
    file.write_text(text)
    apply(
        store,
        text,
        file=file.name,
        by="bench",
        now=datetime.now(UTC),
        new_id=lambda: "ro_" + secrets.token_hex(5),
        new_salt=lambda: secrets.token_hex(16),
    )
    rollouts = {rollout.route: rollout.id for rollout in store.state.rollouts(open_only=True)}
    for rollout_id in rollouts.values():
        while _step(store, rollout_id).phase is not Phase.SHADOW:
            pass
    return rollouts


def _step(store: Store, rollout_id: str) -> Rollout:
    """One step on without asking what the baseline found; the server's own controller may be quicker."""
    rollout, now = store.state.rollout(rollout_id), datetime.now(UTC)
    if rollout.phase not in (Phase.PROPOSED, Phase.BASELINE):
        return rollout
    skipped = Decision(
        rollout=rollout_id, verb=Verb.ADVANCE, reason="Skipped", sentence="no baseline in this bench", at=now, evidence_digest=""
    )
    moved = after(rollout, skipped, now)
    flag = flag_for(moved, store.state.flags()[rollout.route])
    try:
        return store.state.commit(rollout, moved, flag=flag, decision=None, evidence=None, by="bench", what="no baseline here", at=now)
    except Conflict:
        return store.state.rollout(rollout_id)

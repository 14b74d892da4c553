"""A comparison that no rollout asked for: what `baseline run` stores its runs under, and `baseline diff` finds them by. Pure."""

from __future__ import annotations

import hashlib
from datetime import datetime

from detent.terms import Plan, Rollout, Route, Version


def trial(route: Route, version: str, plan: Plan, digest: str, now: datetime) -> Rollout:
    """What the runner takes for a rollout. Its id says what ran over what, and how it was graded, so that a killed run finds its own."""
    candidate = Version(route.provider, version)
    return Rollout(
        id="run_" + hashlib.sha256(f"{route.stable}|{candidate}|{digest}|{route.checks}".encode()).hexdigest()[:12],
        route=route.name,
        owner=route.owner,
        stable=route.stable,
        candidate=candidate,
        plan=plan,
        salt="",
        opened_at=now,
        entered_at=now,
    )

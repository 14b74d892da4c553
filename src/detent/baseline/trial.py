"""A comparison that no rollout asked for: what `baseline run` stores its runs under, and `baseline diff` finds them by. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

import msgspec

from detent.terms import CheckRow, Plan, Rollout, Route, Version

_NONE: Mapping[str, CheckRow] = MappingProxyType({})


def trial(
    route: Route,
    version: str,
    plan: Plan,
    digest: str,
    now: datetime,
    *,
    own: Mapping[str, CheckRow] = _NONE,
    judged_by: str = "",
) -> Rollout:
    """What the runner takes for a rollout. Its id says what ran over what, and how it was graded, so that a killed run finds its own.

    `own` are the pin file's own checks, of which those count that the route names, and `judged_by` is `detent.judge.judged_by`. After a
    change of a check, the context locator, the rubric or the judge's standing, the same command is another run: no grade is kept that would
    be given otherwise now. Of a check in Python only its name is known, not its code.
    """
    candidate = Version(route.provider, version)
    rows = {name: own[name] for name in route.checks if name in own}
    graded_by = msgspec.json.encode((route.checks, route.context, rows, judged_by), order="deterministic")
    ran = f"{route.stable}|{candidate}|{digest}|".encode() + graded_by
    return Rollout(
        id="run_" + hashlib.sha256(ran).hexdigest()[:12],
        route=route.name,
        owner=route.owner,
        stable=route.stable,
        candidate=candidate,
        plan=plan,
        salt="",
        opened_at=now,
        entered_at=now,
    )

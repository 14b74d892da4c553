"""Records as a gateway would write them, for tests of everything behind the spool. `T0` is when the story begins."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from detent.terms import (
    Arm,
    Begun,
    Endpoint,
    Feedback,
    Guard,
    Intent,
    Kept,
    NotMirrored,
    Outcome,
    Pair,
    Plan,
    Result,
    Role,
    Rollout,
    UnitKind,
    Unmirrored,
    Version,
    micros,
)

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
T0_US = micros(T0)
OLD, NEW = Version("openai", "atlas-2026-03-01"), Version("openai", "atlas-2026-06-01")


def at(seconds: float) -> int:
    """Microseconds of a moment, in seconds after `T0`."""
    return T0_US + round(seconds * 1_000_000)


def rollout(*guards: Guard, id: str = "ro_1", route: str = "summarizer", **more: Any) -> Rollout:
    values: dict[str, Any] = {
        "id": id,
        "route": route,
        "owner": "search@example.com",
        "stable": OLD,
        "candidate": NEW,
        "plan": Plan(name="standard", guards=guards),
        "salt": "grain",
        "opened_at": T0,
        "entered_at": T0,
    }
    return Rollout(**values | more)


_INTENT = Intent(
    leg="le_1",
    exchange="ex_1",
    at_us=T0_US,
    gateway="gw",
    revision=1,
    route="summarizer",
    rollout="ro_1",
    period=1,
    role=Role.SERVED,
    arm=Arm.STABLE,
    arm_served=Arm.STABLE,
    why="split",
    randomised=True,
    unit_kind=UnitKind.SESSION,
    unit="u1",
    session="u1",
    user=None,
    identity_source="x-detent-session-id",
    requested="summarizer",
    provider="openai",
    model=OLD.model,
    endpoint=Endpoint.OPENAI_CHAT,
    stream=False,
    attempt=0,
    template="t",
)


def intent(leg: str, unit: str = "u1", seconds: float = 0.0, **more: Any) -> Intent:
    """A leg of a session on the stable arm, in share period 1 of `ro_1`. Its exchange is named like the leg; a candidate's model is NEW."""
    values: dict[str, Any] = {"leg": f"le_{leg}", "exchange": f"ex_{leg}", "unit": unit, "session": unit, "at_us": at(seconds)}
    if more.get("arm") is Arm.CANDIDATE:
        values |= {"arm_served": Arm.CANDIDATE, "model": NEW.model}
    return replace(_INTENT, **values | more)


def begun(leg: str, seconds: float, sent: float = 0.0) -> Begun:
    """The first byte of a leg's stream, at so many seconds; the leg was sent at `sent`."""
    return Begun(leg=f"le_{leg}", at_us=at(seconds), first_byte_s=seconds - sent)


def result(leg: str, seconds: float = 1.0, outcome: Outcome = Outcome.COMPLETE, **more: Any) -> Result:
    """A leg's end; complete and parsed unless said otherwise."""
    values: dict[str, Any] = {"status": 200, "parse": "ok", "repeats_call": False} if outcome is Outcome.COMPLETE else {}
    return Result(leg=f"le_{leg}", at_us=at(seconds), outcome=outcome, **values | more)


def thumbs_down(id: str, seconds: float, **about: Any) -> Feedback:
    return Feedback(id=id, at_us=at(seconds), metric="thumbs_down", value=1.0, **about)


def unmirrored(reason: NotMirrored, seconds: float = 0.0, n: int = 1, why: str = "") -> Unmirrored:
    """So many requests that the shadow of `ro_1` drew and did not send."""
    return Unmirrored(rollout="ro_1", at_us=at(seconds), reason=reason, why=why, n=n)


def kept(leg: str, seconds: float = 0.0, request: bytes = b"{}", answer: bytes = b"{}") -> Kept:
    """What was asked and said on a live leg, kept for its pair."""
    return Kept(leg=f"le_{leg}", at_us=at(seconds), request_body=request, answer_body=answer)


def pair(exchange: str, seconds: float = 0.0, **more: Any) -> Pair:
    """A pair of `ro_1` that was scored in memory."""
    return Pair(rollout="ro_1", exchange=f"ex_{exchange}", at_us=at(seconds), **more)

"""A drill: what its steps are, when its traffic is returned, and how it ends. Pure.

    decided -> written -> every gateway serves it -> answers of the way back -> return written -> every gateway serves that -> ended
    with a page: alert -> acknowledged -> pressed -> decided -> ...

A drill is a row that grows: whoever looks at it (the command that began it, any server, the next command) takes it one step on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from detent.evidence.metrics import refuses_request
from detent.terms import DrillReport, DrillStep, DrillVerdict, Outcome, Tally, show_duration

STEPS: dict[str, str] = {
    "alert": "the owner was paged",
    "acknowledged": "somebody acknowledged the page",
    "pressed": "somebody pressed",
    "decided": "it was decided to move traffic",
    "written": "the flag was written",
    "first_ack": "the first gateway served it",
    "last_ack": "the last gateway served it",
    "first_answer": "the first good answer of the way back",
    "first_failure": "the first answer that failed on the way back",
    "quota_hit": "its provider said that the quota is used up",
    "return_written": "the flag was written that returns the traffic",
    "return_first_ack": "the first gateway served the pinned version alone again",
    "return_last_ack": "the last gateway did",
}
"""The steps of a drill, in their order."""

PRESS_WITHIN_S = 900.0
"""How long a page waits for somebody to press."""

ACKNOWLEDGE_WITHIN_S = 5.0
"""How long a gateway may take to serve a flag; one that took longer is named, and has failed the drill."""

SETTLE_S = 1.0
"""How long records of the last answers are waited for, once the traffic is returned."""

RECORDS_WITHIN_S = 5.0
"""How long they are waited for while there is none at all."""

HANGS_WITHIN_S = 60.0
"""How long the requests of a drill are waited for of which none was answered: a drill of seconds is over before a request hangs (10 s
without a first byte, and up to 30 s more until the journal is known to have heard of it).
"""

WINDOW = 20
"""So many answers are looked at for failures that come together: the first so many, and the latest."""

MOST_FAILED_FIRST, MOST_FAILED_LATE = 3, 6
"""Failures among them that end a drill. Of a version that fails once in a hundred answers the first 20 have 3 in 1 of 1,000 drills, and any
later 20 have 6 in 1 of 10,000 among ten thousand answers (binomial).
"""

ALPHA = 0.01
"""The level of the test against the pinned version: it ends 1 drill of 100 at most that is no worse, however often it is looked at."""

USUAL_FAILURES = 0.01
"""The share of failures that the test bets from. A wrong one costs power, never validity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Answers to real requests of a route since its drill began: of the way back, and of the pinned version meanwhile.

    `early` and `late` are the failures among the first and among the latest `WINDOW` answers of the way back; `hung` of all failures are
    requests that it never began to answer, and `waiting` requests that it has not begun to answer yet: nobody can say whether they hang.
    """

    served: int = 0
    failed: int = 0
    over_quota: int = 0
    early: int = 0
    late: int = 0
    hung: int = 0
    waiting: int = 0
    first_served_at: datetime | None = None
    first_failed_at: datetime | None = None
    first_over_quota_at: datetime | None = None
    latency_s: float | None = None
    usual_served: int = 0
    usual_failed: int = 0
    usual_latency_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known at one moment. `moved` and `back` say since when each live gateway serves the drill, and no longer does.

    `in_force` is whether the route's flag still carries the drill; `broken` what probes of the way back say against it; `page` who
    acknowledged the page, and when.
    """

    live: tuple[str, ...] = ()
    moved: Mapping[str, datetime] = field(default_factory=dict)
    back: Mapping[str, datetime] = field(default_factory=dict)
    answers: Answers = Answers()
    in_force: bool = True
    broken: str = ""
    page: tuple[datetime, str] | None = None


Kind = Literal["served", "failed", "over_quota"]

OVER_QUOTA = (429, 529)
"""Statuses with which a provider says that it takes no more: of this account, or of anybody."""


def kind_of(outcome: Outcome, status: int | None) -> Kind | None:
    """What an answer says of the version that gave it; None where it says nothing: the caller left, the gateway died, the
    request was wrong.
    """
    if outcome is Outcome.COMPLETE:
        return "served"
    if status in OVER_QUOTA:
        return "over_quota"
    if outcome in (Outcome.CLIENT_ABORTED, Outcome.LOST) or (outcome is Outcome.HTTP_ERROR and refuses_request(status or 500)):
        return None
    return "failed"


# ── one step on ─────────────────────────────────────────────────────────────────────────────────────────────────────


def with_step(report: DrillReport, name: str, at: datetime, detail: str = "") -> DrillReport:
    """The report with a step, unless it is there; `at` of the first step is what the others are counted from."""
    if any(step.name == name for step in report.steps):
        return report
    since = report.steps[0].at if report.steps else at
    step = DrillStep(name=name, at=at, after_s=(at - since).total_seconds(), detail=detail)
    order = list(STEPS)
    return replace(report, steps=tuple(sorted((*report.steps, step), key=lambda one: order.index(one.name))))


def step_of(report: DrillReport, name: str) -> DrillStep | None:
    """One step, once it was done."""
    return next((step for step in report.steps if step.name == name), None)


def noted(report: DrillReport, seen: Seen) -> DrillReport:
    """The report with what is known by now."""
    found = seen.answers
    if seen.page is not None:
        report = with_step(report, "acknowledged", seen.page[0], f"by {seen.page[1]}")
    if report.revision:
        report = _acknowledged(report, "", seen.live, seen.moved)
        for name, at in (
            ("first_answer", found.first_served_at),
            ("first_failure", found.first_failed_at),
            ("quota_hit", found.first_over_quota_at),
        ):
            if at is not None:
                report = with_step(report, name, at)
        report = replace(
            report,
            gateways=max(report.gateways, len(seen.moved)),
            served=found.served,
            failed=found.failed,
            over_quota=found.over_quota,
            latency_s=found.latency_s,
            usual_served=found.usual_served,
            usual_failed=found.usual_failed,
            usual_latency_s=found.usual_latency_s,
        )
    if report.returned:
        report = _acknowledged(report, "return_", seen.live, seen.back)
    return report


def _acknowledged(report: DrillReport, prefix: str, live: Sequence[str], acks: Mapping[str, datetime]) -> DrillReport:
    """The first acknowledgement once it is there, the last one once no live gateway is missing."""
    if not acks:
        return report
    first, last = min(acks, key=lambda name: acks[name]), max(acks, key=lambda name: acks[name])
    report = with_step(report, f"{prefix}first_ack", acks[first], f"gateway {first}")
    if set(live) <= acks.keys():
        report = with_step(report, f"{prefix}last_ack", acks[last], f"gateway {last}")
    return report


def returns(report: DrillReport, seen: Seen, now: datetime) -> str | None:
    """Why the traffic is returned now, empty for a drill whose time is over; None while it stays moved."""
    if seen.broken:
        return f"the way back is broken: {seen.broken}"
    return harm(report, seen.answers) or ("" if report.ends_at is not None and now >= report.ends_at else None)


def harm(report: DrillReport, found: Answers) -> str | None:
    """Why the way back harms those who are on it; None while nothing says so. How long it takes to answer is told, and not judged.

    One answer that the quota is used up is enough: what is short for a share is short for all.
    """
    if found.over_quota:
        return f"its provider said that the quota is used up, after {found.served + found.failed} answers at {_percent(report.share)}"
    if found.early >= MOST_FAILED_FIRST:
        return f"{found.early} of its first {WINDOW} answers failed{_hung(found)}"
    if found.late >= MOST_FAILED_LATE:
        return f"{found.late} of its latest {WINDOW} answers failed{_hung(found)}"
    if found.failed and 0.0 < report.share < 1.0 and found.usual_served + found.usual_failed:
        from detent.stats.sequential import log_e_rate  # carries scipy, which most looks at a drill never need

        tally = Tally(
            period=1,
            split=report.share,
            candidate_events=found.failed,
            candidate_units=found.served + found.failed,
            stable_events=found.usual_failed,
            stable_units=found.usual_served + found.usual_failed,
        )
        if log_e_rate([tally], USUAL_FAILURES) >= math.log(1.0 / ALPHA):
            return (
                f"{found.failed} of its {found.served + found.failed} answers failed, against {found.usual_failed} of "
                f"{found.usual_served + found.usual_failed} of the pinned version"
            )
    return None


def _hung(found: Answers) -> str:
    return f", {found.hung} of all hung" if found.hung else ""


def ending(report: DrillReport, seen: Seen, now: datetime) -> tuple[DrillVerdict, str] | None:
    """How a drill ends whose traffic is returned, and why; None while acknowledgements or the last records are waited for."""
    since = step_of(report, "return_written")
    if since is None:
        return None
    waited_s = (now - since.at).total_seconds()
    silent = [name for name in seen.live if name not in seen.back]
    if silent and 0.0 <= waited_s < ACKNOWLEDGE_WITHIN_S:
        return None
    answered = seen.answers.served + seen.answers.failed + seen.answers.over_quota
    late = report.ends_at is not None and (since.at - report.ends_at).total_seconds() > RECORDS_WITHIN_S  # nobody was there to return it
    hanging = seen.answers.waiting > 0 and not seen.answers.served
    if not late and 0.0 <= waited_s < (HANGS_WITHIN_S if hanging else SETTLE_S if answered else RECORDS_WITHIN_S):
        return None
    if report.why:
        return "failed", report.why
    if (found := harm(report, seen.answers)) is not None:  # its records came after the return
        return "failed", found
    if report.silent:
        return "failed", f"{_names(report.silent)} did not serve it within {ACKNOWLEDGE_WITHIN_S:g}s"
    if silent:
        return "failed", f"{_names(silent)} did not serve the return within {ACKNOWLEDGE_WITHIN_S:g}s"
    if not answered:
        return "inconclusive", "no traffic: no answer of the way back was recorded"
    if not seen.answers.served:
        return "failed", f"none of its {answered} answers was good{_hung(seen.answers)}"
    return "passed", f"{seen.answers.served} good answers of {answered}"


def silent(report: DrillReport, seen: Seen, now: datetime) -> tuple[str, ...]:
    """Gateways that do not serve the drill although they had the time to."""
    written = step_of(report, "written")
    if written is None or (now - written.at).total_seconds() < ACKNOWLEDGE_WITHIN_S:
        return ()
    return tuple(name for name in seen.live if name not in seen.moved)


def unpressed(report: DrillReport) -> str:
    """Why a page ended that nobody pressed for."""
    acknowledged = step_of(report, "acknowledged")
    who = f"acknowledged {acknowledged.detail} after {acknowledged.after_s:.0f}s" if acknowledged else "nobody acknowledged the page"
    return f"nobody pressed within {show_duration(PRESS_WITHIN_S)}; {who}"


def saw_nothing(report: DrillReport) -> bool:
    """Whether it ended without telling anything of the way back."""
    return report.verdict in ("aborted", "inconclusive")


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _names(gateways: Sequence[str]) -> str:
    return f"gateway{'s' if len(gateways) > 1 else ''} {', '.join(gateways)}"

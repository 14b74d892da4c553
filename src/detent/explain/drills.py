"""Drills in lines: one line each for `status` and for owners, all steps for `detent drill --show`. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from detent.drill import STEPS
from detent.terms import DrillReport


def headline(report: DrillReport) -> str:
    """One line: `drill dr_1 of chat passed 2026-03-02 09:05 UTC: 10 % to openai/m for 300s, 120 good answers of 120`."""
    share = f"{100 * report.share:g} % to {report.version}"
    if report.ended_at is not None:
        when = f"{report.ended_at:%Y-%m-%d %H:%M} UTC"
        return f"drill {report.id} of {report.route} {report.verdict} {when}: {share}, {report.why}"
    if not report.revision:
        return f"drill {report.id} of {report.route} waits for somebody to press until {report.ends_at:%H:%M:%S} UTC: {share}"
    state = "returning" if report.returned else f"under way until {report.ends_at:%H:%M:%S} UTC"
    return f"drill {report.id} of {report.route} {state}: {share}, {_answers(report)}"


def _answers(report: DrillReport) -> str:
    quota = f", {report.over_quota} over quota" if report.over_quota else ""
    return f"{report.served} good answers, {report.failed} failed{quota}"


def lines(report: DrillReport) -> list[str]:
    """The report: its headline, every step with the seconds since its first one, and the answers on both sides."""
    said = [headline(report)]
    for step in report.steps:
        detail = f"  ({step.detail})" if step.detail else ""
        said.append(f"  {step.after_s:>9.3f}s  {STEPS.get(step.name, step.name)}{detail}")
    if report.revision:
        usual = f"{report.usual_served} good answers, {report.usual_failed} failed"
        said.append(
            f"  way back {_answers(report)}{_median(report.latency_s)}; pinned version meanwhile {usual}{_median(report.usual_latency_s)}"
        )
        said.append(f"  {report.gateways} gateway{'' if report.gateways == 1 else 's'} served it")
    return said


def _median(seconds: float | None) -> str:
    return "" if seconds is None else f", {seconds:.3f}s at the median"


def as_row(report: DrillReport) -> dict[str, Any]:
    """The report for JSON."""
    row: dict[str, Any] = msgspec.to_builtins(report)
    return {**row, "version": str(report.version)}

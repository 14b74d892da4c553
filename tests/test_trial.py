"""What a run by hand is known by: all that its grades rest on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from asked import ROUTE
from detent.baseline import trial
from detent.terms import CheckRow, Plan
from records import T0

ROUTE = replace(ROUTE, checks=("polite", "json_valid"))
OWN = {"polite": CheckRow(name="polite", contains="please"), "short": CheckRow(name="short", max_chars=10)}
PLAN = Plan(name="standard")


def named(**more: Any) -> str:
    given: dict[str, Any] = {"route": ROUTE, "own": OWN, "judged_by": "lab/judge|d|informs", **more}
    return trial(given.pop("route"), "atlas-2", PLAN, given.pop("digest", "d1"), T0, **given).id


def test_the_same_command_finds_its_own_run() -> None:
    assert named() == named(own=dict(reversed(OWN.items())))
    assert named(own=OWN | {"short": CheckRow(name="short", max_chars=20)}) == named(), "the route does not name it"
    cheaper = replace(PLAN, baseline=replace(PLAN.baseline, budget_usd=1.0))
    assert trial(ROUTE, "atlas-2", cheaper, "d1", T0, own=OWN, judged_by="lab/judge|d|informs").id == named()


def test_whatever_grades_otherwise_is_another_run() -> None:
    ids = [
        named(),
        named(digest="d2"),
        named(own=OWN | {"polite": CheckRow(name="polite", contains="thank")}),
        named(route=replace(ROUTE, checks=("polite",))),
        named(route=replace(ROUTE, context="messages[-1] <docs>...</docs>")),
        named(route=replace(ROUTE, version="atlas-0")),
        named(judged_by="lab/judge|d|blocks"),
        named(judged_by="lab/judge|other rubric|informs"),
        named(judged_by=""),
    ]
    assert len(set(ids)) == len(ids)

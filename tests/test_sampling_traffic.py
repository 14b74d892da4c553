"""When a baseline speaks for its traffic no more: too old, another prompt of the app, strata without a case."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from detent.sampling import Traffic, profile, shares, stale
from detent.sampling.traffic import ENOUGH, OTHER, VALUES
from detent.terms import Baseline, BaselineStage, Case, Endpoint
from records import T0

STAGE = BaselineStage()


def case(**strata: str) -> Case:
    request = json.dumps({"messages": [{"role": "user", "content": "x"}]}).encode()
    return Case(id="ca_1", route="bot", endpoint=Endpoint.OPENAI_CHAT, request=request, known_good="y", frozen_at=T0, strata=strata)


def baseline(*cases: Case, **more: Any) -> Baseline:
    values: dict[str, Any] = {"digest": "d", "frozen_at": T0, "owner": "ann@example.com", "read": 1000, "templates": {"t1": 0.9, "t2": 0.1}}
    return Baseline(route="bot", cases=cases, **values | more)


def recent(requests: int = 1000, **more: Any) -> Traffic:
    return Traffic(**{"requests": requests, "templates": {"t1": 1.0}, **more})


def test_age_has_a_limit() -> None:
    frozen = baseline(case())
    assert stale(frozen, STAGE, None, T0 + timedelta(days=30)) == ()
    assert stale(frozen, STAGE, None, T0 + timedelta(days=41)) == ("it was frozen 41 days ago; the limit is 30d",)
    hours = BaselineStage(max_age=3600.0 * 48)
    assert stale(frozen, hours, None, T0 + timedelta(hours=50)) == ("it was frozen 50 hours ago; the limit is 48h",)


@pytest.mark.parametrize(
    ("templates", "is_stale"),
    [
        ({"t1": 0.9, "t2": 0.1}, False),
        ({"t1": 0.1, "t2": 0.9}, False),
        ({"t1": 0.81, "new": 0.19}, False),
        ({"t1": 0.79, "new": 0.21}, True),
        ({"new": 1.0}, True),
        ({"t1": 0.5}, True),
    ],
)
def test_a_prompt_that_the_app_changed_is_noticed(templates: dict[str, float], is_stale: bool) -> None:
    """`coverage = 0.80` lets a fifth be unknown; shares that are not given are of templates too rare to be."""
    assert bool(stale(baseline(case()), STAGE, recent(templates=templates), T0)) is is_stale


def test_an_app_that_writes_the_date_into_its_prompt_is_not_stale_forever() -> None:
    """Every one of 1,000 recorded requests had a template of its own: the next one has, too, and that says nothing."""
    frozen = baseline(case(), templates={f"t{n}": 0.001 for n in range(200)})
    assert stale(frozen, STAGE, recent(templates={f"n{n}": 0.001 for n in range(1000)}), T0) == ()


def test_a_known_share_of_one_off_templates_is_allowed_on_top() -> None:
    """A tenth of the traffic never came twice: by Good and Turing a tenth of later traffic is unknown without any change."""
    frozen = baseline(case(), templates={"t1": 0.9} | {f"once{n}": 0.001 for n in range(100)})
    assert stale(frozen, STAGE, recent(templates={"t1": 0.71, "new": 0.29}), T0) == ()
    (said,) = stale(frozen, STAGE, recent(templates={"t1": 0.69, "new": 0.31}), T0)
    assert said == (
        "31.0 % of the last 1,000 requests have a system prompt, tools or parameters that it does not know; the limit is 30.0 %"
    )


def test_strata_without_a_case_are_named() -> None:
    strata = {"language": {"en": 1.0}, "season": {"weekday": 1.0}}
    frozen = baseline(case(language="en", season="weekday"), strata=strata)
    now = {"language": {"en": 0.6, "de": 0.3, "fr": 0.1}, "season": {"weekend": 1.0}, "task": {"refund": 1.0}}
    assert stale(frozen, STAGE, recent(bodies=500, strata=now), T0) == (
        "its cases cover 60.0 % of current traffic by language; the limit is 80.0 %, and most of the rest is `de`",
    )
    covered = {"language": {"en": 0.8, "de": 0.2}}
    assert stale(frozen, STAGE, recent(bodies=500, strata=covered), T0) == ()


def test_values_too_rare_to_be_told_apart_may_have_the_share_that_they_had() -> None:
    frozen = baseline(case(task="a"), case(task=OTHER), strata={"task": {"a": 0.7, OTHER: 0.3}})
    assert stale(frozen, STAGE, recent(bodies=500, strata={"task": {"a": 0.55, "x": 0.2, "y": 0.25}}), T0) == ()
    assert stale(frozen, STAGE, recent(bodies=500, strata={"task": {"a": 0.45, "x": 0.55}}), T0)


def test_too_little_traffic_says_nothing() -> None:
    frozen = baseline(case(language="en"), strata={"language": {"en": 1.0}})
    other = {"templates": {"new": 1.0}, "strata": {"language": {"de": 1.0}}}
    assert stale(frozen, STAGE, recent(ENOUGH - 1, bodies=ENOUGH - 1, **other), T0) == ()
    assert len(stale(frozen, STAGE, recent(ENOUGH, bodies=ENOUGH, **other), T0)) == 2
    assert stale(frozen, STAGE, None, T0) == ()


def test_shares_keep_the_frequent_values_and_fold_the_rest() -> None:
    counts = {f"v{n:02}": 100 - n for n in range(VALUES + 5)}
    found = shares(counts)
    assert list(found)[:2] == ["v00", "v01"]
    assert len(found) == VALUES + 1
    assert sum(found.values()) == pytest.approx(1.0)
    assert found[OTHER] == pytest.approx(sum(100 - n for n in range(VALUES, VALUES + 5)) / sum(counts.values()))
    assert shares({}) == {}
    assert profile([]) == {}

"""The way back: which version it is, and when it is proven, broken or not known."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from detent import warm
from detent.alerting import alert
from detent.catalog import ends_on
from detent.evidence.minutes import MinuteKey, MinuteSums, Moments
from detent.explain import describe_way_back
from detent.explain.way_back import json_of, lines
from detent.terms import Arm, Dialect, Flag, FormerVersion, Phase, Price, Probe, Provider, Role, Route, Version, WayBack
from detent.warm import Traffic
from detent.wire.quota import ends_at, limits_of
from records import NEW, OLD, T0, T0_US, rollout

S = timedelta(seconds=1)
THERE = Version("openai", "gpt-4-0613")
ROUTE = Route(name="chat", provider="openai", version=OLD.model, owner="ann@example.com")
LIMITS = {"requests": 500.0, "tokens": 100_000.0}


def probes(*found: bool, every: float = 60.0, last: float = 0.0, **more: Any) -> list[Probe]:
    """Probes, the newest first and `last` seconds ago."""
    return [
        Probe(
            route="chat",
            version=THERE,
            at=T0 - (last + n * every) * S,
            ok=ok,
            latency_s=0.312 if ok else None,
            detail="" if ok else "HTTP 500: overloaded",
            **more,
        )
        for n, ok in enumerate(found)
    ]


def asked(*found: bool, version: Version | None = THERE, more: dict[str, Any] | None = None, **how: Any) -> WayBack:
    return warm.way_back("chat", version, probes(*found, **how), T0, **(more or {}))


# ── which version ────────────────────────────────────────────────────────────────────────────────────────────────────


def former(model: str, days: float) -> FormerVersion:
    return FormerVersion(route="chat", version=Version("openai", model), since=T0 - timedelta(days=days), rollout="ro_0")


def test_it_is_the_one_named_else_the_newest_former_one_and_in_a_rollout_stable() -> None:
    flag, kept = Flag(route="chat", revision=1, stable=OLD), [former("b", 1), former("a", 9)]
    named = replace(ROUTE, rollback=THERE.model)
    assert warm.which(named, flag, None, kept) == THERE
    assert warm.which(ROUTE, flag, None, kept) == Version("openai", "b")
    assert warm.which(ROUTE, flag, None, []) is None
    assert warm.which(named, flag, rollout(phase=Phase.SOAK), kept) == OLD
    assert warm.which(named, flag, rollout(phase=Phase.DONE, ended_at=T0), kept) == THERE


def test_the_pin_is_no_way_back_of_itself() -> None:
    """After a rollout the file may still name as `rollback` what the pin has become, and a former version may be the pin again."""
    flag = Flag(route="chat", revision=1, stable=NEW)
    assert warm.which(replace(ROUTE, rollback=NEW.model), flag, None, [former(NEW.model, 9), former("a", 10)]) == Version("openai", "a")


# ── proven ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_proven_with_when_latency_and_headroom() -> None:
    """The sentence of the brief: 62 % of its requests and 71 % of its tokens to spare."""
    load = {"requests": 190.0, "tokens": 29_000.0, "input_tokens": 20_000.0, "output_tokens": 9_000.0}
    found = asked(True, True, last=40, limits=LIMITS, more={"load": load})
    assert found.proven
    assert (found.proven_at, found.latency_s) == (T0 - 40 * S, 0.312)
    said = describe_way_back(found, T0)
    assert said == "way back gpt-4-0613: proven 40s ago, 312 ms, takes the load with 62 % of its requests and 71 % of its tokens to spare"
    told = describe_way_back(found, T0, cost="probes cost about 0.43 USD a day")
    assert told.endswith(", probes cost about 0.43 USD a day")


def test_one_or_two_failures_after_a_success_prove_nothing_else() -> None:
    """A packet is lost now and then: nobody is paged over it, and the time of the last success is told."""
    found = asked(False, False, True, every=60)
    assert found.proven
    assert found.proven_at == T0 - 120 * S


# ── broken ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("found", "every", "broken"),
    [
        ((False, False, False, True), 60, True),
        ((False, False, True), 60, False),
        ((False, False, True), 200, True),  # two failures, more than three minutes apart
        ((False,), 60, False),
        ((False, False, False), 60, True),
    ],
)
def test_three_failures_in_a_row_or_three_minutes_of_them_break_it(found: tuple[bool, ...], every: float, broken: bool) -> None:
    way_back = asked(*found, every=every)
    assert bool(way_back.broken) is broken
    if broken:
        assert "probes failed, the newest with: HTTP 500: overloaded" in way_back.broken
        assert "BROKEN" in describe_way_back(way_back, T0)


def test_a_quota_that_is_too_small_for_the_route_breaks_it_and_is_told_in_numbers() -> None:
    load = {"requests": 600.0, "tokens": 250_000.0}
    found = asked(True, limits=LIMITS, more={"load": load})
    assert found.broken == (
        "its quota is too small for the route: 600 requests a minute where its quota is 500 and "
        "250,000 tokens a minute where its quota is 100,000"
    )
    assert asked(True, limits=LIMITS, more={"load": {"requests": 500.0, "tokens": 1.0}}).proven, "just enough is enough"


def test_a_quota_is_remembered_while_newer_probes_say_nothing_of_it() -> None:
    mixed = [*probes(True), *probes(True, last=60, limits=LIMITS)]
    assert warm.way_back("chat", THERE, mixed, T0, load={"requests": 1000.0}).broken
    old = [*probes(True), *probes(True, last=2 * 86400, limits=LIMITS)]
    assert warm.way_back("chat", THERE, old, T0, load={"requests": 1000.0}).proven, "of the day before yesterday it says nothing"


def test_an_announced_end_counts_as_broken_a_month_ahead() -> None:
    soon, late = T0 + timedelta(days=29), T0 + timedelta(days=31)
    assert asked(True, more={"ends_at": soon}).broken == "its provider ends it on 2026-03-30, in 29d"
    assert asked(True, more={"ends_at": late}).proven
    assert "its provider ends it on 2026-04-01" in describe_way_back(asked(True, more={"ends_at": late}), T0)
    assert asked(True, more={"ends_at": T0 - S}).broken == "its provider ended it on 2026-03-01"
    assert asked(True, ends_at=soon).broken, "what the provider's own list says counts as well"
    assert asked(True, ends_at=late, more={"ends_at": soon}).proven, "and goes before what the catalogue says"


def test_a_rollout_away_from_a_version_that_ends_is_not_held_for_it() -> None:
    """Trap: moving off a version that ends next week is what the rollout is for; holding it would keep the route there until it is gone."""
    soon = T0 + timedelta(days=7)
    found = asked(True, more={"ends_at": soon, "in_rollout": True})
    assert found.proven
    assert found.ends_at == soon
    assert asked(True, more={"ends_at": T0, "in_rollout": True}).broken, "once it is gone there is no way back"


# ── not known ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_nobody_looked_at_is_unknown_neither_proven_nor_broken() -> None:
    never, long_ago, named = asked(), asked(True, last=400), asked(version=None)
    for found, says in ((never, "never probed"), (long_ago, "last probed at 2026-03-01 11:53 UTC"), (named, "none is named")):
        assert not found.proven
        assert not found.broken
        assert says in found.unknown
    assert asked(False, False, False, last=310).broken == "", "nor is it broken for ever because it was once"
    assert "its last probe failed" in asked(False).unknown
    assert describe_way_back(never, T0).startswith("way back gpt-4-0613: not known to work: it was never probed")


# ── real traffic ─────────────────────────────────────────────────────────────────────────────────────────────────────


def minute(
    ago: int, version: Version = OLD, role: Role = Role.SERVED, tokens: float = 0.0, **outcomes: int
) -> tuple[MinuteKey, MinuteSums]:
    at_us = T0_US - ago * 60_000_000
    key = MinuteKey(at_us, "chat", "ro_1", role.value, Arm.STABLE.value, str(version))
    return key, MinuteSums(legs=sum(outcomes.values()), outcomes=outcomes, output_tokens=Moments(n=1, total=tokens))


def test_real_traffic_proves_it_without_a_probe() -> None:
    traffic = warm.traffic_of([minute(2, complete=9, http_error=1), minute(1, complete=1), minute(1, NEW, complete=50)], OLD, T0)
    assert traffic == Traffic(answers=10, failures=1, last_at=T0)
    found = warm.way_back("chat", OLD, (), T0, traffic=traffic, in_rollout=True)
    assert found.proven
    assert describe_way_back(found, T0) == f"way back {OLD.model}: proven 0s ago by real traffic, its provider says nothing of its quota"


def test_traffic_of_ten_minutes_ago_and_copies_prove_nothing() -> None:
    old = [minute(10, complete=9), minute(1, role=Role.MIRRORED, complete=9)]
    assert warm.traffic_of(old, OLD, T0) == Traffic()


def test_traffic_that_fails_breaks_it_and_a_few_callers_errors_do_not() -> None:
    outage = warm.traffic_of([minute(1, complete=2, http_error=30, timed_out=8, client_aborted=99)], OLD, T0)
    found = warm.way_back("chat", OLD, probes(True, last=180), T0, traffic=outage)
    assert found.broken == "38 of 40 requests of real traffic to it failed in the last 5m"
    few = warm.traffic_of([minute(1, http_error=5)], OLD, T0)
    assert warm.way_back("chat", OLD, probes(True), T0, traffic=few).proven, "five requests that failed: the probe decides"
    assert warm.way_back("chat", OLD, probes(True), T0, traffic=outage).proven, "bad requests of an app: a probe a moment ago was answered"
    assert warm.due(T0 - 60 * S, outage, T0), "so one is sent each minute while it fails"


def test_the_load_is_that_of_the_busiest_minute_of_late() -> None:
    sums = [minute(3, complete=40, tokens=4000.0), minute(2, complete=100, tokens=500.0), minute(2, NEW, complete=10, tokens=100.0)]
    load = warm.load_of([*sums, minute(30, complete=9999), minute(1, role=Role.MIRRORED, complete=500)], T0, input_tokens=20.0)
    assert load == {"requests": 110.0, "tokens": 6200.0, "input_tokens": 2200.0, "output_tokens": 4000.0}
    assert warm.load_of([], T0) == {}


# ── when it is asked, and what that costs ────────────────────────────────────────────────────────────────────────────


def test_it_is_asked_each_minute_and_seldom_where_traffic_proves_it() -> None:
    proven = Traffic(answers=5)
    assert warm.due(None, None, T0)
    assert [warm.due(T0 - s * S, None, T0) for s in (59, 60)] == [False, True]
    assert [warm.due(T0 - s * S, proven, T0) for s in (60, 899, 900)] == [False, False, True]
    assert warm.due(T0 + 3600 * S, None, T0), "a clock that was set back keeps nobody waiting"


def test_a_day_of_probes_has_a_price() -> None:
    """1440 probes of 8 + 1 tokens at 30 and 60 USD a million: 0.43 USD."""
    assert warm.usd_per_day(Price(name="x", input=30.0, output=60.0)) == pytest.approx(1440 * (8 * 30 + 60) / 1e6)
    assert warm.usd_per_day(None) is None
    assert warm.keeping(THERE, None).endswith("its price is not known")


def test_a_version_that_answers_only_at_length_costs_what_its_last_probe_took() -> None:
    """96 probes a day of 9 + 320 tokens at 15 and 60 USD a million are 1.86 USD; 1440 of 8 + 1 were told before: 0.26."""
    price = Price(name="o1", input=15.0, output=60.0)
    (last,) = probes(True, used=(9, 320), every_s=900.0)
    assert warm.usd_per_day(price, last) == pytest.approx(96 * (9 * 15 + 320 * 60) / 1e6)
    assert warm.keeping(THERE, price, last) == "way back gpt-4-0613: a probe in 15m, about 1.86 USD a day"
    assert warm.costing(price, last) == "probes cost about 1.86 USD a day, one in 15m as it answers only at length"
    assert warm.keeping(THERE, price) == (
        "way back gpt-4-0613: a probe a minute, about 0.26 USD a day, or up to 5.91 if it only answers at length, as reasoning models do: "
        "a probe in 15m"
    ), "96 x (8 x 15 + 1024 x 60) / 1e6"
    assert warm.due(T0 - 899 * S, None, T0, every_s=900.0) is False
    assert asked(True, last=900, every_s=900.0).proven, "between two of its probes it is known to work"
    assert asked(True, last=1141, every_s=900.0).unknown


def test_what_nobody_could_ask_is_not_known_and_never_broken() -> None:
    nobody = probes(*[False] * 6, unasked="nobody can ask it: KEY is not set")
    found = warm.way_back("chat", THERE, nobody, T0)
    assert (found.broken, found.unknown) == ("", "nobody can ask it: KEY is not set")
    before = [replace(probe, at=probe.at - 120 * S) for probe in probes(True)]
    assert warm.way_back("chat", THERE, [*nobody[:2], *before], T0).proven, "what was found a moment before still holds"


# ── what providers say ───────────────────────────────────────────────────────────────────────────────────────────────


def test_quotas_are_read_from_either_providers_headers() -> None:
    openai = {"x-ratelimit-limit-requests": "500", "x-ratelimit-limit-tokens": "30000", "x-ratelimit-remaining-tokens": "1"}
    assert limits_of(openai) == {"requests": 500.0, "tokens": 30000.0}
    anthropic = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-input-tokens-limit": "40000",
        "anthropic-ratelimit-output-tokens-limit": "8000",
        "anthropic-ratelimit-tokens-limit": "48000",
    }
    assert limits_of(anthropic) == {"requests": 50.0, "input_tokens": 40000.0, "output_tokens": 8000.0}
    assert limits_of({"x-ratelimit-limit-requests": "nan", "x-ratelimit-limit-tokens": "0"}) == {}


def quota(limit: int, remaining: int, reset: str, kind: str = "requests") -> dict[str, str]:
    """Headers of OpenAI's API and of those who copy it."""
    names = (f"x-ratelimit-{what}-{kind}" for what in ("limit", "remaining", "reset"))
    return dict(zip(names, (str(limit), str(remaining), reset), strict=True))


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        # Groq: "x-ratelimit-limit-requests always refers to requests per day", with 14400, 14370 left, 2m59.56s in its example
        (quota(14_400, 14_370, "2m59.56s"), {"requests_per_day": 14_400.0}),
        # OpenAI's smallest accounts: 200 a day, so one comes back in 7m12s; 10,000 a day, in 8.64s
        (quota(200, 199, "7m12s"), {"requests_per_day": 200.0}),
        (quota(10_000, 9_999, "8.64s"), {"requests_per_day": 10_000.0}),
        (quota(1_000, 990, "5h0m0s"), {"requests_per_day": 1_000.0}),  # all of it comes back at midnight
        (quota(200, 0, "23h48m0s"), {"requests_per_day": 200.0}),
        # a minute: 500 a minute come back one in 120 ms
        (quota(500, 499, "120ms"), {"requests": 500.0}),
        (quota(60, 0, "1m0s"), {"requests": 60.0}),
        (quota(18_000, 17_997, "9.999ms", "tokens"), {"tokens": 18_000.0}),
        # OpenAI's own example would refill in 39 days, which is no quota of anybody's
        (quota(150_000, 149_984, "6m0s", "tokens"), {"tokens": 150_000.0}),
        # what cannot be worked out is of a minute
        (quota(500, 500, "0s"), {"requests": 500.0}),
        (quota(500, 499, "2026-03-01T00:00:00Z"), {"requests": 500.0}),
        ({"x-ratelimit-limit-requests": "500", "x-ratelimit-reset-requests": "8m"}, {"requests": 500.0}),
        (
            {"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "?", "x-ratelimit-reset-requests": "8s"},
            {"requests": 500.0},
        ),
    ],
)
def test_a_quota_of_a_day_is_told_from_one_of_a_minute_by_how_long_it_takes_to_refill(
    headers: dict[str, str], said: dict[str, float]
) -> None:
    assert limits_of(headers) == said


def test_a_quota_of_a_day_is_held_against_the_traffic_of_a_day() -> None:
    day = warm.day_load_of(
        [minute(900, complete=150, tokens=900.0), minute(2, complete=80), minute(2000, complete=999)], T0, input_tokens=10.0
    )
    assert (day["requests_per_day"], day["tokens_per_day"], day["output_tokens_per_day"]) == (230.0, 3200.0, 900.0)
    load = {"requests": 80.0} | day
    assert asked(True, limits={"requests_per_day": 460.0}, more={"load": load}).headroom == {"requests_per_day": 0.5}
    small = asked(True, limits={"requests_per_day": 200.0, "requests": 500.0}, more={"load": load})
    assert small.broken == "its quota is too small for the route: 230 requests a day where its quota is 200"


def test_ends_are_read_from_either_providers_list_of_models() -> None:
    assert ends_at({"id": "gpt-4", "shutdown_date": T0.timestamp()}) == T0
    assert ends_at({"shutdown_date": "2026-03-01"}) == T0.replace(hour=0)
    assert ends_at({"retires_at": "2026-03-01T12:00:00Z", "lifecycle": "deprecated"}) == T0
    for nothing in ({}, {"shutdown_date": None}, {"retires_at": "soon"}, {"shutdown_date": 1e300}, {"shutdown_date": True}):
        assert ends_at(nothing) is None


def test_a_known_end_holds_for_the_providers_own_api_only() -> None:
    own = Provider(name="openai", dialect=Dialect.OPENAI, base_url="https://api.openai.com/v1", watcher="w")
    assert str(ends_on(own, "gpt-4-0613")) == "2026-10-23"
    assert ends_on(replace(own, base_url="https://mine.openai.azure.com/v1"), "gpt-4-0613") is None
    assert ends_on(own, "gpt-5-2025-08-07") is None


# ── in words ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_status_tells_ways_back_versions_that_are_kept_and_open_alerts() -> None:
    broken = asked(False, False, False, True)
    page = alert("WayBackBroken", "chat", "ann@example.com", "chat: the way back is broken: HTTP 500\x1b[2J", T0 - 90 * S)
    read = replace(page, acknowledged_at=T0, acknowledged_by="bob")
    said = lines({"chat": broken}, [former("b", 2)], [page, read], T0)
    assert said[0].startswith("chat: way back gpt-4-0613: BROKEN: its last 3 probes failed")
    assert said[0].endswith("; it last worked 3 min ago")
    assert said[1] == "chat: b was the pin until 2026-02-27 (ro_0) and is kept: `detent retire chat`"
    assert (
        said[2]
        == f"alert {page.id} PAGE WayBackBroken: chat: the way back is broken: HTTP 500\\x1b[2J, for 2 min; nobody has acknowledged it"
    )
    assert said[3].endswith("; acknowledged by bob")
    plain = json_of({"chat": broken}, [former("b", 2)], [page])
    assert (plain["way_backs"]["chat"]["state"], plain["former_versions"][0]["version"]) == ("broken", "openai/b")
    assert plain["alerts"][0]["kind"] == "WayBackBroken"

"""A trickle of copies to the way back: what the pin file may say of it, who gets it, what it proves, what it costs and what is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import msgspec
import pytest

from detent import manifest, trickle, warm
from detent.errors import InvalidInput
from detent.proposals import as_text, proposals
from detent.terms import (
    DrillShare,
    Flag,
    FlagSet,
    FormerVersion,
    Manifest,
    Outcome,
    Price,
    Probe,
    Trickle,
    Version,
    Warm,
    WarmCopy,
)
from detent.trickle import Asking, Copying
from records import T0, intent

S = timedelta(seconds=1)
BACK = Version("openai", "gpt-4-0613")
PIN = Version("openai", "gpt-4o-2024-05-13")

FILE = """\
[providers.openai]
dialect = "openai"
base_url = "https://api.openai.com/v1"
watcher = "llm@example.com"

[routes.chat]
provider = "openai"
version = "gpt-4o-2024-05-13"
rollback = "gpt-4-0613"
owner = "ann@example.com"
plan = "mine"

[plans.mine]
warm = { share = 0.001, usd_per_day = 1.0 }
"""
"""The way back costs 30 and 60 USD a million tokens by OpenAI's list."""


def read(text: str = FILE, **changes: str) -> Manifest:
    for old, new in changes.items():
        text = text.replace(old, new)
    return manifest.read(text)


def flag(**more: Any) -> Flag:
    return Flag(route="chat", revision=1, stable=PIN, **more)


def former(model: str, days: float, provider: str = "openai") -> FormerVersion:
    return FormerVersion(route="chat", version=Version(provider, model), since=T0 - timedelta(days=days), rollout="ro_0")


# ── the pin file ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_plan_without_it_copies_nothing_and_its_own_numbers_may_be_left_out() -> None:
    assert read(FILE.replace("warm =", "# warm =")).plans["mine"].warm is None
    assert manifest.BUILTIN_PLANS["standard"].warm is None
    assert read(FILE.replace("{ share = 0.001, usd_per_day = 1.0 }", "{}")).plans["mine"].warm == Warm(share=0.001, usd_per_day=1.0)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{ share = 0 }", "plans.mine.warm.share out of range: `0`"),
        ("{ share = 1.5 }", "plans.mine.warm.share out of range: `1.5`"),
        ("{ usd_per_day = 0.0 }", "plans.mine.warm.usd_per_day out of range: `0.0`"),
        ("{ usd_per_day = inf }", "plans.mine.warm.usd_per_day out of range: `inf`"),
        ("{ usd_per_day = nan }", "plans.mine.warm.usd_per_day out of range: `nan`"),
        ("{ usd = 1.0 }", "unknown key in [plans.mine.warm]: `usd`"),
        ("0.001", "plans.mine.warm must be a table: `0.001`"),
    ],
)
def test_what_it_may_not_say_is_refused_by_name(written: str, said: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read(FILE.replace("{ share = 0.001, usd_per_day = 1.0 }", written))
    assert said in error.value.message


def test_a_list_of_processors_without_the_way_backs_provider_is_refused() -> None:
    """A way back is at its route's own provider, so a list that forbids it forbids the route."""
    other = '[providers.other]\ndialect = "openai"\nbase_url = "https://llm.example.com/v1"\nwatcher = "llm@example.com"\n\n'
    with pytest.raises(InvalidInput) as error:
        read(other + FILE.replace('plan = "mine"', 'plan = "mine"\nprocessors = ["other"]'))
    assert "routes.chat.processors leaves out its own provider: `openai`" in error.value.message


def test_a_way_back_whose_price_nobody_knows_is_refused_as_a_budget_without_a_price_is() -> None:
    text = FILE.replace("gpt-4-0613", "house-2025-01-01")
    (refused,) = [one for one in proposals(read(text), {"chat": flag()}, {}, ()) if one.kind == "refuse"]
    assert (
        refused.sentence
        == "copies to its way back may cost 1 USD a day, and what that version costs is not known: `openai/house-2025-01-01`"
    )
    assert refused.hint == 'write [prices."openai/house-2025-01-01"] with input and output, or take `warm` out of plan mine'
    priced = text + '\n[prices."openai/house-2025-01-01"]\ninput = 1.0\noutput = 2.0\n'
    assert not [one for one in proposals(read(priced), {"chat": flag()}, {}, ()) if one.kind == "refuse"]


def test_a_plan_that_begins_to_copy_is_a_change_that_is_told() -> None:
    before = read(FILE.replace("warm =", "# warm ="))
    found = proposals(read(), {"chat": flag()}, {}, (), applied=before)
    assert as_text(found) == (
        "* chat: stays on openai/gpt-4o-2024-05-13; settings change\n    warm: none -> 0.1 % of units, 1 USD a day at most"
    )
    assert as_text(proposals(read(), {"chat": flag()}, {}, (), applied=read())) == "= chat: stays on openai/gpt-4o-2024-05-13"


# ── who gets it ──────────────────────────────────────────────────────────────────────────────────────────────────────


def copied_to(found: dict[str, Trickle]) -> str | None:
    return found["chat"].version.model if "chat" in found else None


def test_it_goes_to_the_way_back_that_the_file_names_else_to_the_newest_former_version() -> None:
    kept = [former("gpt-4-turbo-2024-04-09", 1), former("gpt-4-0314", 9)]
    assert trickle.trickles(read(), {"chat": flag()}, kept) == {
        "chat": Trickle(version=BACK, share=0.001, usd_per_day=1.0, price=Price(name="gpt-4-0613", input=30.0, output=60.0))
    }
    unnamed = read(FILE.replace("rollback", "# rollback"))
    assert copied_to(trickle.trickles(unnamed, {"chat": flag()}, kept)) == "gpt-4-turbo-2024-04-09"
    assert copied_to(trickle.trickles(unnamed, {"chat": flag()}, kept[1:])) is None, "nobody knows what this one costs"
    assert trickle.trickles(unnamed, {"chat": flag()}, []) == {}


def test_a_rollout_ends_it_and_a_route_that_was_never_applied_has_none() -> None:
    assert trickle.trickles(read(), {"chat": flag(rollout="ro_1", candidate=BACK)}, []) == {}
    assert trickle.trickles(read(), {}, []) == {}
    assert trickle.trickles(read(FILE.replace("warm =", "# warm =")), {"chat": flag()}, []) == {}


def test_a_former_version_elsewhere_is_copied_to_only_where_processors_price_and_dialect_allow_it() -> None:
    other = '[providers.other]\ndialect = "openai"\nbase_url = "https://llm.example.com/v1"\nwatcher = "llm@example.com"\n\n'
    text = other + FILE.replace("rollback", "# rollback") + '\n[prices."other/m-1"]\ninput = 1.0\noutput = 2.0\n'
    kept = [former("m-1", 1, "other")]
    assert copied_to(trickle.trickles(read(text), {"chat": flag()}, kept)) == "m-1"
    listed = read(text.replace('plan = "mine"', 'plan = "mine"\nprocessors = ["openai"]'))
    assert trickle.trickles(listed, {"chat": flag()}, kept) == {}
    assert trickle.forbidden(listed, listed.routes["chat"], PIN, kept[0].version) == (
        "its provider is not among the route's `processors`: `other`"
    )
    spoken = read(text.replace('[providers.other]\ndialect = "openai"', '[providers.other]\ndialect = "anthropic"'))
    assert trickle.trickles(spoken, {"chat": flag()}, kept) == {}
    assert trickle.trickles(read(text), {"chat": flag()}, [former("m-1", 1, "gone")]) == {}


def test_flags_of_an_older_detent_say_nothing_of_it_and_those_of_this_one_are_read_by_both() -> None:
    told = FlagSet(
        revision=3, manifest=read(), flags={"chat": flag()}, identity_key="k", trickles=trickle.trickles(read(), {"chat": flag()}, [])
    )
    kept = msgspec.json.decode(msgspec.json.encode(told))
    assert msgspec.convert(kept, FlagSet) == told
    del kept["trickles"]
    for plan in kept["manifest"]["plans"].values():
        del plan["warm"]
    older = msgspec.convert(kept, FlagSet)
    assert (older.trickles, older.flags) == ({}, told.flags)
    assert older.manifest.plans["mine"].warm is None


def test_its_money_and_its_counts_stand_under_names_that_no_rollout_has() -> None:
    live = intent("a", rollout=None, route="chat")
    assert (trickle.payer(live), trickle.counter(live)) == ("warm:chat", "warm:chat:2026-03-01")
    assert (trickle.payer(intent("a")), trickle.counter(intent("a"))) == ("ro_1", "ro_1")


# ── what it proves, and what breaks ──────────────────────────────────────────────────────────────────────────────────


_UNITS = count()


def copy(
    outcome: Outcome = Outcome.COMPLETE,
    ago_s: float = 10.0,
    status: int | None = 200,
    latency_s: float | None = 0.4,
    unit: str | None = None,
) -> WarmCopy:
    """A copy of a unit of its own, unless it is named."""
    unit = f"u{next(_UNITS)}" if unit is None else unit
    return WarmCopy(at=T0 - ago_s * S, unit=unit, outcome=outcome, status=status, latency_s=latency_s)


def refused(ago_s: float = 10.0, status: int = 400, unit: str | None = None) -> WarmCopy:
    return copy(Outcome.HTTP_ERROR, ago_s, status, unit=unit)


def timed_out(ago_s: float = 10.0) -> WarmCopy:
    return copy(Outcome.TIMED_OUT, ago_s, None, None)


def probe(ok: bool, ago_s: float) -> Probe:
    return Probe(route="chat", version=BACK, at=T0 - ago_s * S, ok=ok, latency_s=0.1, detail="" if ok else "HTTP 500")


def way_back(copies: list[WarmCopy], *probes: Probe, other_key: bool = False) -> Any:
    return warm.way_back("chat", BACK, probes, T0, traffic=trickle.copied(copies, T0, other_key=other_key))


def test_answered_copies_prove_it_with_the_middle_of_their_times() -> None:
    found = way_back([copy(ago_s=20, latency_s=0.2), copy(ago_s=30, latency_s=0.9), copy(ago_s=200, latency_s=0.4)])
    assert (found.proven, found.by, found.latency_s, found.proven_at) == (True, "traffic", 0.4, T0 - 20 * S)


def test_copies_of_an_hour_ago_prove_nothing() -> None:
    assert way_back([copy(ago_s=3600)]).unknown
    assert way_back([]).unknown


def test_copies_that_fail_break_it_as_real_traffic_does() -> None:
    """Ten failures, more than were answered; a probe that was answered a moment ago speaks against an outage."""
    down = [timed_out()] * 10 + [copy()] * 9
    assert way_back(down).broken == "10 of 19 copies of requests to it failed in the last 5m"
    assert way_back(down, probe(True, 60)).proven
    assert not way_back([timed_out()] * 9).broken


def test_a_few_copies_that_fail_leave_the_word_to_probes() -> None:
    failing = [timed_out()] * 3
    assert way_back(failing, probe(False, 5), probe(False, 65), probe(False, 125)).broken.startswith("its last 3 probes failed")
    assert way_back(failing, probe(True, 5)).proven


def test_a_way_back_that_does_not_take_the_apps_requests_is_broken_whatever_its_probes_say() -> None:
    """What a probe cannot find: it answers `Say ok.`, and refuses what the app sends; at a thousandth of the units within a day."""
    copies = [refused(ago_s=3600.0 * n) for n in range(1, 11)] + [copy(ago_s=3600.0 * n) for n in range(11, 15)]
    said = (
        "it does not take the app's own requests: it refused those of 10 of the last 14 units, copies of such as the pinned version answers"
    )
    assert way_back(copies, probe(True, 5)).broken == said
    assert way_back(copies[1:], probe(True, 5)).proven, "nine are too few to say so"
    answered_since = [copy(ago_s=60.0 * n) for n in range(1, 12)]
    assert way_back(answered_since + copies, probe(True, 5)).proven, "of the newest twenty more were answered"
    assert way_back(answered_since[:10] + copies, probe(True, 5)).proven, "and as many are not fewer"
    assert way_back([refused(ago_s=90_000.0) for _ in range(20)], probe(True, 5)).proven, "that was yesterday"


def test_one_session_whose_turns_are_all_refused_breaks_nothing() -> None:
    """Units are drawn whole: a talk that has become too long for the way back is refused at each of its turns."""
    answered = [copy(ago_s=3600.0 + n) for n in range(9)]
    talk = [refused(ago_s=60.0 * n, unit="long") for n in range(10)]
    assert way_back(talk + answered, probe(True, 5)).proven
    at_once = [refused(ago_s=n, unit="long") for n in range(10)]
    assert not way_back([*at_once, *answered]).broken, "nor where no probe was answered a moment ago"
    assert way_back(talk + [refused(ago_s=700.0 + n) for n in range(9)] + answered, probe(True, 5)).broken.startswith(
        "it does not take the app's own requests: it refused those of 10 of the last 19 units"
    )


def test_the_newest_copy_of_a_unit_speaks_for_it() -> None:
    units = [f"u-{n}" for n in range(10)]
    older, newer = ([made(ago_s=ago_s, unit=unit) for unit in units] for made, ago_s in ((refused, 700.0), (copy, 600.0)))
    assert way_back(newer + older, probe(True, 5)).proven
    older, newer = ([made(ago_s=ago_s, unit=unit) for unit in units] for made, ago_s in ((copy, 700.0), (refused, 600.0)))
    assert way_back(newer + older, probe(True, 5)).broken
    lost = [copy(Outcome.LOST, 500.0, None, unit=unit) for unit in units]
    assert way_back(lost + newer + older, probe(True, 5)).broken, "of those that say anything"


@pytest.mark.parametrize("status", [401, 403, 429])
def test_a_key_that_only_copies_have_says_nothing_of_the_way_back(status: int) -> None:
    denied = [refused(status=status) for _ in range(20)]
    assert not way_back(denied, other_key=True).broken
    assert way_back(denied).broken == "20 of 20 copies of requests to it failed in the last 5m"
    assert way_back(denied, probe(True, 5)).proven, "the live key was answered a moment ago"


def test_copies_with_a_key_of_their_own_do_not_outweigh_probes_that_fail_with_the_live_one() -> None:
    failing = probe(False, 5), probe(False, 65), probe(False, 125)
    assert way_back([copy()], *failing, other_key=True).broken.startswith("its last 3 probes failed")
    assert way_back([copy()], *failing).proven, "the same key: one of them is right, and it is the one that answered a real request"


def test_one_copy_that_was_answered_does_not_outweigh_probes_that_have_failed_since() -> None:
    """Copies are few, where real traffic would have said so itself: without a trickle these probes break it."""
    failing = probe(False, 5), probe(False, 65), probe(False, 125)
    assert way_back([timed_out()] * 9 + [copy(ago_s=250)], *failing).broken.startswith("its last 3 probes failed")
    assert way_back([copy(ago_s=100)], *failing).proven, "two of them came after it"


def test_what_its_caller_or_our_own_process_ended_counts_for_nothing() -> None:
    assert trickle.copied([copy(Outcome.LOST, status=None)] * 30, T0, other_key=False) == warm.Traffic(copies=True)


def test_copies_that_prove_it_make_a_probe_a_minute_needless_and_failing_ones_bring_it_back() -> None:
    proven, failing = (trickle.copied(found, T0, other_key=True) for found in ([copy()], [timed_out()]))
    assert [warm.due(T0 - s * S, proven, T0) for s in (60, 899, 900)] == [False, False, True]
    assert warm.due(T0 - 60 * S, failing, T0)
    assert warm.due(T0 - 60 * S, proven, T0, failed=True), "a probe with the live key failed, and copies have another"
    assert not warm.due(T0 - 60 * S, replace(proven, other_key=False), T0, failed=True)


# ── what it costs, and what is told ──────────────────────────────────────────────────────────────────────────────────

COSTS = Price(name="x", input=30.0, output=60.0)


def test_a_day_is_forecast_from_the_last_hour_and_never_beyond_the_limit() -> None:
    """A thousandth of 24 x 5000 requests of 400 and 100 tokens at 30 and 60 USD a million: 120 x 0.018 = 2.16 USD."""
    asking = Asking(requests=5000.0, input_tokens=400.0, output_tokens=100.0)
    assert trickle.usd_per_day(Warm(usd_per_day=5.0), COSTS, asking) == pytest.approx(2.16)
    assert trickle.usd_per_day(Warm(), COSTS, asking) == 1.0
    assert trickle.usd_per_day(Warm(), COSTS, Asking()) == 0.0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"spent_usd": 0.0312, "expected_usd": 0.1234, "answered": 18, "unanswered": 2, "not_copied": {"paused": 1, "effects": 3}},
            "copies of 0.1 % of units to gpt-4-0613: 0.031 USD today of 1.00 at most, about 0.12 USD a day at the last hour's traffic; "
            "18 of the last 20 answered; not copied today: 3 effects, 1 paused",
        ),
        (
            {"spent_usd": 0.96, "held_usd": 0.04, "expected_usd": 1.0},
            "copies of 0.1 % of units to gpt-4-0613: 0.96 USD today of 1.00 at most (0.04 more reserved), about 1.00 USD a day at the last "
            "hour's traffic, where its limit stops it",
        ),
        (
            {},
            "copies of 0.1 % of units to gpt-4-0613: 0.00 USD today of 1.00 at most, the last hour saw no traffic to forecast by",
        ),
        (
            {"why_not": "rollout ro_1 is open, whose own traffic says more", "spent_usd": 0.5},
            "copies to gpt-4-0613: none now: rollout ro_1 is open, whose own traffic says more; 0.50 USD today of 1.00 at most",
        ),
        (
            {"version": None, "why_not": "no way back is named"},
            "copies to the way back: none now: no way back is named; 0.00 USD today of 1.00 at most",
        ),
    ],
)
def test_the_price_of_a_day_is_told(more: dict[str, Any], said: str) -> None:
    told: dict[str, Any] = {"warm": Warm(), "version": BACK} | more
    assert trickle.describe(Copying(**told)) == said


@pytest.mark.parametrize(
    ("amount", "said"), [(0.0, "0.00"), (0.00001, "under 0.0001"), (0.000123, "0.00012"), (0.0312, "0.031"), (12.345, "12.35")]
)
def test_small_sums_keep_two_digits(amount: float, said: str) -> None:
    assert trickle.usd(amount) == said


def test_what_a_plan_will_do_is_a_line_of_plan() -> None:
    say: Callable[..., str] = lambda version, why="", expected=None: trickle.planned(Warm(), version, why, expected)  # noqa: E731
    assert say(None) == "warm: nothing is copied: no way back is named: write `rollback = ...` into the route"
    assert say(BACK, "its price is not known") == "warm: nothing is copied to gpt-4-0613: its price is not known"
    assert say(BACK, "", 0.25) == (
        "warm: copies of 0.1 % of units to gpt-4-0613 outside a rollout: 1.00 USD a day at most; about 0.25 USD a day at the last "
        "hour's traffic"
    )


def test_a_drill_and_a_rollout_are_nothing_that_a_flag_needs_to_tell_of_it() -> None:
    """What is copied stands beside the flags, so that a drill, which changes a flag, and its end change nothing of it."""
    drill = DrillShare(drill="dr_1", version=BACK, share=0.1, salt="s", lasts_s=300.0)
    assert trickle.trickles(read(), {"chat": flag(drill=drill)}, []) == trickle.trickles(read(), {"chat": flag()}, [])

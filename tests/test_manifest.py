"""The pin file: what it means, and how every error in it is told at once, with line, value and hint."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from detent import manifest
from detent.diff import CHANGES
from detent.errors import Exit, InvalidInput
from detent.manifest.keys import KEYS
from detent.manifest.lines import scan
from detent.terms import METRIC_NAMES, CanaryStep, CheckRow, DeclaredMetric, Dialect, Flag, FlagSet, Guard, Manifest, Price, Version

GOOD = """\
[providers.openai]
dialect  = "openai"
base_url = "https://api.openai.com/v1"
key_env  = "OPENAI_API_KEY"
watcher  = "llm-platform@example.com"

[routes.summarizer]
provider = "openai"
version  = "gpt-4o-2024-05-13"
owner    = "search-quality@example.com"
plan     = "mine"
record   = { bodies = 0.05 }

[routes.judge]
provider = "openai"
version  = "gpt-4o-2024-08-06"
owner    = "evals@example.com"

[plans.mine]
shadow = { share = 0.10, at_least = "7d", at_most = "14d" }
canary = { steps = [{ share = 0.05, at_least = "48h" }, { share = 0.25, at_least = "24h" }], at_most = "14d" }

[[plans.mine.guards]]
metric       = "error"
margin_ratio = 1.5
role         = "prove"

[[plans.mine.guards]]
metric     = "truncated"
margin_abs = 0.005

[server]
data = "127.0.0.1:8700"
"""

# The file of design.md, section 4, less what needs a judge (`rubric`, `judge`, task_complete), which later versions read.
DESIGN = """\
[providers.openai]
dialect  = "openai"                       # openai | anthropic | gemini
base_url = "https://api.openai.com/v1"
key_env  = "OPENAI_API_KEY"               # the key itself is never in a file
watcher  = "llm-platform@example.com"

[routes.summarizer]
provider = "openai"
version  = "gpt-4o-2024-05-13"
next     = "gpt-4o-2024-08-06"
rollback = "gpt-4-0613"
owner    = "search-quality@example.com"
plan     = "standard"
unit     = ["session"]
checks   = ["json_schema", "no_new_fence", "no_trailing_text", "context_agreement"]
context  = "messages[-1] <docs>...</docs>"
record   = { bodies = 0.05 }

[plans.standard]
baseline = { screen = 3, confirm = 20, stable_repeats = 10, fdr = 0.10, max_age = "30d" }
shadow   = { share = 0.10, at_least = "7d", at_most = "14d", pairs = 1000, budget_usd_per_day = 25 }
canary   = { steps = [
  { share = 0.05, at_least = "48h" }, { share = 0.25, at_least = "24h" }, { share = 0.50, at_least = "24h" }
], at_most = "14d" }
soak     = { at_least = "14d", holdback = 0.05 }
drill    = { every = "30d" }
approve  = ["canary"]
alpha    = 0.05

[[plans.standard.guards]]
metric       = "parse_error"
margin_ratio = 1.5
action       = "roll_back"
matures      = "2m"
role         = "prove"

[server]
data    = "127.0.0.1:8700"
control = "127.0.0.1:8701"
clients_env = "DETENT_CLIENT_KEYS"
unknown = "pass"
"""


OTHER_JUDGE = (
    GOOD.replace(
        "[routes.summarizer]\n",
        '[providers.anthropic]\ndialect  = "anthropic"\nbase_url = "https://api.anthropic.com"\nkey_env  = "ANTHROPIC_API_KEY"\n'
        'watcher  = "llm-platform@example.com"\n\n[routes.summarizer]\nrubric   = "rubrics/summarizer.md"\n\n',
    )
    .replace('owner    = "search-quality@example.com"', 'judge    = "judge"\nowner    = "search-quality@example.com"')
    .replace('provider = "openai"\nversion  = "gpt-4o-2024-08-06"', 'provider = "anthropic"\nversion  = "claude-sonnet-4-5-20250929"')
)
"""GOOD with a judge of another family."""

ESCALATED = '[metrics.escalated]\nsays = "a person had to take over"\nsilence = "good"\n'

THIRD = '[routes.third]\nprovider = "openai"\nversion = "gpt-4o-2024-08-06"\nowner = "evals@example.com"\n'


def errors(text: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        manifest.read(text)
    assert caught.value.exit is Exit.USAGE
    return str(caught.value)


def swapped(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


def after(header: str, lines: str) -> str:
    """GOOD with lines put in below a table header."""
    return swapped(f"{header}\n", f"{header}\n{lines}\n")


def in_shadow(new: str, old: str = "share = 0.10") -> str:
    """GOOD with something else in the shadow of its plan."""
    line = 'shadow = { share = 0.10, at_least = "7d", at_most = "14d" }'
    assert old in line
    return swapped(line, line.replace(old, new))


# ── what a good file means ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_file_of_the_design_reads_as_it_is_written() -> None:
    read = manifest.read(DESIGN)
    route, plan = read.routes["summarizer"], read.plans["standard"]
    assert (route.name, route.owner) == ("summarizer", "search-quality@example.com")
    assert route.stable == Version("openai", "gpt-4o-2024-05-13")
    assert route.candidate == Version("openai", "gpt-4o-2024-08-06")
    assert route.rollback == "gpt-4-0613"
    assert read.providers["openai"].dialect is Dialect.OPENAI
    assert plan.canary.steps[0] == CanaryStep(share=0.05, at_least=48 * 3600.0)
    assert plan.soak.at_least == 14 * 24 * 3600.0
    assert plan.guards == (Guard(metric="parse_error", margin_ratio=1.5, action="roll_back", matures=120.0, role="prove"),)


def test_a_judge_of_another_family_is_taken() -> None:
    read = manifest.read(OTHER_JUDGE)
    assert read.routes["summarizer"].judge == "judge"
    assert read.routes["summarizer"].rubric == "rubrics/summarizer.md"


def test_checks_of_the_team_and_prices_are_rows() -> None:
    rows = """
[checks.polite]
says     = "thanks the customer"
contains = "thank"

[checks.close]
autoevals = "Levenshtein"
at_least  = 0.8

[prices."openai/gpt-4o-2024-05-13"]
input  = 5.00
cached = 2.50
output = 15

[prices."openai/lab/free-1"]
input  = 0
output = 0
"""
    read = manifest.read(after("[routes.summarizer]", 'checks = ["json_valid", "polite", "close"]') + rows)
    assert read.checks["polite"] == CheckRow(name="polite", says="thanks the customer", contains="thank")
    assert read.checks["close"].at_least == 0.8
    assert read.prices["openai/gpt-4o-2024-05-13"] == Price(name="openai/gpt-4o-2024-05-13", input=5.0, cached=2.5, output=15.0)
    assert read.prices["openai/lab/free-1"].output == 0.0
    assert msgspec.json.decode(msgspec.json.encode(read), type=Manifest) == read


def test_guards_may_name_declared_metrics_and_prove_values() -> None:
    metrics = """
[metrics.escalated]
says    = "a person had to take over"
silence = "good"

[metrics.score]
kind  = "value"
worse = "lower"
"""
    guards = """
[[plans.mine.guards]]
metric  = "escalated"
role    = "harm"
matures = "30m"
margin_ratio = 1.5

[[plans.mine.guards]]
metric = "score"
role   = "prove"
margin_ratio = 1.1

[[plans.mine.guards]]
metric = "latency"
margin_ratio = 1.25
tolerance_ratio = 1.05
side   = "both"
"""
    read = manifest.read(swapped('"24h" }], at_most = "14d" }', '"24h" }], at_most = "14d", control = true }') + guards + metrics)
    escalated, score, latency = read.plans["mine"].guards[2:]
    assert read.metrics["escalated"] == DeclaredMetric(name="escalated", says="a person had to take over", silence="good")
    assert read.metrics["escalated"].row.source == "feedback"
    assert (escalated.matures, read.metrics["score"].row.side, read.metrics["score"].row.bet) == (1800.0, "less", "log")
    assert (score.role, score.margin_ratio) == ("prove", 1.1)
    assert (latency.tolerance_ratio, latency.side) == (1.05, "both")
    assert read.plans["mine"].canary.control
    assert msgspec.json.decode(msgspec.json.encode(read), type=Manifest) == read


def test_a_cost_with_its_prices_may_be_guarded() -> None:
    priced = '[prices."openai/gpt-4o-2024-05-13"]\ninput = 5.0\noutput = 15.0\n'
    text = swapped('"truncated"\nmargin_abs = 0.005', '"session_cost"\nmargin_ratio = 1.2') + priced
    assert manifest.read(text).plans["mine"].guards[1].metric == "session_cost"


def test_the_schema_for_editors_takes_the_name_of_a_row_from_its_table() -> None:
    defs = manifest.schema()["$defs"]
    for row in ("Provider", "Route", "Plan", "CheckRow", "DeclaredMetric", "Price"):
        assert "name" not in defs[row]["properties"]
        assert "name" not in defs[row]["required"]


def test_a_plan_without_guards_gets_the_default_ones() -> None:
    guards = {g.metric: g for g in manifest.read(GOOD.partition("[[plans")[0]).plans["mine"].guards}
    assert [g.metric for g in guards.values() if g.role == "prove"] == ["error", "parse_error"]
    assert [g.metric for g in guards.values() if g.role == "harm"] == [
        "hard_failure",
        "truncated",
        "keys_missing",
        "tool_retry",
        "refusal",
        "hit_limit",
        "output_tokens",
        "latency",
        "first_byte",
        "long_session",
    ]
    observed = [g.metric for g in guards.values() if g.role == "observe"]
    assert observed == ["session_steps", "session_cost", "unknown_tool", "fallback", "cached_share"]
    assert guards["hard_failure"].matures == 10.0
    assert {guards[m].tolerance_ratio for m in ("output_tokens", "latency", "first_byte")} == {1.05}
    assert guards["parse_error"].margin_ratio == 1.5


def test_harm_needs_no_margin_and_the_way_back_may_be_proposed() -> None:
    """Any worsening of a rate is harm; and `next` = `rollback` is how a version that is done is left again."""
    read = manifest.read(swapped("margin_abs = 0.005\n", "") + "")
    assert read.plans["mine"].guards[1].margin_ratio is None
    back = manifest.read(after("[routes.summarizer]", 'next = "gpt-4-0613"\nrollback = "gpt-4-0613"'))
    assert back.routes["summarizer"].next == back.routes["summarizer"].rollback


def test_the_plans_standard_and_quiet_exist_without_being_written() -> None:
    plans = manifest.read(GOOD).plans
    assert set(plans) == {"mine", "standard", "quiet"}
    assert plans["quiet"].shadow.share == 1.0
    assert plans["quiet"].baseline.cases > plans["standard"].baseline.cases


def test_the_built_in_plans_would_be_accepted_from_a_file_too() -> None:
    for plan in manifest.BUILTIN_PLANS.values():
        assert all(g.metric in METRIC_NAMES and (g.role == "observe") != (g.margin_ratio is not None) for g in plan.guards)
        assert sum(g.role == "prove" for g in plan.guards) <= 3
        assert all(METRIC_NAMES[g.metric].source == "traffic" for g in plan.guards)  # no instrumentation is needed
        assert all(g.tolerance_ratio == 1.0 or METRIC_NAMES[g.metric].kind == "value" for g in plan.guards)
        assert sum(step.at_least for step in plan.canary.steps) <= plan.canary.at_most
        assert plan.canary.steps[0].at_least >= 48 * 3600
        assert plan.shadow.at_least <= plan.shadow.at_most


def test_a_short_shadow_is_taken_where_traffic_has_no_weekly_season_or_the_plan_is_unsafe_anyway() -> None:
    short = in_shadow('at_least = "1d", whole_week = false', 'at_least = "7d"')
    assert not manifest.read(short).plans["mine"].shadow.whole_week
    unsafe = in_shadow('at_least = "1d"', 'at_least = "7d"').replace("[plans.mine]\n", "[plans.mine]\nunsafe_short_windows = true\n")
    assert manifest.read(unsafe).plans["mine"].shadow.at_least == 86400.0


def test_what_a_shadow_may_cost_and_who_may_read_it_are_in_the_file() -> None:
    text = in_shadow(
        'share = 0.10, second = 0.5, coverage = 0.9, harms = ["truncated"], budget_usd_per_day = 5, tokens_per_day = 1000000, '
        "per_second = 2.5, judge_usd_per_day = 0"
    ).replace("[routes.summarizer]\n", '[routes.summarizer]\nprocessors = ["openai"]\n')
    read = manifest.read(text.replace("key_env  =", 'shadow_key_env = "OPENAI_SHADOW_KEY"\nkey_env  ='))
    stage = read.plans["mine"].shadow
    assert (stage.second, stage.coverage, stage.harms, stage.whole_week) == (0.5, 0.9, ("truncated",), True)
    assert (stage.budget_usd_per_day, stage.tokens_per_day, stage.per_second, stage.judge_usd_per_day) == (5.0, 1_000_000, 2.5, 0.0)
    assert read.routes["summarizer"].processors == ("openai",)
    assert read.providers["openai"].shadow_key_env == "OPENAI_SHADOW_KEY"
    assert set(manifest.read(GOOD).plans["mine"].shadow.harms) <= {change.name for change in CHANGES if not change.benign}


def test_a_budget_of_inf_is_none_and_survives_the_disk_of_a_gateway() -> None:
    """JSON has no infinity: written as null, it would not be read as a number again, and the gateway would have no flags."""
    read = manifest.read(in_shadow("share = 0.10, budget_usd_per_day = inf, judge_usd_per_day = inf"))
    stage = read.plans["mine"].shadow
    assert (stage.budget_usd_per_day, stage.judge_usd_per_day) == (None, None)
    assert msgspec.json.decode(msgspec.json.encode(read), type=Manifest) == read


def test_a_manifest_survives_the_disk_of_a_gateway() -> None:
    read = manifest.read(DESIGN)
    assert msgspec.json.decode(msgspec.json.encode(read), type=Manifest) == read
    flag = Flag(route="summarizer", revision=3, stable=read.routes["summarizer"].stable)
    flags = FlagSet(revision=3, manifest=read, flags={"summarizer": flag}, identity_key="k")
    assert msgspec.json.decode(msgspec.json.encode(flags), type=FlagSet) == flags


def test_windows_line_ends_and_a_byte_order_mark_change_nothing() -> None:
    assert manifest.read("\ufeff" + GOOD.replace("\n", "\r\n")) == manifest.read(GOOD)


def test_the_digest_is_the_sha256_of_the_text() -> None:
    assert manifest.digest(GOOD) == hashlib.sha256(GOOD.encode()).hexdigest()


# ── one error at a time: (what replaces what, the line it is told for, what is said, what the hint says) ─────────────

LONG_KEY = "sk-" + "proj-Zx81kQ" * 3  # no real key

BAD: dict[str, tuple[str, int, str, str]] = {
    "unknown key": (swapped('owner    = "search', 'ownr     = "search'), 10, "`ownr`", "`owner`"),
    "unknown table": (swapped("[server]", "[sever]"), 32, "`sever`", "`server`"),
    "missing owner": (swapped('owner    = "evals@example.com"\n', ""), 14, "`owner`", "paged"),
    "missing watcher": (swapped('watcher  = "llm-platform@example.com"\n', ""), 1, "`watcher`", "watch"),
    "empty owner": (swapped('"evals@example.com"', '" "'), 17, "owner is empty", "name"),
    "alias as pin": (swapped("gpt-4o-2024-05-13", "gpt-4o"), 9, "floating alias", "`gpt-4o-2024-11-20`"),
    "alias as next": (after("[routes.summarizer]", 'next = "chatgpt-4o-latest"'), 8, "`chatgpt-4o-latest`", "exact id"),
    "alias as rollback": (after("[routes.summarizer]", 'rollback = "gpt-4"'), 8, "`gpt-4`", "`gpt-4-0613`"),
    "unknown plan": (swapped('"mine"', '"standrd"'), 11, "unknown plan: `standrd`", "`standard`"),
    "unknown provider": (
        swapped('provider = "openai"\nversion  = "gpt-4o-2024-05-13"', 'provider = "opnai"\nversion  = "gpt-4o-2024-05-13"'),
        8,
        "`opnai`",
        "`openai`",
    ),
    "both margins": (swapped("margin_abs = 0.005", "margin_abs = 0.005\nmargin_ratio = 2.0"), 30, "both margins", "take the other out"),
    "no margin": (swapped("margin_abs = 0.005\n", 'role = "prove"\n'), 28, "without a margin: `truncated`", "margin_ratio"),
    "margin_ratio of 1": (swapped("margin_ratio = 1.5", "margin_ratio = 1.0"), 25, "`1.0`", "above 1"),
    "margin_abs of 1": (swapped("margin_abs = 0.005", "margin_abs = 1"), 30, "`1`", "below 1"),
    "a margin that is no number": (swapped("margin_ratio = 1.5", "margin_ratio = nan"), 25, "`nan`", "above 1"),
    "string for a number": (swapped("margin_ratio = 1.5", 'margin_ratio = "1.5"'), 25, "must be a number: `1.5`", "without quotes"),
    "true for a number": (swapped("bodies = 0.05", "bodies = true"), 12, "must be a number: `true`", "without quotes"),
    "date for a version": (swapped('"gpt-4o-2024-05-13"', "2024-05-13"), 9, "must be a string: `2024-05-13`", "quotes"),
    "number for a duration": (swapped('at_most = "14d" }\ncanary', "at_most = 14 }\ncanary"), 20, "must be a duration: `14`", "`14d`"),
    "string for a table": (swapped("record   = { bodies = 0.05 }", 'record = "all"'), 12, "must be a table: `all`", "braces"),
    "table for an array": (after("[routes.judge]", "checks = { a = 1 }"), 15, "must be an array", "brackets"),
    "array for a table": (GOOD.replace("[providers.openai]", "[[providers]]"), 1, "providers must be a table", "header"),
    "unknown dialect": (swapped('dialect  = "openai"', 'dialect = "opnai"'), 2, "openai, anthropic, gemini: `opnai`", "`openai`"),
    "short first window": (swapped('"48h"', '"47h"'), 21, "under 48h", "unsafe_short_windows"),
    "next is version": (after("[routes.summarizer]", 'next = "gpt-4o-2024-05-13"'), 8, "pinned already", "another"),
    "rollback is version": (after("[routes.summarizer]", 'rollback = "gpt-4o-2024-05-13"'), 8, "its own way back", "before"),
    "share of 1": (swapped("share = 0.25", "share = 1.0"), 21, "steps[1].share out of range: `1.0`", "below 1"),
    "share of 0": (swapped("share = 0.05", "share = 0"), 21, "steps[0].share out of range: `0`", "above 0"),
    "shares that shrink": (swapped("share = 0.25", "share = 0.05"), 21, "must grow: `0.05`", "0.05"),
    "no steps": (
        swapped('steps = [{ share = 0.05, at_least = "48h" }, { share = 0.25, at_least = "24h" }]', "steps = []"),
        21,
        "empty",
        "one step",
    ),
    "four proofs": (
        swapped(
            "[server]",
            "".join(
                f'[[plans.mine.guards]]\nmetric="{m}"\nmargin_ratio=2\nrole="prove"\n' for m in ("refusal", "tool_retry", "thumbs_down")
            )
            + "[server]",
        ),
        40,
        "more than three proving guards: `4`",
        "three",
    ),
    "nothing proves": (swapped('role         = "prove"', 'role = "harm"'), 23, "nothing could ever be promoted", "prove"),
    "unknown metric": (swapped('"truncated"', '"truncted"'), 29, "unknown metric: `truncted`", "`truncated`"),
    "one metric, two guards": (swapped('"truncated"', '"error"'), 28, "second guard", "take"),
    "a metric of the app's own that is not declared": (swapped('"truncated"', '"escalated"'), 29, "unknown metric", "[metrics.escalated]"),
    "a declared metric misspelt": (swapped('"truncated"', '"escalted"') + ESCALATED, 29, "unknown metric: `escalted`", "`escalated`"),
    "a metric of Detent's own": (GOOD + "[metrics.refusal]\n", 34, "Detent's own: `refusal`", "another name"),
    "a metric of the feedback endpoint's": (GOOD + "[metrics.task_done]\n", 34, "knows this name already: `task_done`", "without"),
    "a metric that no file can name": (GOOD + '[metrics."Was it good?"]\n', 34, "not a name for one of [metrics.…]", "lower-case"),
    "a metric with a long name": (GOOD + f"[metrics.{'x' * 65}]\n", 34, "more than 64 characters", "shorter"),
    "a metric of another kind": (GOOD + '[metrics.fit]\nkind = "ratio"\n', 35, "one of rate, value: `ratio`", "`rate`"),
    "a silence that is no value": (GOOD + '[metrics.fit]\nkind = "value"\nsilence = "good"\n', 36, "no value: `good`", 'kind = "rate"'),
    "a key of a metric misspelt": (GOOD + '[metrics.fit]\nworst = "lower"\n', 35, "`worst`", "`worse`"),
    "a difference of seconds": (
        swapped('"truncated"', '"latency"'),
        30,
        "a difference as the margin of a value: `latency`",
        "margin_ratio = 1.2",
    ),
    "a value without a margin": (
        swapped('"truncated"\nmargin_abs = 0.005', '"latency"\nrole = "prove"'),
        28,
        "without a margin: `latency`",
        "1.2",
    ),
    "a rate with a tolerance": (
        swapped("margin_abs = 0.005", "margin_abs = 0.005\ntolerance_ratio = 1.1"),
        31,
        "for values, and truncated is a rate: `1.1`",
        "margin",
    ),
    "a tolerance of less than nothing": (
        swapped('"truncated"\nmargin_abs = 0.005', '"latency"\nmargin_ratio = 1.5\ntolerance_ratio = 0.9'),
        31,
        "tolerance_ratio out of range: `0.9`",
        "from 1 to 10",
    ),
    "a tolerance above the margin": (
        swapped('"truncated"\nmargin_abs = 0.005', '"latency"\nmargin_ratio = 1.2\ntolerance_ratio = 1.3'),
        31,
        "above the margin of latency: `1.3`",
        "at most 1.2",
    ),
    "a margin that a value cannot be proved by": (
        swapped('"truncated"\nmargin_abs = 0.005', '"latency"\nmargin_ratio = 1.05\nrole = "prove"'),
        30,
        "too narrow a margin to prove latency by: `1.05`",
        "1.1 or more",
    ),
    "a maturity after the end": (
        swapped("margin_abs = 0.005", 'margin_abs = 0.005\nmatures = "14d"'),
        31,
        "an outcome of truncated that is read when the canary is over: `14d`",
        "canary.at_most is 14d",
    ),
    "a control slice that shares its cache under the plan that a route gets unasked": (
        OTHER_JUDGE + "[plans.standard]\ncanary = { control = true }\n",
        23,
        "without a cache of its own, on a provider of dialect anthropic: `standard`",
        "without `control`",
    ),
    "a rate with a side": (swapped("margin_abs = 0.005", 'margin_abs = 0.005\nside = "less"'), 31, "truncated is a rate: `less`", "out"),
    "a side of no kind": (
        swapped('"truncated"\nmargin_abs = 0.005', '"latency"\nmargin_ratio = 1.5\nside = "higher"'),
        31,
        "one of more, less, both: `higher`",
        "`more`",
    ),
    "a cost without a price": (
        swapped('"truncated"\nmargin_abs', '"session_cost"\nmargin_ratio').replace("0.005", "1.2"),
        29,
        "the cost of a version without a price: `openai/gpt-4o-2024-05-13`",
        '[prices."openai/gpt-4o-2024-05-13"]',
    ),
    "a control slice for nobody": (
        swapped('"24h" }], at_most = "14d" }', '"24h" }], at_most = "14d", control = true }'),
        21,
        "a control slice that no guard of the plan is compared with: `true`",
        "`latency`",
    ),
    "a control slice that shares its cache": (
        OTHER_JUDGE.replace('"evals@example.com"', '"evals@example.com"\nplan = "mine"')
        .replace('"24h" }], at_most = "14d" }', '"24h" }], at_most = "14d", control = true }')
        .replace('"truncated"\nmargin_abs = 0.005', '"latency"\nmargin_ratio = 1.2'),
        27,
        "without a cache of its own, on a provider of dialect anthropic: `mine`",
        "without `control`",
    ),
    "a control slice of a share": (
        swapped('"24h" }], at_most = "14d" }', '"24h" }], at_most = "14d", control = 0.05 }'),
        21,
        "must be true or false: `0.05`",
        "without quotes",
    ),
    "unknown check": (
        after("[routes.judge]", 'checks = [\n  "json_valid",\n  "no_new_fense",\n]'),
        17,
        "unknown check: `no_new_fense`",
        "`no_new_fence`",
    ),
    "a judged check without a judge": (
        after("[routes.judge]", 'checks = ["task_complete"]'),
        15,
        "on a route without one: `task_complete`",
        "another family",
    ),
    "a check twice": (after("[routes.judge]", 'checks = ["json_valid", "json_valid"]'), 15, "twice: `json_valid`", "out"),
    "unknown judge": (after("[routes.summarizer]", 'judge = "jugde"'), 8, "`jugde`", "`judge`"),
    "a judge of itself": (after("[routes.judge]", 'judge = "judge"'), 15, "judge itself", "another"),
    "a judge of the same family": (
        after("[routes.summarizer]", 'judge = "judge"'),
        8,
        "of the family that it judges: `judge`",
        "`version` is of the family OpenAI",
    ),
    "a judge of the family that is proposed": (
        OTHER_JUDGE.replace('judge    = "judge"', 'judge = "judge"\nnext = "claude-opus-4-5-20251101"'),
        18,
        "of the family that it judges: `judge`",
        "`next` is of the family Anthropic",
    ),
    "a judge of unknown name and the same first word": (
        OTHER_JUDGE.replace("claude-sonnet-4-5-20250929", "atlas-2026-03-01").replace("gpt-4o-2024-05-13", "atlas-2026-06-01"),
        18,
        "of the family that it judges",
        "family atlas",
    ),
    "a judge that is judged": (
        OTHER_JUDGE.replace('owner    = "evals@example.com"', 'owner = "evals@example.com"\njudge = "third"') + THIRD,
        18,
        "has a judge itself: `judge`",
        "take `judge` out",
    ),
    "a rubric that nobody reads": (after("[routes.judge]", 'rubric = "rubric.md"'), 15, "nobody reads: `rubric.md`", "judge"),
    "a check without a rule": (GOOD + "[checks.mine]\n", 34, "without a rule: `mine`", "`never_matches`"),
    "a check with two rules": (
        GOOD + '[checks.mine]\nlacks = "a"\nmax_chars = 9\n',
        36,
        "second rule in one check: `max_chars`",
        "keep lacks",
    ),
    "a check of a builtin's name": (GOOD + '[checks.tone]\nlacks = "a"\n', 34, "built in: `tone`", "another name"),
    "a check that is a typo": (GOOD + '[checks.mine]\nlack = "a"\n', 35, "`lack`", "`lacks`"),
    "a pattern that does not compile": (GOOD + "[checks.mine]\nmatches = '('\n", 35, "no regular expression", "single quotes"),
    "a pattern that takes for ever": (GOOD + "[checks.mine]\nnever_matches = '(a+)+b'\n", 35, "for ever: `(a+)+b`", "possessive"),
    "a text that is in every answer": (GOOD + '[checks.mine]\nlacks = ""\n', 35, "every answer contains", "text to look for"),
    "at least what": (GOOD + '[checks.mine]\nlacks = "a"\nat_least = 0.5\n', 36, "says nothing", "`python`"),
    "more than all": (GOOD + '[checks.mine]\nautoevals = "Levenshtein"\nat_least = 1.5\n', 36, "out of range: `1.5`", "at most 1"),
    "no function": (GOOD + '[checks.mine]\npython = "house checks:polite"\n', 35, "names no function", "package.module:function"),
    "a scorer that asks a model": (GOOD + '[checks.mine]\nautoevals = "Factuality"\n', 35, "model of its own: `Factuality`", "`judge`"),
    "an unknown scorer": (GOOD + '[checks.mine]\nautoevals = "Levenstein"\n', 35, "`Levenstein`", "`Levenshtein`"),
    "an own check misspelt": (
        after("[routes.judge]", 'checks = ["polit"]') + '[checks.polite]\ncontains = "please"\n',
        15,
        "unknown check: `polit`",
        "`polite`",
    ),
    "a price of no version": (GOOD + "[prices.openai]\ninput = 1.0\noutput = 2.0\n", 34, "no version: `openai`", "provider/model"),
    "a price of an unknown provider": (GOOD + '[prices."opnai/m"]\ninput = 1.0\noutput = 2.0\n', 34, "provider: `opnai`", "`openai`"),
    "a price below nothing": (GOOD + '[prices."openai/m"]\ninput = -1.0\noutput = 2.0\n', 35, "out of range: `-1.0`", "per million"),
    "half a price": (GOOD + '[prices."openai/m"]\ninput = 1.0\n', 34, "`output`", "USD per million output"),
    "a coverage of more than all": (
        after("[plans.mine]", "baseline = { coverage = 1.2 }"),
        20,
        "coverage out of range: `1.2`",
        "from 0 to 1",
    ),
    "a reserve of nearly all": (after("[plans.mine]", "baseline = { reserve = 0.9 }"), 20, "reserve out of range: `0.9`", "0.5"),
    "fresh runs that never are enough": (
        after("[plans.mine]", "baseline = { confirm = 3 }"),
        20,
        "too few fresh runs to confirm that any prompt is lost: `3`",
        "write confirm = 4 or more",
    ),
    "fresh runs that are too few for a strict rate": (
        after("[plans.mine]", "baseline = { confirm = 4, fdr = 0.01 }"),
        20,
        "too few fresh runs to confirm that any prompt is lost: `4`",
        "write confirm = 5 or more",
    ),
    "a baseline of no prompts at least": (
        after("[plans.mine]", "baseline = { at_least = 0 }"),
        20,
        "at_least out of range: `0`",
        "at least 1",
    ),
    "a margin of nothing": (after("[plans.mine]", "baseline = { margin = 0.0 }"), 20, "margin out of range: `0.0`", "at most 1"),
    "a budget of nothing": (after("[plans.mine]", "baseline = { budget_usd = 0 }"), 20, "budget_usd out of range: `0`", "above 0"),
    "a wait that is no policy": (after("[plans.mine]", 'baseline = { on_stale = "hope" }'), 20, "wait, warn: `hope`", "`wait`"),
    "a shadow of three days": (in_shadow('at_least = "3d"', 'at_least = "7d"'), 20, "less than a week", "whole_week = false"),
    "second above 1": (in_shadow("share = 0.10, second = 1.5"), 20, "shadow.second out of range: `1.5`", "above 0 and at most 1"),
    "no second answers": (in_shadow("share = 0.10, second = 0"), 20, "shadow.second out of range: `0`", "above 0 and at most 1"),
    "coverage of all": (in_shadow("share = 0.10, coverage = 1"), 20, "shadow.coverage out of range: `1`", "below 1"),
    "tokens of nothing": (in_shadow("share = 0.10, tokens_per_day = 0"), 20, "tokens_per_day out of range: `0`", "at least 1"),
    "a rate of nothing": (in_shadow("share = 0.10, per_second = 0"), 20, "per_second out of range: `0`", "above 0"),
    "a budget that is no number": (in_shadow("share = 0.10, budget_usd_per_day = nan"), 20, "out of range: `nan`", "or inf"),
    "a judge's budget below nothing": (
        in_shadow("share = 0.10, judge_usd_per_day = -1"),
        20,
        "judge_usd_per_day out of range: `-1`",
        "0 or more",
    ),
    "an unknown harm": (in_shadow('share = 0.10, harms = ["fence_aded"]'), 20, "unknown change: `fence_aded`", "`fence_added`"),
    "a harm that is benign": (in_shadow('share = 0.10, harms = ["reworded"]'), 20, "a change that is benign: `reworded`", "no harm"),
    "a harm named twice": (
        in_shadow('share = 0.10, harms = ["truncated", "truncated"]'),
        20,
        "harms names it twice: `truncated`",
        "take one of them out",
    ),
    "an unknown processor": (after("[routes.summarizer]", 'processors = ["openai", "opnai"]'), 8, "unknown provider: `opnai`", "`openai`"),
    "processors without its own": (
        after("[routes.summarizer]", "processors = []"),
        8,
        "processors leaves out its own provider: `openai`",
        "take the list out",
    ),
    "processors without its judge's": (
        OTHER_JUDGE.replace('judge    = "judge"', 'judge    = "judge"\nprocessors = ["openai"]'),
        19,
        "processors leaves out the provider of its judge: `anthropic`",
        "take the judge out",
    ),
    "a shadow's key in the file": (
        after("[providers.openai]", 'shadow_key_env = "my-shadow-key"'),
        2,
        "shadow_key_env is not the name of an environment variable: `(not shown)`",
        "variable's name",
    ),
    "shadow ends early": (
        swapped('at_least = "7d", at_most = "14d" }\ncanary', 'at_least = "7d", at_most = "6d" }\ncanary'),
        20,
        "`6d`",
        "7d",
    ),
    "canary ends early": (swapped('"24h" }], at_most = "14d"', '"24h" }], at_most = "71h"'), 21, "`71h`", "3d"),
    "a soak that compares nothing": (after("[plans.mine]", "soak = { holdback = 0.0 }"), 20, "holdback out of range: `0.0`", "above 0"),
    "alpha of a half": (after("[plans.mine]", "alpha = 0.5"), 20, "alpha out of range: `0.5`", "below 0.5"),
    "alpha of nothing": (after("[plans.mine]", "alpha = 0"), 20, "alpha out of range: `0`", "above 0"),
    "bodies above 1": (swapped("bodies = 0.05", "bodies = 1.5"), 12, "`1.5`", "from 0 to 1"),
    "a step of nothing": (swapped('at_least = "48h"', 'at_least = "0s"'), 21, "`0s`", "more than nothing"),
    "a soak of nothing": (after("[plans.mine]", 'soak = { at_least = "0s" }'), 20, "`0s`", "more than nothing"),
    "a window of nothing": (swapped('at_most = "14d" }\n\n', 'at_most = "0s" }\n\n'), 21, "`0s`", "more than nothing"),
    "open data listener": (
        swapped('data = "127.0.0.1:8700"', 'data = "0.0.0.0:8700"'),
        33,
        "without client keys: `0.0.0.0:8700`",
        "clients_env",
    ),
    "open control listener": (after("[server]", 'clients_env = "KEYS"\ncontrol = "10.0.0.7:8701"'), 34, "`10.0.0.7:8701`", "127.0.0.1"),
    "no port": (swapped('data = "127.0.0.1:8700"', 'data = "127.0.0.1"'), 33, "HOST:PORT: `127.0.0.1`", "`127.0.0.1:8700`"),
    "one address for both": (after("[server]", 'control = "127.0.0.1:8700"'), 33, "one address", "port of its own"),
    "a URL of another scheme": (swapped("https://api.openai.com", "ftp://api.openai.com"), 3, "`ftp://api.openai.com/v1`", "https://"),
    "plain http": (swapped("https://api.openai.com", "http://api.openai.com"), 3, "in the clear", "https"),
    "no routes": (GOOD.partition("[routes")[0] + "[routes]\n", 7, "`[routes]`", "detent init"),
    "no routes at all": (GOOD.partition("[routes")[0], 1, "missing table: `routes`", "[routes.NAME]"),
    "a name of a route": (swapped("[routes.judge]", '[routes."The Judge"]'), 14, "`The Judge`", "lower-case"),
    "a name in the table": (after("[routes.judge]", 'name = "judge"'), 15, "`name`", "[routes.judge]"),
    "a route on gemini": (swapped('dialect  = "openai"', 'dialect = "gemini"'), 8, "not read yet", "without a route"),
    "a unit of nothing": (after("[routes.judge]", "unit = []"), 15, "unit is empty", "session"),
    "a context nobody can find": (after("[routes.judge]", 'context = "message[-1]"'), 15, "no context locator", "messages[-1] <docs>"),
    "a rubric elsewhere": (after("[routes.judge]", 'rubric = "../../etc/passwd"'), 15, "beside the pin file", "relative"),
    "a key for a provider": (after("[providers.openai]", 'api_key = "x"'), 2, "`api_key`", "`key_env`"),
    "a variable with dashes": (swapped('"OPENAI_API_KEY"', '"my-key"'), 4, "environment variable: `(not shown)`", "`OPENAI_API_KEY`"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_error_is_told_with_its_line_value_and_hint(name: str) -> None:
    text, line, says, hint = BAD[name]
    blocks = errors(text).split("\ndetent.toml:")
    told = [b for b in blocks if says in b]
    assert told, blocks
    first, second = told[0].split("\n")
    assert first.removeprefix("detent.toml:").partition(":")[0] == str(line), first
    assert second.startswith("  hint: ")
    assert hint in second


@pytest.mark.parametrize("name", [n for n in BAD if n not in {"unknown key", "a route on gemini"}])
def test_one_error_is_told_once(name: str) -> None:
    # An unknown `ownr` is also a missing owner; both routes of GOOD are on the provider that became gemini. An array for [providers]
    # leaves no provider for either route; a canary of no time is also shorter than its steps.
    follow_ups = {"array for a table": 3, "a window of nothing": 2}
    text, *_ = BAD[name]
    assert errors(text).count("hint:") <= follow_ups.get(name, 1)


def test_unsafe_short_windows_are_allowed_when_the_plan_says_so() -> None:
    text = swapped('"48h"', '"5m"').replace("[plans.mine]", "[plans.mine]\nunsafe_short_windows = true")
    assert manifest.read(text).plans["mine"].unsafe_short_windows


def test_all_errors_come_at_once_in_the_order_of_the_file() -> None:
    text = """\
[providers.openai]
dialect  = "openai"
base_url = "https://api.openai.com/v1"

[routes.summarizer]
provider = "openai"
version  = "gpt-4o"
ownr     = "search-quality@example.com"
plan     = "standrd"

[plans.p]
alpha = "small"

[[plans.p.guards]]
metric       = "error"
margin_ratio = 1.5
margin_abs   = 0.1
role         = "prove"
"""
    told = errors(text)
    assert [int(block.split(":")[1]) for block in told.split("\n") if block.startswith("detent.toml:")] == [1, 5, 7, 8, 9, 12, 17]
    assert "missing key in [providers.openai]: `watcher`" in told
    assert "missing key in [routes.summarizer]: `owner`" in told
    assert "both margins on one guard: `error`" in told


def test_the_file_is_named_as_it_was_given() -> None:
    with pytest.raises(InvalidInput, match=r"^conf/pins\.toml:9: "):
        manifest.read(swapped("gpt-4o-2024-05-13", "gpt-4o"), file="conf/pins.toml")


# ── not TOML ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_route_given_twice_names_both_lines() -> None:
    told = errors(GOOD + '\n[routes.judge]\nprovider = "openai"\n')
    assert told == "detent.toml:35: route given twice: `judge`\n  hint: it stands in line 14 already: keep one of them"


def test_a_key_given_twice_names_both_lines() -> None:
    assert errors(swapped('plan     = "mine"', 'plan     = "mine"\nplan = "quiet"')).startswith(
        "detent.toml:12: key given twice: `routes.summarizer.plan`\n  hint: it stands in line 11"
    )


def test_bad_toml_names_line_and_column() -> None:
    told = errors(swapped('owner    = "search-quality@example.com"\nplan', "owner    = search-quality@example.com\nplan"))
    assert told.startswith("detent.toml:10: not TOML, column 12: ")  # `owner    = ` has eleven characters


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 5000, "[" * 5000, "a = " + "{a=" * 40 + "1" + "}" * 40])
def test_hostile_toml_is_an_error_like_another(text: str) -> None:
    assert "hint:" in errors(text)


# ── what is never shown ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        swapped('"OPENAI_API_KEY"', f'"{LONG_KEY}"'),
        swapped('"OPENAI_API_KEY"', f'"OPENAI_API_KEY" # {LONG_KEY}'),
        swapped('"OPENAI_API_KEY"', LONG_KEY),
        swapped('"gpt-4o-2024-05-13"', f'"{LONG_KEY}"'),
        swapped("[routes.judge]", f"[routes.{LONG_KEY}]"),
        swapped("https://api", f"https://user:{LONG_KEY}@api"),
        after("[server]", f"{LONG_KEY} = 1"),
    ],
)
def test_a_secret_key_is_refused_and_not_repeated(text: str) -> None:
    line = text[: text.index(LONG_KEY)].count("\n") + 1
    told = errors(text)
    assert f"detent.toml:{line}: what looks like a secret key stands here: `(not shown)`" in told
    assert LONG_KEY not in told


@pytest.mark.parametrize("url", ["https://me:hunter2@api.example/v1", "https://api.example/v1?key=hunter2", "https://me:hunter2@[bad"])
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    told = errors(swapped("https://api.openai.com/v1", url))
    assert "detent.toml:3: providers.openai.base_url" in told
    assert "hunter2" not in told


def test_control_characters_are_shown_escaped_and_on_one_line() -> None:
    told = errors(swapped('"mine"', '"\\u001b[31mred\\r\\nroot: all is well\\u202e"'))
    assert r"unknown plan: `\x1b[31mred\r\nroot: all is well\u202e`" in told
    assert told.count("\n") == 1


def test_long_values_are_cut() -> None:
    assert max(len(line) for line in errors(swapped('"mine"', '"' + "x" * 10_000 + '"')).split("\n")) < 300


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.sampled_from(["48h", "-1s", "observe", "judge"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["metric", "share", "steps", "data", "a b"]), inner, max_size=3)
    ),
    max_leaves=4,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for key, part in inside for p in _paths(part, (*path, key)))]


def _without_none(value: Any) -> Any:
    """TOML has no null."""
    if isinstance(value, dict):
        return {key: _without_none(part) for key, part in value.items() if part is not None}
    return [_without_none(part) for part in value if part is not None] if isinstance(value, list) else value


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_whatever_the_values_are_the_file_is_read_or_refused(data: st.DataObject) -> None:
    spoilt: Any = tomllib.loads(DESIGN)
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(_paths(spoilt)[1:]))
        home = spoilt
        for key in way:
            home = home[key]
        home[last] = data.draw(JUNK)
    text = tomlkit.dumps(_without_none(spoilt))
    try:
        read = manifest.read(text)
    except InvalidInput as error:
        blocks = error.message.split("\n")
        assert all(b.startswith(("detent.toml:", "  hint: ")) for b in blocks), blocks
    else:
        assert msgspec.json.decode(msgspec.json.encode(read), type=Manifest) == read


@settings(deadline=None, derandomize=True)
@given(st.text(alphabet="a.=\"'[]{}#, \n\\1", max_size=40))
def test_whatever_the_text_is_the_file_is_read_or_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        manifest.read(text)


# ── lines ───────────────────────────────────────────────────────────────────────────────────────────────────────────

EXOTIC = '''\
# line 1
top.dotted.key = 1
[routes . "my.route"] # quoted
text = """
[not.a.table]
key = "no" """"
'a "b"' = 1979-05-27 07:32:00 # a date with a space
array = [ # of many
  1, # one

  { in = [
      "deep" ], line = 12 },
]
[[plans.p.guards]]
n = 0
[plans.p.guards.more]
x = [[1], [
 2]]
[[plans.p.guards]]
n = 1
[plans]
q.alpha = 0.1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("top", "dotted", "key"), 2),
        (("routes", "my.route"), 3),
        (("routes", "my.route", "text"), 4),
        (("routes", "my.route", 'a "b"'), 7),
        (("routes", "my.route", "array", 0), 9),
        (("routes", "my.route", "array", 1, "in", 0), 12),
        (("routes", "my.route", "array", 1, "line"), 12),
        (("plans", "p", "guards", 0, "n"), 15),
        (("plans", "p", "guards", 0, "more", "x", 1, 0), 18),
        (("plans", "p", "guards", 1), 19),
        (("plans", "p", "guards", 1, "n"), 20),
        (("plans", "q", "alpha"), 22),
        (("plans", "p", "guards", 1, "absent"), 19),
        (("absent",), 1),
    ],
)
def test_every_key_has_its_line(path: tuple[str | int, ...], line: int) -> None:
    assert scan(EXOTIC).of(path) == line


# ── the JSON schema ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_schema_describes_the_file_and_not_the_terms() -> None:
    schema = manifest.schema()
    json.dumps(schema)
    defs: dict[str, Any] = schema["$defs"]
    assert "name" not in defs["Route"]["properties"]
    assert defs["Route"]["required"] == ["provider", "version", "owner"]
    assert defs["Route"]["additionalProperties"] is False
    assert schema["required"] == ["providers", "routes"]
    assert defs["CanaryStep"]["properties"]["at_least"]["type"] == "string"
    assert defs["SoakStage"]["properties"]["at_least"]["default"] == "14d"


def test_every_key_of_the_file_is_explained_and_no_other() -> None:
    tables = {name: table for name, table in manifest.schema()["$defs"].items() if "properties" in table}
    assert {table.__name__ for table in KEYS} == tables.keys()
    for table, known in KEYS.items():
        assert known.keys.keys() == tables[table.__name__]["properties"].keys(), table.__name__


def test_the_demo_pin_file_is_a_valid_one() -> None:
    template = (Path(manifest.__file__).parents[1] / "sim" / "demo.toml").read_text()
    assert "demo" in manifest.read(template.replace("$provider", "http://127.0.0.1:1")).plans

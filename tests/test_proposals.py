"""What applying a pin file would do, told before anything is done."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from detent import manifest
from detent.errors import Exit, Refused
from detent.proposals import Proposal, as_markdown, as_text, proposals, refuse_if_any
from detent.terms import DeclaredMetric, Flag, Guard, Held, Manifest, Phase, Price, Rollout, Version

PIN, NEXT, OTHER = "atlas-2026-03-01", "atlas-2026-06-01", "atlas-2026-09-01"
EARLY = datetime(2026, 11, 1, tzinfo=UTC)
LATE = datetime(2026, 11, 20, tzinfo=UTC)

PRICES = {f"atlas/{model}": Price(name=f"atlas/{model}", input=1.0, output=4.0) for model in (PIN, NEXT, OTHER, "atlas-2025-12-01")}
"""Of all versions that are proposed here, so that the shadow's budget can be kept."""


def pinned(**keys: str) -> Manifest:
    """A file with one route, `support`, on PIN; keys are put into its table or replace what is there."""
    route = {"provider": "atlas", "version": PIN, "owner": "support@example.com", **keys}
    provider = 'dialect = "openai"\nbase_url = "http://127.0.0.1:9/v1"\nwatcher = "w"\n'
    lines = "\n".join(f'{key} = "{value}"' for key, value in route.items())
    file = manifest.read(f"[providers.atlas]\n{provider}[providers.zephyr]\n{provider}[routes.support]\n{lines}\n")
    return replace(file, prices=PRICES)


def flag(version: str = PIN) -> dict[str, Flag]:
    return {"support": Flag(route="support", revision=7, stable=Version("atlas", version))}


def rollout(phase: Phase, candidate: str = NEXT, **changes: Any) -> Rollout:
    whole = Rollout(
        id="ro_1",
        route="support",
        owner="support@example.com",
        stable=Version("atlas", PIN),
        candidate=Version("atlas", candidate),
        plan=manifest.BUILTIN_PLANS["standard"],
        salt="s",
        opened_at=EARLY,
        entered_at=EARLY,
        ended_at=LATE if phase.terminal else None,
        phase=phase,
    )
    return replace(whole, **changes)


def one(file: Manifest, flags: dict[str, Flag], current: Rollout | None = None, *past: Rollout, **how: Any) -> Proposal:
    found = proposals(file, flags, {} if current is None else {"support": current}, past, **how)
    assert len(found) == 1
    return found[0]


def test_a_new_route_takes_its_pin_as_approved() -> None:
    said = one(pinned(rollback="atlas-2025-12-01"), {})
    assert (said.kind, said.hint) == ("add", None)
    assert said.sentence == "new route on atlas/atlas-2026-03-01, taken as approved; owner support@example.com"


def test_a_new_route_may_propose_a_version_at_once() -> None:
    found = proposals(pinned(next=NEXT), {}, {}, ())
    assert [(p.kind, p.candidate) for p in found] == [("add", None), ("open", Version("atlas", NEXT))]


def test_a_next_opens_a_rollout_and_its_stages_are_told() -> None:
    said = one(pinned(next=NEXT), flag())
    assert said.kind == "open"
    assert said.sentence == "opens a rollout from atlas/atlas-2026-03-01 to atlas/atlas-2026-06-01 under plan standard"
    # design.md section 4 has these numbers: 7 d shadow, 48 h + 24 h + 24 h canary, 14 d soak.
    assert said.details == (
        "baseline: 200 prompts, 3 runs each, 20 fresh runs of both versions on suspects",
        "shadow: 10 % of requests for 7d to 14d, at least 1000 pairs and 95 % of the traffic covered; stable asked twice in 50 %; "
        "25 USD a day at most",
        "canary: 5 % for 48h, 25 % for 24h, 50 % for 24h; 14d at most",
        "soak: 95 % on the candidate for 14d",
        "must be shown no worse: error x 1.5, parse_error x 1.5",
        "rolls back on harm: hard_failure, truncated, keys_missing, tool_retry, refusal, hit_limit, output_tokens beyond x 1.05, "
        "latency beyond x 1.05, first_byte beyond x 1.05, long_session",
        "only observed: session_steps, session_cost, unknown_tool, fallback, cached_share",
        "a human approves the entry of: canary",
        "shortest time: 11d to promotion, 25d to the end",
    )


def test_a_budget_of_the_shadow_needs_the_prices_of_both_versions() -> None:
    """What a call costs at worst is checked before it is sent; without a price nobody could."""
    file = replace(pinned(next=NEXT), prices={f"atlas/{PIN}": PRICES[f"atlas/{PIN}"]})
    said = one(file, flag())
    assert (said.kind, said.candidate) == ("refuse", Version("atlas", NEXT))
    assert said.sentence == f"the shadow may cost 25 USD a day, and what a version costs is not known: `atlas/{NEXT}`"
    assert said.hint == (f'write [prices."atlas/{NEXT}"] with input and output, or budget_usd_per_day = inf in the shadow of plan standard')
    neither = one(replace(file, prices={}), flag())
    assert neither.sentence.endswith(f"`atlas/{PIN}` and `atlas/{NEXT}`")
    standard = file.plans["standard"]
    free = replace(file, plans={"standard": replace(standard, shadow=replace(standard.shadow, budget_usd_per_day=None))}, prices={})
    assert one(free, flag()).kind == "open"
    assert "stable asked twice in 50 %; no budget" in one(free, flag()).details[1]
    bounded = replace(standard.shadow, budget_usd_per_day=None, tokens_per_day=2_000_000, per_second=5.0)
    limited = replace(file, plans={"standard": replace(standard, shadow=bounded)}, prices={})
    assert one(limited, flag()).details[1].endswith("2000000 tokens a day at most, 5 requests a second at most")


def test_a_metric_that_an_open_rollout_guards_stays_in_the_file_as_it_is() -> None:
    """Without it the endpoint refuses the app's word, its silence counts as good, and harm would pass for proved."""
    escalated = DeclaredMetric(name="escalated", says="a person had to take over", silence="good")
    guards = (Guard(metric="error", margin_ratio=1.5, role="prove"), Guard(metric="escalated", margin_ratio=1.5))
    plan = replace(manifest.BUILTIN_PLANS["standard"], guards=guards)
    current = rollout(Phase.CANARY, plan=plan, declared={"escalated": escalated, "csat": replace(escalated, name="csat")})

    def refused(file: Manifest, **how: Any) -> list[Proposal]:
        return [p for p in proposals(file, flag(), {"support": current}, (), **how) if p.kind == "refuse"]

    file = pinned(next=NEXT)
    (said,) = refused(file)
    assert said.sentence == (
        "metric `escalated` is taken out of the file, and guarded by open rollout ro_1 in canary step 1 of 3: it would be blind"
    )
    assert said.hint == "leave [metrics.escalated] as it was until the rollout ends, or end it with `detent abort ro_1`"
    changed = replace(escalated, kind="value"), replace(escalated, worse="lower"), replace(escalated, silence="bad")
    for otherwise in (*changed, replace(escalated, level="request")):
        (said,) = refused(replace(file, metrics={"escalated": otherwise}))
        assert "`escalated` is declared otherwise" in said.sentence, otherwise
    assert refused(replace(file, metrics={"escalated": replace(escalated, says="in other words")})) == []
    assert refused(pinned(next=OTHER), supersede=True) == [], "it ends with this very file"
    assert refused(pinned()), "and taking `next` out ends nothing"


def test_going_back_is_a_rollout_to_the_version_before() -> None:
    said = one(pinned(version=NEXT, next=PIN, rollback=PIN), flag(NEXT))
    assert (said.kind, said.candidate) == ("open", Version("atlas", PIN))
    assert said.sentence.endswith("under plan standard, going back to the version before")


def test_nothing_new_is_unchanged() -> None:
    assert one(pinned(), flag()).kind == "unchanged"


def test_changed_settings_are_told_against_the_file_in_force() -> None:
    said = one(pinned(owner="new@example.com"), flag(), applied=pinned())
    assert (said.kind, said.details) == ("change", ("owner: support@example.com -> new@example.com",))


def test_a_version_edited_by_hand_is_refused() -> None:
    said = one(pinned(version=NEXT), flag())
    assert (said.kind, said.sentence) == ("refuse", f"version edited by hand, while atlas/{PIN} is approved: `{NEXT}`")
    assert said.hint == f'propose it as `next`: version = "{PIN}", next = "{NEXT}"'


def test_another_provider_is_refused_as_an_edited_version_is() -> None:
    said = one(pinned(provider="zephyr"), flag())
    assert said.kind == "refuse"
    assert "another provider" in said.sentence


def test_a_provider_served_from_elsewhere_is_told_and_refused_in_mid_rollout() -> None:
    """A serving change under the same name: the version string stays, and the answers may not."""
    before = pinned(next=NEXT)
    elsewhere = replace(before.providers["atlas"], base_url="http://127.0.0.1:10/v1")
    after = replace(before, providers=before.providers | {"atlas": elsewhere})
    (_, told) = proposals(after, flag(), {}, (), applied=before)
    assert (told.kind, told.route) == ("change", "support")
    assert "moves from http://127.0.0.1:9/v1 (openai) to http://127.0.0.1:10/v1 (openai)" in told.sentence
    (_, refused) = proposals(after, flag(), {"support": rollout(Phase.CANARY)}, (), applied=before)
    assert refused.kind == "refuse"
    assert "while its rollout is open" in refused.sentence


def test_the_next_that_is_on_its_way_is_only_told() -> None:
    held = Held(reason="AwaitingApproval", by="detent", since_at=EARLY)
    said = one(pinned(next=NEXT), flag(), rollout(Phase.CANARY, step=1, held=held))
    assert (said.kind, said.sentence) == (
        "running",
        f"rollout ro_1 to atlas/{NEXT} is in canary step 2 of 3, held (AwaitingApproval)",
    )


def test_a_plan_edited_under_way_is_for_the_next_rollout() -> None:
    frozen = replace(manifest.BUILTIN_PLANS["standard"], alpha=0.01)
    assert "fixed when it opened" in one(pinned(next=NEXT), flag(), rollout(Phase.SHADOW, plan=frozen)).sentence


def test_a_next_taken_out_moves_nothing() -> None:
    said = one(pinned(), flag(), rollout(Phase.SHADOW))
    assert said.kind == "withdrawn"
    assert said.hint == "end it with `detent abort ro_1`, or put `next` back"


def test_another_next_is_refused_unless_it_supersedes() -> None:
    said = one(pinned(next=OTHER), flag(), rollout(Phase.CANARY))
    assert said.kind == "refuse"
    assert "--supersede" in str(said.hint)
    said = one(pinned(next=OTHER), flag(), rollout(Phase.CANARY), supersede=True)
    assert (said.kind, said.ends, said.candidate) == ("supersede", "ro_1", Version("atlas", OTHER))


@pytest.mark.parametrize("end", [Phase.REJECTED, Phase.ROLLED_BACK, Phase.ABORTED])
def test_what_ended_badly_needs_a_retry(end: Phase) -> None:
    ended = rollout(end, reason="ConfirmedNegativeFlips")
    said = one(pinned(next=NEXT), flag(), None, ended)
    assert said.kind == "refuse"
    word = end.value.replace("_", " ")
    assert (
        said.sentence == f"atlas/{NEXT} under plan standard ended {word} on 2026-11-20 (ConfirmedNegativeFlips) in rollout ro_1: `{NEXT}`"
    )
    assert "--retry --why" in str(said.hint)
    assert one(pinned(next=NEXT), flag(), None, ended, retry=True).kind == "open"


def test_an_ended_rollout_does_not_bind_other_plans_versions_or_routes() -> None:
    ended = rollout(Phase.REJECTED)
    assert one(pinned(next=NEXT, plan="quiet"), flag(), None, ended).kind == "open"
    assert one(pinned(next=OTHER), flag(), None, ended).kind == "open"
    assert one(pinned(next=NEXT), flag(), None, replace(ended, route="else")).kind == "open"


@pytest.mark.parametrize("end", [Phase.NOT_PROVED, Phase.VOID])
def test_what_ended_undecided_may_be_tried_again(end: Phase) -> None:
    assert one(pinned(next=NEXT), flag(), None, rollout(end)).kind == "open"


def test_a_file_that_lags_behind_a_finished_rollout_is_settled_and_not_refused() -> None:
    said = one(pinned(next=NEXT), flag(NEXT), None, rollout(Phase.DONE))
    assert said.kind == "settle"
    assert "merge the patch" in str(said.hint)
    assert one(pinned(version=NEXT, rollback=PIN), flag(NEXT), None, rollout(Phase.DONE)).kind == "unchanged"


def test_a_finished_rollout_does_not_excuse_an_edit_by_hand() -> None:
    assert one(pinned(version=OTHER), flag(NEXT), None, rollout(Phase.DONE)).kind == "refuse"


def test_a_file_patched_at_promotion_is_settled_while_the_soak_lasts() -> None:
    assert one(pinned(version=NEXT, rollback=PIN), flag(), rollout(Phase.SOAK)).kind == "settle"
    assert one(pinned(version=NEXT, rollback=PIN), flag(), rollout(Phase.CANARY)).kind == "refuse"


def test_a_file_that_pins_what_was_rolled_back_is_refused_with_the_rollout() -> None:
    said = one(pinned(version=NEXT), flag(), None, rollout(Phase.ROLLED_BACK))
    assert (said.kind, "ro_1" in said.sentence) == ("refuse", True)


def test_a_route_taken_out_goes_unless_a_rollout_is_open() -> None:
    gone = {**flag(), "old": Flag(route="old", revision=1, stable=Version("atlas", PIN))}
    assert [(p.route, p.kind) for p in proposals(pinned(), gone, {}, ())] == [("support", "unchanged"), ("old", "remove")]
    still = {"old": rollout(Phase.SOAK, route="old")}
    assert [p.kind for p in proposals(pinned(), gone, still, ())] == ["unchanged", "refuse"]


def test_a_refusal_refuses_the_whole_file() -> None:
    refuse_if_any(proposals(pinned(next=NEXT), flag(), {}, ()))
    with pytest.raises(Refused, match="support: version edited by hand") as caught:
        refuse_if_any(proposals(pinned(version=NEXT), flag(), {}, ()))
    assert caught.value.exit is Exit.REFUSED
    assert "propose it as `next`" in str(caught.value)


def test_the_plan_reads_in_a_terminal_and_in_a_pull_request() -> None:
    found = proposals(pinned(next=NEXT), flag(), {}, ())
    assert as_text(found).startswith(f"> support: opens a rollout from atlas/{PIN} to atlas/{NEXT} under plan standard\n    baseline: ")
    markdown = as_markdown(found)
    assert markdown.startswith("### detent plan\n\n- **support** (open): opens a rollout")
    assert "\n  - only observed: session\\_steps" in markdown
    assert as_markdown(()) == "### detent plan\n\nnothing to do"


def test_markdown_of_a_file_holds_no_markup_of_its_own() -> None:
    markdown = as_markdown(proposals(pinned(owner="<img src=x> [a](http://evil) `"), {}, {}, ()))
    assert "<img" not in markdown.replace("\\<", "")
    assert "[a]" not in markdown.replace("\\[", "").replace("\\]", "")

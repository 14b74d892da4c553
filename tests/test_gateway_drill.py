"""A drill moves units to the way back and returns them: no answer is lost by it, and no run is torn in two."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from detent.assign import draw
from detent.circuit import IN_A_ROW
from detent.evidence.units import unit_of
from detent.terms import CIRCUIT_OPEN, Arm, DrillShare, Flag, FlagSet, Role, Version
from mock_upstream import OK, Mock, answer
from serving import STABLE, Served, flagset, post

BACK = "atlas-2025-11-01"
DOWN = answer(b"{}", 503)
BEGINS = [{"role": "user", "content": "hi"}]
GOES_ON = [*BEGINS, {"role": "assistant", "content": "yes?"}, {"role": "user", "content": "go on"}]


def drilling(flags: FlagSet, share: float, *, route: str = "chat", provider: str = "openai", **more: Any) -> FlagSet:
    drill = DrillShare(drill="dr_1", version=Version(provider, BACK), share=share, salt="the drill's salt", lasts_s=600.0)
    flag = Flag(route=route, revision=8, stable=Version(provider, STABLE), drill=drill)
    return replace(flags, flags={route: replace(flag, **more)})


def ask(gateway: Served, session: str, messages: Any = BEGINS) -> tuple[int, str]:
    """Status, and the model that was asked last."""
    status, _, _ = post(gateway, body={"model": "chat", "messages": messages}, x_detent_session_id=session)
    gateway.spool.settle()
    return status, gateway.spool.intents[-1].model


def test_a_share_of_the_units_is_served_by_the_way_back_and_written_down_as_such(gateway: Served, mock: Mock) -> None:
    gateway.flags = drilling(flagset(mock.url), 0.3)
    served = Counter(ask(gateway, f"s-{n}") for n in range(100))
    # Binomial(100, 0.3): outside 10..50 once in 1e5.
    assert 10 < served[200, BACK] < 50
    assert served[200, BACK] + served[200, STABLE] == 100
    for intent in gateway.spool.intents:
        drilled = draw("the drill's salt", "drill", intent.unit) < 0.3
        assert (intent.model, intent.why) == ((BACK, "drill") if drilled else (STABLE, ""))
        assert (intent.role, intent.arm, intent.arm_served, intent.randomised, intent.rollout) == (
            Role.SERVED, Arm.STABLE, Arm.STABLE, False, None,
        )  # fmt: skip
        assert unit_of(intent) is None


def test_a_drill_never_costs_an_answer(gateway: Served, mock: Mock) -> None:
    """Whatever the route does where a candidate fails."""
    gateway.flags = drilling(flagset(mock.url, on_candidate_failure="fail"), 1.0)
    mock.answer = lambda seen: DOWN if seen.json["model"] == BACK else OK
    assert {ask(gateway, f"s-{n}") for n in range(IN_A_ROW + 3)} == {(200, STABLE)}
    assert len([seen for seen in mock.seen if seen.json["model"] == BACK]) == IN_A_ROW, "its breaker spares the others the wait"
    whys = Counter(intent.why for intent in gateway.spool.intents if intent.role is Role.FALLBACK)
    assert whys == {"drill_failed:http_503": IN_A_ROW}
    assert Counter((intent.role, intent.model) for intent in gateway.spool.intents if intent.why == CIRCUIT_OPEN) == {
        (Role.SERVED, STABLE): 3
    }


def test_a_quota_that_is_too_small_is_seen_and_stable_answers(gateway: Served, mock: Mock) -> None:
    gateway.flags = drilling(flagset(mock.url), 1.0)
    mock.answer = lambda seen: answer(b"{}", 429) if seen.json["model"] == BACK else OK
    assert {ask(gateway, f"s-{n}") for n in range(10)} == {(200, STABLE)}
    assert Counter(result.status for result in gateway.spool.results) == {429: 10, 200: 10}, "and opens no breaker"


def test_a_run_under_way_stays_on_stable_and_one_that_begins_in_the_drill_stays_on_the_way_back(gateway: Served, mock: Mock) -> None:
    drill = drilling(flagset(mock.url), 0.999)
    gateway.flags = flagset(mock.url)
    assert ask(gateway, "before")[1] == STABLE
    gateway.flags = drill
    assert [ask(gateway, "before", GOES_ON)[1] for _ in range(3)] == [STABLE] * 3
    assert ask(gateway, "new")[1] == BACK
    assert [ask(gateway, "new", GOES_ON)[1] for _ in range(3)] == [BACK] * 3
    gateway.flags = flagset(mock.url)
    assert ask(gateway, "new", GOES_ON)[1] == STABLE, "the end of the drill returns it"


def test_a_drill_of_everything_moves_runs_under_way_too(gateway: Served, mock: Mock) -> None:
    ask(gateway, "before")
    gateway.flags = drilling(flagset(mock.url), 1.0)
    assert ask(gateway, "before", GOES_ON)[1] == BACK


def test_but_not_one_whose_history_is_signed_by_stable(gateway: Served, mock: Mock) -> None:
    gateway.flags = drilling(flagset(mock.url), 1.0, route="messages", provider="anthropic")
    mock.answer = lambda seen: answer(b'{"type": "message", "role": "assistant", "content": [], "stop_reason": "end_turn"}')
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2lnbmVk"}
    signed = [*BEGINS, {"role": "assistant", "content": [thought, {"type": "text", "text": "yes?"}]}, {"role": "user", "content": "go on"}]
    for messages, model in ((GOES_ON, BACK), (signed, STABLE)):
        body = json.dumps({"model": "messages", "max_tokens": 9, "messages": messages}).encode()
        post(gateway, "/v1/messages", body, x_detent_session_id=f"s-{model}")
        gateway.spool.settle()
        assert gateway.spool.intents[-1].model == model
        assert mock.seen[-1].json["messages"] == messages, "and nothing is left out of it"


@pytest.mark.parametrize("over", ["ended", "its time is over", "lapsed"])
def test_when_it_is_over_everyone_is_back_at_once(gateway: Served, mock: Mock, over: str) -> None:
    """However it ended: `leasing` takes what has ended out of the flag, and the gateway obeys that."""
    gateway.flags = drilling(flagset(mock.url), 1.0)
    assert ask(gateway, "s")[1] == BACK
    gateway.flags = drilling(flagset(mock.url), 1.0, drill=None, lapsed=over == "lapsed")
    assert ask(gateway, "s")[1] == STABLE
    assert gateway.spool.intents[-1].why == ("lapsed" if over == "lapsed" else "")


def test_a_way_back_at_a_provider_that_is_gone_moves_nobody(gateway: Served, mock: Mock) -> None:
    flags = drilling(flagset(mock.url), 1.0)
    flag = flags.flags["chat"]
    assert flag.drill is not None
    gone = replace(flag, drill=replace(flag.drill, version=Version("gone", BACK)))
    gateway.flags = replace(flags, flags={"chat": gone})
    assert ask(gateway, "s") == (200, STABLE)


def test_a_lapsed_lease_puts_everyone_on_stable_with_the_rollout_still_on_record(gateway: Served, mock: Mock) -> None:
    flags = flagset(mock.url)
    lapsed = Flag(route="chat", revision=8, stable=Version("openai", STABLE), rollout="ro_1", period=3, salt="salt", lapsed=True)
    gateway.flags = replace(flags, flags={"chat": lapsed})
    assert {ask(gateway, f"s-{n}") for n in range(20)} == {(200, STABLE)}
    told = {(i.arm, i.why, i.randomised, i.rollout, i.period) for i in gateway.spool.intents}
    assert told == {(Arm.STABLE, "lapsed", False, "ro_1", 3)}

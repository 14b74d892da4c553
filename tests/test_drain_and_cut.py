"""A rollback meets runs of agents on the candidate: `drain` lets them finish there, `cut` moves them, without what only it can read."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic
import pytest

from detent import assign, legs, runs, wire
from detent.runs import IDLE_S
from detent.terms import LEG_REASONS, Answer, Arm, Draining, Endpoint, Flag, FlagSet, Outcome, Role, RolledBack, Version
from detent.wire.json_text import places
from mock_upstream import GO, MESSAGE, OK, Mock, answer, stream
from serving import CANDIDATE, STABLE, Served, flagset, post, serving
from serving import request as wire_request

MESSAGES = Endpoint.ANTHROPIC_MESSAGES
ANSWER = answer(MESSAGE)
THINKS = {"type": "enabled", "budget_tokens": 1024}


def thought(signature: str = "of-the-candidate") -> dict[str, Any]:
    return {"type": "thinking", "thinking": "hm", "signature": signature}


def text(words: str = "yes?") -> dict[str, Any]:
    return {"type": "text", "text": words}


CALLS = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1.50}}
FOUND = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "a door"}]}
BEGINS = [{"role": "user", "content": "hi"}]


def said(*content: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


def user(words: str = "go on") -> dict[str, Any]:
    return {"role": "user", "content": words}


# ── what is left out, byte by byte ──────────────────────────────────────────────────────────────────────────────────


def unbound(body: bytes, former: wire.Marks | None = None) -> wire.Unbound:
    return wire.unbound(MESSAGES, body, former)


def test_signed_thinking_is_left_out_and_every_other_byte_stays() -> None:
    body = (
        b'{ "model":"m", "messages" : [ {"role":"user","content":"h\\u00e4"},\n'
        b'  {"content":[ {"type":"thinking","thinking":"[{\\"","signature":"c2ln"} , {"type":"text","text":"\\ud83d"},'
        b' {"type":"redacted_thinking","data":"eHg="} ],"role":"assistant"}, {"role":"user","content":[]} ], "max_tokens":1.0e3}'
    )
    expected = (
        b'{ "model":"m", "messages" : [ {"role":"user","content":"h\\u00e4"},\n'
        b'  {"content":[ {"type":"text","text":"\\ud83d"} ],"role":"assistant"}, {"role":"user","content":[]} ], "max_tokens":1.0e3}'
    )
    assert unbound(body).body == expected


def test_a_turn_of_nothing_but_thinking_goes_as_a_whole() -> None:
    """An empty turn is refused by the provider; two turns of the user in a row are not."""
    asked = {"messages": [*BEGINS, said(thought(), thought()), user()]}
    found = unbound(json.dumps(asked).encode())
    assert json.loads(found.body or b"") == {"messages": [*BEGINS, user()]}


@pytest.mark.parametrize("messages", [[*BEGINS, said(text()), user()], [*BEGINS, {"role": "assistant", "content": "yes"}, user()], BEGINS])
def test_a_history_in_which_nothing_is_bound_stays_as_it_is(messages: Any) -> None:
    body = json.dumps({"thinking": THINKS, "messages": messages}).encode()
    assert unbound(body) == (body, None)


@pytest.mark.parametrize(
    ("container", "left"),
    [("container_1", None), ({"id": "container_1", "skills": [{"skill_id": "pdf"}]}, {"id": None, "skills": [{"skill_id": "pdf"}]})],
)
def test_the_id_of_a_container_is_left_out_and_its_skills_stay(container: Any, left: Any) -> None:
    asked = {"container": container, "messages": [*BEGINS, said(text()), user()]}
    assert json.loads(unbound(json.dumps(asked).encode()).body or b"") == asked | {"container": left}


@pytest.mark.parametrize(
    ("thinking", "last", "fits"),
    [
        (THINKS, [thought(), text(), CALLS], False),
        (THINKS, [CALLS], True),  # the client had dropped it: what the provider says to that is for the provider to say
        ({"type": "adaptive"}, [thought(), CALLS], True),
        ({"type": "disabled"}, [thought(), CALLS], True),
        (None, [thought(), CALLS], True),
    ],
)
def test_a_tool_loop_under_way_cannot_lose_the_thinking_that_it_has_to_begin_with(thinking: Any, last: Any, fits: bool) -> None:
    asked = {"messages": [*BEGINS, said(thought(), text()), user(), said(*last), FOUND]} | ({"thinking": thinking} if thinking else {})
    found = unbound(json.dumps(asked).encode())
    assert (found.body is not None) is fits
    if found.body is not None:
        assert b"of-the-candidate" not in found.body


def test_an_answered_tool_loop_can() -> None:
    asked = {"thinking": THINKS, "messages": [*BEGINS, said(thought(), CALLS), FOUND, said(thought(), text()), user()]}
    left = json.loads(unbound(json.dumps(asked).encode()).body or b"")["messages"]
    assert left == [*BEGINS, said(CALLS), FOUND, said(text()), user()]


def test_a_program_that_waits_in_a_container_cannot_be_moved() -> None:
    called = CALLS | {"caller": {"type": "code_execution_20250825", "tool_id": "srvtoolu_1"}}
    asked = {"container": "container_1", "messages": [*BEGINS, said(called), FOUND]}
    assert unbound(json.dumps(asked).encode()).body is None


def test_what_came_after_the_last_cut_is_the_other_versions_own() -> None:
    before = [*BEGINS, said(thought("a"), text()), user(), said(thought("b"), text()), user()]
    first = unbound(json.dumps({"messages": before}).encode())
    assert first.marks is not None
    after = [*before, said(thought("of stable"), CALLS), FOUND]
    again = unbound(json.dumps({"thinking": THINKS, "messages": after}).encode(), first.marks)
    left = json.loads(again.body or b"")["messages"]
    assert left == [*BEGINS, said(text()), user(), said(text()), user(), said(thought("of stable"), CALLS), FOUND]
    cut_off = after[4:]  # a client that forgets the beginning
    body = json.dumps({"thinking": THINKS, "messages": cut_off}).encode()
    assert unbound(body, again.marks) == (body, None)


def test_a_long_history_is_made_fit_in_about_the_time_that_it_takes_to_read_it() -> None:
    """Ten times as long takes ten times as long: the event loop waits meanwhile."""

    def takes_s(turns: int) -> float:
        turns_of = [message for _ in range(turns) for message in (user("x" * 500), said(thought(), text()))]
        body = json.dumps({"messages": [*turns_of, user()]}).encode()
        began = time.perf_counter()
        assert b"thinking" not in (unbound(body).body or b"thinking")
        return time.perf_counter() - began

    assert min(takes_s(5000) for _ in range(3)) < 25 * min(takes_s(500) for _ in range(3))


def test_a_history_of_more_turns_than_any_provider_takes_is_not_looked_through() -> None:
    body = json.dumps({"messages": [user(), said(thought(), text())] * 10_001}).encode()
    assert unbound(body).body is None


@pytest.mark.parametrize("body", [b'{"messages": [signature', b'{"messages": {"signature": 1}}', b'{"messages": [{"content": "signature'])
def test_what_cannot_be_read_cannot_be_made_fit(body: bytes) -> None:
    assert unbound(body) == (None, None)


def test_places_are_where_the_elements_stand() -> None:
    text_ = b'[ 1 ,"1",{"a":[1]} ,\n1]'
    assert [text_[start:end] for start, end in places(text_)] == [b"1", b'"1"', b'{"a":[1]}', b"1"]


# ── runs at a real gateway ──────────────────────────────────────────────────────────────────────────────────────────


def canary(flags: FlagSet, route: str = "messages") -> FlagSet:
    """Everybody but one in a thousand on the candidate."""
    provider = "anthropic" if route == "messages" else "openai"
    flag = Flag(
        route=route,
        revision=7,
        stable=Version(provider, STABLE),
        candidate=Version(provider, CANDIDATE),
        rollout="ro_1",
        split=0.999,
        period=3,
        salt="the rollout's salt",
    )
    return replace(flags, flags={route: flag})


def rolled_back(flags: FlagSet, *, drain: bool) -> FlagSet:
    (flag,) = flags.flags.values()
    assert flag.candidate is not None
    draining = Draining(rollout="ro_1", candidate=flag.candidate, split=flag.split, salt=flag.salt, lasts_s=IDLE_S)
    was = RolledBack(rollout="ro_1", candidate=flag.candidate, split=flag.split, salt=flag.salt, lasts_s=IDLE_S)
    ended = Flag(route=flag.route, revision=8, stable=flag.stable, draining=draining if drain else None, rolled_back=was)
    return replace(flags, revision=8, flags={flag.route: ended})


def say(gateway: Served, messages: list[Any], session: str = "s", **more: Any) -> tuple[int, bytes]:
    body = json.dumps({"model": "messages", "max_tokens": 9, "messages": messages} | more).encode()
    status, _, answered = post(gateway, "/v1/messages", body, x_detent_session_id=session)
    gateway.spool.settle()
    return status, answered


def last(gateway: Served) -> tuple[str, str, bool]:
    """Model, why, randomised of the last leg."""
    intent = gateway.spool.intents[-1]
    return intent.model, intent.why, intent.randomised


@pytest.fixture
def agent(gateway: Served, mock: Mock) -> Served:
    """A gateway on which session `s` has begun a run on the candidate, and `quiet` has none."""
    mock.answer = lambda seen: ANSWER
    gateway.flags = canary(flagset(mock.url))
    assert say(gateway, BEGINS)[0] == 200
    assert last(gateway) == (CANDIDATE, "", True)
    return gateway


GOES_ON = [*BEGINS, said(thought(), text()), user()]


def test_a_run_that_is_cut_goes_on_with_stable_without_the_candidates_thinking(agent: Served, mock: Mock) -> None:
    agent.flags = rolled_back(agent.flags, drain=False)
    assert say(agent, GOES_ON, thinking=THINKS)[0] == 200
    assert last(agent) == (STABLE, "cut", False)
    assert mock.seen[-1].json["messages"] == [*BEGINS, said(text()), user()]
    own = [*GOES_ON, said(thought("of stable"), CALLS), FOUND]
    assert say(agent, own, thinking=THINKS)[0] == 200
    assert mock.seen[-1].json["messages"] == [*BEGINS, said(text()), user(), said(thought("of stable"), CALLS), FOUND]


def test_a_run_that_cannot_be_moved_is_refused_and_says_what_to_do(agent: Served, mock: Mock) -> None:
    agent.flags = rolled_back(agent.flags, drain=False)
    sent = len(mock.seen)
    status, body = say(agent, [*BEGINS, said(thought(), CALLS), FOUND], thinking=THINKS)
    error = json.loads(body)["error"]
    assert (status, error["type"], error["details"]["error_code"]) == (400, "invalid_request_error", "run_was_rolled_back")
    assert error["message"] == f"this run was begun on `{CANDIDATE}`, which serves it no longer: start it anew"
    assert len(mock.seen) == sent, "rather than sent broken"
    assert say(agent, BEGINS)[0] == 200


def test_the_official_sdk_raises_what_it_always_raises_and_an_agent_can_go_on(agent: Served, mock: Mock) -> None:
    agent.flags = rolled_back(agent.flags, drain=False)
    with anthropic.Anthropic(base_url=agent.url, api_key="k", max_retries=2) as client:

        def ask(messages: Any) -> Any:
            thinks: Any = THINKS
            named = {"x-detent-session-id": "s"}
            return client.messages.create(model="messages", max_tokens=2048, messages=messages, thinking=thinks, extra_headers=named)

        with pytest.raises(anthropic.BadRequestError) as refused:
            ask([*BEGINS, said(thought(), CALLS), FOUND])
        assert "start it anew" in str(refused.value)
        assert ask(GOES_ON).content[0].text == "Hi"
        assert ask(BEGINS).content[0].text == "Hi"
    assert b"of-the-candidate" not in mock.seen[-2].body


# ── a run that was served by another gateway ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def neighbour(agent: Served, mock: Mock) -> Iterator[Served]:
    """A second gateway on the same flags, which has answered nobody yet; both hear of the rollback."""
    with serving(agent.flags) as other:
        agent.flags = other.flags = rolled_back(agent.flags, drain=False)
        yield other


def test_a_run_of_the_candidates_goes_on_at_another_gateway_without_its_thinking(neighbour: Served, mock: Mock) -> None:
    assert say(neighbour, GOES_ON, thinking=THINKS)[0] == 200
    assert last(neighbour) == (STABLE, "cut", False)
    assert mock.seen[-1].json["messages"] == [*BEGINS, said(text()), user()]
    own = [*GOES_ON, said(thought("of stable"), CALLS), FOUND]
    assert say(neighbour, own, thinking=THINKS)[0] == 200
    assert mock.seen[-1].json["messages"] == [*BEGINS, said(text()), user(), said(thought("of stable"), CALLS), FOUND], "as it is stable's"


def test_what_is_only_guessed_is_refused_to_nobody(neighbour: Served, mock: Mock) -> None:
    """It may be a run that stable began elsewhere since: refused there, it would be refused at every other gateway, too."""
    loop = [*BEGINS, said(thought(), CALLS), FOUND]
    assert say(neighbour, loop, thinking=THINKS)[0] == 200
    assert (last(neighbour), mock.seen[-1].json["messages"]) == ((STABLE, "", False), loop)
    assert say(neighbour, [*loop, said(thought("more")), user()])[0] == 200
    assert b"of-the-candidate" in mock.seen[-1].body, "stable has answered with it: it is taken for stable's own from then on"


def test_a_run_that_stable_begins_after_the_rollback_keeps_its_thinking(agent: Served, neighbour: Served, mock: Mock) -> None:
    for gateway in (agent, neighbour):
        assert say(gateway, BEGINS, session="new")[0] == 200
        assert say(gateway, GOES_ON, session="new")[0] == 200
        assert (last(gateway), mock.seen[-1].json["messages"]) == ((STABLE, "", False), GOES_ON)


def test_where_the_draw_says_stable_nothing_is_touched(agent: Served, neighbour: Served, mock: Mock) -> None:
    (flag,) = neighbour.flags.flags.values()
    assert flag.rolled_back is not None
    nobody = replace(flag, rolled_back=replace(flag.rolled_back, split=1e-9))
    neighbour.flags = replace(neighbour.flags, flags={flag.route: nobody})
    assert say(neighbour, GOES_ON)[0] == 200
    assert (last(neighbour), mock.seen[-1].json["messages"]) == ((STABLE, "", False), GOES_ON)


def test_when_its_time_is_over_nothing_is_guessed_any_more(neighbour: Served, mock: Mock) -> None:
    (flag,) = neighbour.flags.flags.values()
    neighbour.flags = replace(neighbour.flags, flags={flag.route: replace(flag, rolled_back=None)})
    assert say(neighbour, GOES_ON)[0] == 200
    assert (last(neighbour), mock.seen[-1].json["messages"]) == ((STABLE, "", False), GOES_ON)


# ── at the gateway that saw it ──────────────────────────────────────────────────────────────────────────────────────


def test_a_caller_who_hangs_up_on_the_last_event_has_been_answered_all_the_same(gateway: Served, mock: Mock) -> None:
    """As many clients do. The run is the candidate's from then on."""
    events = wire.answer_stream(MESSAGES, Answer(text="Hi"), id="msg_1", created=0, include_usage=True, pieces=1)
    mock.answer = lambda seen: stream(*events, GO) if seen.json.get("stream") else ANSWER
    gateway.flags = canary(flagset(mock.url))
    asked = {"model": "messages", "max_tokens": 9, "stream": True, "messages": BEGINS}
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as hasty:
        hasty.sendall(wire_request(asked, "/v1/messages", "x-detent-session-id: s"))
        received = b""
        while b'"message_stop"' not in received:
            received += hasty.recv(65536)
    assert gateway.spool.last().outcome is Outcome.COMPLETE
    mock.go()
    gateway.flags = rolled_back(gateway.flags, drain=False)
    gateway.flags = replace(gateway.flags, flags={name: replace(flag, rolled_back=None) for name, flag in gateway.flags.flags.items()})
    assert say(gateway, GOES_ON)[0] == 200
    assert last(gateway) == (STABLE, "cut", False)
    assert b"of-the-candidate" not in mock.seen[-1].body


def test_a_run_that_cannot_be_moved_and_is_answered_with_nothing_hears_so(agent: Served, mock: Mock) -> None:
    mock.answer = lambda seen: answer(b"")
    status, body = say(agent, [*BEGINS, said(thought(), CALLS), FOUND], thinking=THINKS)
    assert (status, json.loads(body)["error"]["message"]) == (502, "the provider's answer is empty")


def test_a_run_on_the_candidate_keeps_its_thinking(agent: Served, mock: Mock) -> None:
    assert say(agent, GOES_ON, thinking=THINKS)[0] == 200
    assert (last(agent), mock.seen[-1].json["messages"]) == ((CANDIDATE, "", True), GOES_ON)


def test_a_fallback_in_mid_run_reads_what_it_can_and_is_not_asked_for_what_it_cannot(agent: Served, mock: Mock) -> None:
    mock.answer = lambda seen: answer(b'{"type":"error","error":{"message":"down"}}', 503) if seen.json["model"] == CANDIDATE else ANSWER
    assert say(agent, GOES_ON, thinking=THINKS)[0] == 200
    assert (last(agent)[0], mock.seen[-1].json["messages"]) == (STABLE, [*BEGINS, said(text()), user()])
    sent = len(mock.seen)
    status, body = say(agent, [*BEGINS, said(thought(), CALLS), FOUND], thinking=THINKS)
    assert (status, json.loads(body)["error"]["message"]) == (503, "down"), "the candidate's own error: an SDK tries again"
    assert len(mock.seen) == sent + 1


def test_a_run_that_drains_finishes_where_it_began(agent: Served, mock: Mock) -> None:
    agent.flags = rolled_back(agent.flags, drain=True)
    for _ in range(3):
        assert say(agent, GOES_ON, thinking=THINKS)[0] == 200
        assert last(agent) == (CANDIDATE, "draining", False)
        assert mock.seen[-1].json["messages"] == GOES_ON
    intent = agent.spool.intents[-1]
    assert (intent.rollout, intent.arm, intent.arm_served, intent.role) == ("ro_1", Arm.CANDIDATE, Arm.CANDIDATE, Role.SERVED)


def test_nothing_new_begins_on_it(agent: Served) -> None:
    agent.flags = rolled_back(agent.flags, drain=True)
    for session in ("s", "another"):
        assert say(agent, [user("something else")], session=session)[0] == 200
        assert last(agent) == (STABLE, "", False)
        say(agent, [user("something else"), said(text()), user()], session=session)
        assert last(agent) == (STABLE, "", False), "and what continues it is on stable too"


def test_a_draining_leg_that_fails_is_answered_by_stable(agent: Served, mock: Mock) -> None:
    agent.flags = rolled_back(agent.flags, drain=True)
    mock.answer = lambda seen: answer(b"{}", 500) if seen.json["model"] == CANDIDATE else ANSWER
    assert say(agent, GOES_ON)[0] == 200
    assert last(agent) == (STABLE, "candidate_failed:http_500", False)
    assert mock.seen[-1].json["messages"] == [*BEGINS, said(text()), user()]


def test_when_the_time_is_over_what_has_not_finished_is_cut(agent: Served) -> None:
    agent.flags = rolled_back(agent.flags, drain=True)
    assert say(agent, GOES_ON)[0] == 200
    agent.flags = rolled_back(canary(agent.flags), drain=False)
    assert say(agent, GOES_ON)[0] == 200
    assert last(agent) == (STABLE, "cut", False)


@pytest.fixture
def restarted(mock: Mock) -> Iterator[Served]:
    """A gateway that began after the rollback, and knows no run."""
    mock.answer = lambda seen: ANSWER
    with serving(rolled_back(canary(flagset(mock.url)), drain=True)) as served:
        yield served


def test_a_gateway_that_has_just_started_drains_nothing(restarted: Served, mock: Mock) -> None:
    """It cannot tell runs that were on the candidate from those that stable has begun since."""
    assert say(restarted, GOES_ON)[0] == 200
    assert last(restarted) == (STABLE, "cut", False)
    assert mock.seen[-1].json["messages"] == [*BEGINS, said(text()), user()]
    assert say(restarted, [user("new")], session="new")[0] == 200
    say(restarted, [user("new"), said(text()), user()], session="new")
    assert last(restarted) == (STABLE, "", False)


def test_a_gateway_that_served_the_rollout_drains_no_run_that_it_did_not_see(agent: Served) -> None:
    agent.flags = rolled_back(agent.flags, drain=True)
    assert say(agent, GOES_ON, session="unseen")[0] == 200
    assert last(agent)[0] == STABLE


def test_an_openai_run_is_cut_without_a_change(gateway: Served, mock: Mock) -> None:
    """Nothing in that dialect's history is bound to a version."""
    mock.answer = lambda seen: OK
    gateway.flags = canary(flagset(mock.url), "chat")
    history = [*BEGINS, {"role": "assistant", "content": "the signature of a container"}, user()]
    post(gateway, body={"model": "chat", "messages": BEGINS}, x_detent_session_id="s")
    gateway.flags = rolled_back(gateway.flags, drain=False)
    post(gateway, body={"model": "chat", "messages": history}, x_detent_session_id="s")
    gateway.spool.settle()
    assert (last(gateway), mock.seen[-1].json["messages"]) == ((STABLE, "", False), history)


def test_every_reason_that_a_leg_is_given_is_in_the_table_of_them() -> None:
    given = set[str]()
    for module in (assign, legs, runs):
        source = Path(str(module.__file__)).read_text()
        given |= set(re.findall(r'why = "(\w+)|why=f?"(\w+)|"(cut|drill_failed|candidate_failed)"', source))
    words = {word for found in given for word in found if word}
    assert words <= LEG_REASONS.keys()
    assert {"lapsed", "drill", "draining", "fallback_failed"} <= words

"""A candidate that fails hard: its users are answered by stable at once, nobody of either arm counts meanwhile, and probes let it back.

The real gateway on real sockets; only its monotonic clock and its dice are the test's.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from detent import legs, wire
from detent.circuit import IN_A_ROW, OPEN_S
from detent.errors import InvalidInput
from detent.evidence import METRICS
from detent.evidence.units import UnitFold, Units, unit_of
from detent.terms import CIRCUIT_OPEN, Arm, Guard, Intent, Outcome, Result, Role, Version
from mock_upstream import LISTEN, OK, Mock, Script, Seen, answer
from serving import ASKED, CANDIDATE, STABLE, Served, flagset, post, serving, with_rollout

DOWN = answer(b'{"error": {"message": "down"}}', 503)


class Clock:
    """Shows what the test says."""

    def __init__(self) -> None:
        self.at_s = 1000.0

    def __call__(self) -> float:
        return self.at_s


class Place:
    """A gateway with a rollout, its provider, and the gateway's clock."""

    def __init__(self, served: Served, mock: Mock, clock: Clock, said: list[str]) -> None:
        self.served = served
        self.mock = mock
        self.clock = clock
        self.said = said

    def ask(self, split: float, *, session: str) -> int:
        """The status of one request, in a canary of this share."""
        flag = self.served.flags.flags["chat"]
        if flag.split != split:
            self.served.flags = replace(self.served.flags, flags={"chat": replace(flag, split=split)})
        return post(self.served, x_detent_session_id=session)[0]

    def legs(self) -> list[tuple[Intent, Result]]:
        self.served.spool.settle()
        results = {result.leg: result for result in self.served.spool.results}
        return [(intent, results[intent.leg]) for intent in self.served.spool.intents]

    def circuits(self) -> list[dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.served.port)
        connection.request("GET", "/detent/v1/health")
        found: list[dict[str, Any]] = json.loads(connection.getresponse().read())["circuits"]
        connection.close()
        return found


def candidate_is(script: Script) -> Any:
    return lambda seen: script if seen.json["model"] == CANDIDATE else OK


def sent_to(mock: Mock, model: str) -> list[Seen]:
    return [seen for seen in mock.seen if seen.json["model"] == model]


@pytest.fixture
def place(mock: Mock) -> Iterator[Place]:
    mock.seen.clear()
    clock, said = Clock(), list[str]()
    flags = with_rollout(flagset(mock.url), split=0.999)
    with serving(flags, monotonic=clock, chance=lambda: 0.0, say=said.append) as served:
        yield Place(served, mock, clock, said)


@pytest.mark.fault("the candidate's provider is out", "stable answers in its place, after five failures without asking it first")
def test_after_five_hard_failures_stable_answers_without_the_candidate_being_asked(place: Place) -> None:
    place.mock.answer = candidate_is(DOWN)
    assert {place.ask(0.999, session=f"s-{n}") for n in range(IN_A_ROW + 7)} == {200}, "nobody hears of it"
    assert len(sent_to(place.mock, CANDIDATE)) == IN_A_ROW
    legs = place.legs()
    assert len(legs) == 2 * IN_A_ROW + 7
    assert [intent.why for intent, _ in legs if intent.role is Role.FALLBACK] == ["candidate_failed:http_503"] * IN_A_ROW
    for intent, result in legs[2 * IN_A_ROW :]:
        assert (intent.role, intent.arm, intent.arm_served, intent.model, intent.why) == (
            Role.SERVED, Arm.STABLE, Arm.STABLE, STABLE, CIRCUIT_OPEN,
        )  # fmt: skip
        assert result.outcome is Outcome.COMPLETE


def test_whether_a_unit_counts_is_decided_before_its_arm_is_looked_at(place: Place) -> None:
    """While the breaker is open those that would be on stable count as little as those that would be on the candidate."""
    place.mock.answer = candidate_is(DOWN)
    for number in range(IN_A_ROW):
        place.ask(0.999, session=f"s-{number}")
    opened = len(place.legs())
    for number in range(20):
        place.ask(0.5, session=f"open-{number}")
    meanwhile = [intent for intent, _ in place.legs()[opened:]]
    assert {(intent.randomised, intent.control, intent.why) for intent in meanwhile} == {(False, False, CIRCUIT_OPEN)}
    assert {unit_of(intent) for intent in meanwhile} == {None}
    place.clock.at_s += OPEN_S
    place.ask(0.001, session="half-open, and on stable")
    place.ask(0.999, session="the probe")
    assert [(intent.arm, intent.randomised) for intent, _ in place.legs()[-3:]] == [
        (Arm.STABLE, True),
        (Arm.CANDIDATE, True),  # it fails, and counts
        (Arm.CANDIDATE, True),
    ]


def test_the_guards_see_every_unit_that_the_candidate_failed(place: Place) -> None:
    place.mock.answer = candidate_is(DOWN)
    for number in range(IN_A_ROW + 5):
        place.ask(0.999, session=f"s-{number}")
    guards = (Guard(metric="error", matures=60.0), Guard(metric="hard_failure", matures=10.0), Guard(metric="fallback", matures=60.0))
    fold = UnitFold(Units(), {"ro_1": guards}, {"ro_1": METRICS})
    legs = place.legs()
    for intent, _ in legs:
        fold.intent(intent)
    for intent, result in legs:
        fold.result(intent, result)
    running = fold.changes().running
    assert len(running) == 3 * IN_A_ROW
    assert all(row.events > 0 for row in running), "each is a failure of the candidate, on each of the three"


def test_a_unit_that_counts_already_is_not_listened_to_while_the_breaker_is_open(place: Place) -> None:
    """On either arm: what it is told then is no outcome of the version that its arm names."""
    place.mock.answer = candidate_is(OK)
    for split in (0.999, 0.001):
        place.ask(split, session=f"at {split}")
    place.mock.answer = candidate_is(DOWN)
    for number in range(IN_A_ROW):
        place.ask(0.999, session=f"s-{number}")
    before = len(place.legs())
    for split in (0.999, 0.001):
        place.ask(split, session=f"at {split}")
    assert [unit_of(intent) for intent, _ in place.legs()[before:]] == [None, None]


GOES_ON = {**ASKED, "messages": [*ASKED["messages"], {"role": "assistant", "content": "yes?"}, {"role": "user", "content": "go on"}]}


def test_a_run_that_begins_meanwhile_stays_on_stable_and_never_counts(place: Place) -> None:
    place.mock.answer = candidate_is(DOWN)
    for number in range(IN_A_ROW):
        place.ask(0.999, session=f"s-{number}")
    place.ask(0.5, session="begins")
    place.mock.answer = candidate_is(OK)
    place.clock.at_s += OPEN_S
    place.ask(0.999, session="the probe")
    assert place.circuits() == []
    post(place.served, body=GOES_ON, x_detent_session_id="begins")
    intent, _ = place.legs()[-1]
    assert (intent.model, intent.randomised) == (STABLE, False)


def test_a_run_on_stable_that_asks_meanwhile_counts_no_longer_as_one_on_the_candidate_does_not(place: Place) -> None:
    place.mock.answer = candidate_is(OK)
    for split in (0.001, 0.999):
        place.ask(split, session=f"run at {split}")
    assert {intent.randomised for intent, _ in place.legs()} == {True}
    place.mock.answer = candidate_is(DOWN)
    for number in range(IN_A_ROW):
        place.ask(0.999, session=f"s-{number}")
    for split in (0.001, 0.999):
        post(place.served, body=GOES_ON, x_detent_session_id=f"run at {split}")
    place.mock.answer = candidate_is(OK)
    place.clock.at_s += OPEN_S
    place.ask(0.999, session="the probe")
    for split in (0.001, 0.999):
        post(place.served, body=GOES_ON, x_detent_session_id=f"run at {split}")
    assert [(intent.model, intent.randomised) for intent, _ in place.legs()[-2:]] == [(STABLE, False)] * 2


def test_one_session_takes_the_candidate_from_nobody(place: Place) -> None:
    place.mock.answer = lambda seen: DOWN if b"poison" in seen.body and seen.json["model"] == CANDIDATE else OK
    poison = {"model": "chat", "messages": [{"role": "user", "content": "poison"}]}
    for _ in range(4 * IN_A_ROW):
        assert post(place.served, body=poison, x_detent_session_id="one")[0] == 200
    assert place.circuits() == []


def test_requests_of_nobody_count_each_for_itself(place: Place) -> None:
    """Without a session, a user or the words that a conversation began with: as batch jobs send them."""
    place.served.flags = replace(place.served.flags, identity_key="")
    place.mock.answer = candidate_is(DOWN)
    for _ in range(IN_A_ROW + 1):
        assert post(place.served)[0] == 200
    assert len(sent_to(place.mock, CANDIDATE)) == IN_A_ROW


def test_what_cannot_be_sent_at_all_is_the_callers_fault_and_trips_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = b'{"model":"chat","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"a":1,"a":2}}'
    for number in range(2 * IN_A_ROW):
        status, headers, body = post(place.served, body=twice, x_detent_session_id=f"s-{number}")
        assert (status, headers["x-detent-error"]) == (400, "invalid_request")
        assert json.loads(body)["error"]["message"] == "a member is given twice: `a`"

    def refuses(*args: object, **more: object) -> bytes:
        raise InvalidInput("no place for it")

    monkeypatch.setattr(wire, "rewrite", refuses)  # what the head was not refused for
    for number in range(2 * IN_A_ROW):
        assert place.ask(0.999, session=f"s-{number}") == 400
    monkeypatch.undo()
    assert (place.mock.seen, place.served.spool.entries, place.circuits()) == ([], [], [])


def test_a_defect_of_ours_takes_no_version_away(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*args: object) -> bool:
        raise RuntimeError("a defect")

    monkeypatch.setattr(legs, "takes_usage_out", defect)
    place.mock.answer = candidate_is(OK)
    for number in range(2 * IN_A_ROW):
        assert place.ask(0.999, session=f"s-{number}") == 502
    assert place.circuits() == []


def test_a_web_page_is_no_answer(place: Place) -> None:
    """A proxy, or the page of a login, in the provider's place."""
    page = answer(b"<html>log in</html>", kind="text/html; charset=utf-8")
    place.mock.answer = candidate_is(page)
    for number in range(IN_A_ROW + 2):
        assert place.ask(0.999, session=f"s-{number}") == 200
    assert len(sent_to(place.mock, CANDIDATE)) == IN_A_ROW
    assert [result.outcome for intent, result in place.legs() if intent.arm_served is Arm.CANDIDATE] == [Outcome.MALFORMED] * IN_A_ROW


def test_a_request_whose_body_came_after_the_rollback_is_stables(place: Place) -> None:
    place.mock.answer = lambda seen: OK
    data = json.dumps(ASKED).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(data)}\r\n\r\n".encode()

    def rolls_back() -> None:
        before = place.served.flags
        place.served.flags = replace(before, revision=before.revision + 1, flags={})

    with socket.create_connection(("127.0.0.1", place.served.port), timeout=20) as slow:
        slow.sendall(head + data[:10])
        assert place.ask(0.999, session="meanwhile") == 200
        assert place.mock.seen[-1].json["model"] == CANDIDATE
        rolls_back()
        assert post(place.served)[0] == 200  # the gateway has seen the slow request's head long before
        slow.sendall(data[10:])
        received = b""
        while part := slow.recv(65536):
            received += part
    assert place.mock.seen[-1].json["model"] == STABLE
    assert f"x-detent-revision: {place.served.flags.revision}".encode() in received


def test_no_leg_that_follows_another_reaches_the_candidate(mock: Mock) -> None:
    """Whatever flag the exchange began under: what stands in is stable, or what the pin file declares for an outage."""
    mock.seen.clear()
    mock.answer = lambda seen: DOWN
    with serving(with_rollout(flagset(mock.url, fallback="borealis-2026-02-02"), split=0.5)) as served:
        for number in range(40):
            post(served, x_detent_session_id=f"s-{number}")
        served.spool.settle()
    later = {intent.model for intent in served.spool.intents if intent.role is Role.FALLBACK}
    assert later == {STABLE, "borealis-2026-02-02"}


def test_a_probe_is_a_real_request_and_its_answer_closes_the_breaker(place: Place) -> None:
    place.mock.answer = candidate_is(DOWN)
    for number in range(IN_A_ROW + 1):
        place.ask(0.999, session=f"s-{number}")
    (open_one,) = place.circuits()
    assert open_one["state"] == "open"
    assert (open_one["route"], open_one["version"]) == ("chat", f"openai/{CANDIDATE}")
    place.clock.at_s += OPEN_S
    assert place.circuits()[0]["state"] == "half_open"
    assert place.ask(0.999, session="the probe") == 200
    assert len(sent_to(place.mock, CANDIDATE)) == IN_A_ROW + 1
    assert place.ask(0.999, session="after it") == 200
    assert len(sent_to(place.mock, CANDIDATE)) == IN_A_ROW + 1, "it failed, and doubled the wait"
    place.mock.answer = candidate_is(OK)
    place.clock.at_s += OPEN_S
    place.ask(0.999, session="too early")
    assert len(sent_to(place.mock, CANDIDATE)) == IN_A_ROW + 1
    place.clock.at_s += OPEN_S
    place.ask(0.999, session="the next probe")
    place.ask(0.999, session="and all others")
    assert len(sent_to(place.mock, CANDIDATE)) == IN_A_ROW + 3
    assert place.circuits() == []
    assert [intent.randomised for intent, _ in place.legs()][-2:] == [True, True]
    assert place.said == [
        f"route `chat`: the circuit breaker of `openai/{CANDIDATE}` is open: 5 hard failures in a row, the last http_503; "
        "stable answers in its place",
        f"route `chat`: `openai/{CANDIDATE}` answers again, its circuit breaker is closed",
    ]


@pytest.mark.parametrize(
    "script", [answer(b"{}", 429), answer(b"{}", 400), answer(b"{}", 422)], ids=["no quota", "a wrong request", "another"]
)
def test_what_says_something_of_the_request_or_the_quota_opens_nothing(place: Place, script: Script) -> None:
    place.mock.answer = candidate_is(script)
    for number in range(2 * IN_A_ROW):
        place.ask(0.999, session=f"s-{number}")
    assert len(sent_to(place.mock, CANDIDATE)) == 2 * IN_A_ROW
    assert place.circuits() == []


@pytest.mark.parametrize("script", [answer(b"{}", 404), answer(b"{}", 529), [b"no HTTP at all\r\n\r\n"], answer(b"")], ids=str)
def test_a_model_that_is_not_there_and_answers_that_are_none_open_it(place: Place, script: Script) -> None:
    place.mock.answer = candidate_is(script)
    for number in range(IN_A_ROW + 2):
        assert place.ask(0.999, session=f"s-{number}") == 200
    assert len(sent_to(place.mock, CANDIDATE)) == IN_A_ROW


def test_where_the_candidates_failures_are_for_the_caller_its_breaker_answers_in_nobodys_place(mock: Mock) -> None:
    mock.seen.clear()
    mock.answer = candidate_is(DOWN)
    flags = with_rollout(flagset(mock.url, on_candidate_failure="fail"), split=0.999)
    said: list[str] = []
    with serving(flags, say=said.append) as served:
        assert {post(served, x_detent_session_id=f"s-{n}")[0] for n in range(2 * IN_A_ROW)} == {503}
        served.spool.settle()
        assert {result.outcome for result in served.spool.results} == {Outcome.HTTP_ERROR}
    assert len(sent_to(mock, CANDIDATE)) == 2 * IN_A_ROW
    assert len(said) == 1
    assert said[0].endswith("it is asked all the same, as the route has it")


def test_callers_who_leave_at_once_open_nothing(place: Place) -> None:
    place.mock.answer = candidate_is([LISTEN])
    for number in range(IN_A_ROW):
        connection = http.client.HTTPConnection("127.0.0.1", place.served.port, timeout=0.1)
        headers = {"content-type": "application/json", "x-detent-session-id": f"s-{number}"}
        connection.request("POST", "/v1/chat/completions", json.dumps(ASKED | {"stream": True}).encode(), headers)
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.close()
    place.served.spool.settle()
    assert place.circuits() == []


@pytest.mark.fault("stable's provider is out: in a canary", "nobody is randomised until it answers")
def test_with_stable_out_nobody_is_randomised_until_it_answers(place: Place) -> None:
    place.mock.answer = lambda seen: DOWN if seen.json["model"] == STABLE else OK
    for number in range(IN_A_ROW):
        assert place.ask(0.001, session=f"s-{number}") == 503, "without a fallback the caller gets stable's own error"
    assert {intent.randomised for intent, _ in place.legs()} == {True}
    assert place.ask(0.001, session="next") == 503
    assert place.ask(0.999, session="on the candidate") == 200
    assert [intent.randomised for intent, _ in place.legs()][-2:] == [False, False], "there is nothing to compare the candidate with"
    place.mock.answer = lambda seen: OK
    assert place.ask(0.001, session="tried all the same") == 200
    assert place.ask(0.001, session="and after it") == 200
    assert [intent.randomised for intent, _ in place.legs()][-2:] == [False, True]
    assert place.said[0].endswith("it is asked all the same, as the route declares no fallback")


def test_the_sessions_of_a_trial_against_itself_are_no_exception(mock: Mock) -> None:
    """Both arms are one version, and share a breaker."""
    flags = with_rollout(flagset(mock.url), split=0.999)
    flag = replace(flags.flags["chat"], candidate=Version("openai", STABLE))
    with serving(replace(flags, flags={"chat": flag})) as served:
        mock.answer = lambda seen: DOWN
        assert {post(served, x_detent_session_id=f"s-{n}")[0] for n in range(2 * IN_A_ROW)} == {503}

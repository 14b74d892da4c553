"""Runs of an agent, and calls that an SDK makes again, through a rollout: one run is on one version, one call is one unit and one bet.

The official SDKs talk to the real gateway, and that to a scripted provider; nothing is slept for, since the provider says `retry-after-ms`.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest

from detent.evidence import METRICS
from detent.evidence.units import UnitFold, UnitKey, Units
from detent.runs import IDLE_S
from detent.terms import Arm, FlagSet, Guard, Intent, Outcome, Role, UnitKind
from mock_upstream import COMPLETION, MESSAGE, OK, Mock, Script, Seen, answer
from serving import CANDIDATE, STABLE, Served, flagset, post, serving, until, with_rollout

BUSY = answer(b'{"error": {"message": "busy", "type": "overloaded_error"}}', 503, retry_after_ms="1")


def fold(served: Served) -> UnitFold:
    """The records, as evidence reads them."""
    served.spool.settle()
    unit_fold = UnitFold(Units(), {"ro_1": (Guard(metric="error", matures=60.0),)}, {"ro_1": METRICS})
    for intent in served.spool.intents:
        unit_fold.intent(intent)
    by_leg = {intent.leg: intent for intent in served.spool.intents}
    for result in served.spool.results:
        unit_fold.result(by_leg[result.leg], result)
    return unit_fold


def calls_of(served: Served) -> dict[str, list[Intent]]:
    """Served legs by unit, in order."""
    found: defaultdict[str, list[Intent]] = defaultdict(list)
    for intent in served.spool.intents:
        if intent.role is Role.SERVED:
            found[intent.unit].append(intent)
    return dict(found)


# ── calls that are made again ───────────────────────────────────────────────────────────────────────────────────────


class Flaky:
    """Every call fails once or twice before it is answered, whichever version it is for."""

    def __init__(self, whole: Script) -> None:
        self.whole = whole
        self.tries: Counter[str] = Counter()

    def __call__(self, seen: Seen) -> Script:
        call = seen.json["messages"][0]["content"]
        self.tries[call] += 1
        return BUSY if self.tries[call] <= 1 + len(call) % 2 else self.whole


CALLS = 30


def openai_calls(url: str, named: bool) -> None:
    with openai.OpenAI(base_url=url + "/v1", api_key="k", max_retries=2) as client:
        for number in range(CALLS):
            client.chat.completions.create(**asked(number), extra_headers=session(number, named))


def anthropic_calls(url: str, named: bool) -> None:
    with anthropic.Anthropic(base_url=url, api_key="k", max_retries=2) as client:
        for number in range(CALLS):
            client.messages.create(**asked(number) | {"model": "messages"}, max_tokens=9, extra_headers=session(number, named))


def async_openai_calls(url: str, named: bool) -> None:
    async def all_at_once() -> None:
        async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="k", max_retries=2) as client:
            await asyncio.gather(
                *(client.chat.completions.create(**asked(number), extra_headers=session(number, named)) for number in range(CALLS))
            )

    asyncio.run(all_at_once())


def asked(number: int) -> dict[str, Any]:
    return {"model": "chat", "messages": [{"role": "user", "content": f"call {'x' * (number % 2)} {number:02d}"}]}


def session(number: int, named: bool) -> dict[str, str]:
    return {"x-detent-session-id": f"s-{number}"} if named else {}


def splitting(mock: Mock, route: str) -> FlagSet:
    """Half of the units of a route on the candidate, whose failures reach the caller as stable's do."""
    flags = with_rollout(flagset(mock.url, on_candidate_failure="fail"), split=0.5)
    if route == "messages":
        chat = flags.flags["chat"]
        stable, candidate = (type(chat.stable)("anthropic", model) for model in (STABLE, CANDIDATE))
        flags.flags["messages"] = type(chat)(
            route=route, revision=7, stable=stable, candidate=candidate, rollout="ro_1", split=0.5, period=3, salt=chat.salt
        )
    return flags


@pytest.mark.parametrize("named", [True, False], ids=["with a session", "nameless"])
@pytest.mark.parametrize(
    ("route", "calls", "whole"),
    [
        ("chat", openai_calls, OK),
        ("chat", async_openai_calls, OK),
        ("messages", anthropic_calls, answer(MESSAGE)),
    ],
    ids=["openai", "openai async", "anthropic"],
)
def test_a_call_that_an_sdk_makes_again_is_one_unit_on_one_arm_and_one_bet(
    mock: Mock, gateway: Served, route: str, calls: Callable[[str, bool], None], whole: Script, named: bool
) -> None:
    gateway.flags = splitting(mock, route)
    mock.answer = flaky = Flaky(whole)
    calls(gateway.url, named)
    assert sorted(Counter(flaky.tries.values()).elements()) == [2] * (CALLS // 2) + [3] * (CALLS // 2), "every call was made again"
    units = calls_of(gateway)
    assert len(units) == CALLS
    for attempts in units.values():
        assert [intent.attempt for intent in attempts] == list(range(len(attempts)))
        assert len({(intent.arm, intent.model, intent.period) for intent in attempts}) == 1
        assert {intent.unit_kind for intent in attempts} == {UnitKind.SESSION if named else UnitKind.OPENING}
    assert {attempts[0].arm for attempts in units.values()} == {Arm.STABLE, Arm.CANDIDATE}
    changes = fold(gateway).changes()
    assert sum(exposing.units for exposing in changes.exposing) == CALLS
    assert len(changes.exposed) == CALLS
    assert Counter(row.key for row in changes.running) == Counter(UnitKey("ro_1", unit) for unit in units), "one bet a guard"


@pytest.mark.parametrize("named", [True, False], ids=["with a session", "nameless"])
def test_a_call_that_is_made_again_after_the_split_has_widened_stays_where_it_was(mock: Mock, gateway: Served, named: bool) -> None:
    narrow = with_rollout(flagset(mock.url, on_candidate_failure="fail"), split=0.05, period=1)
    wide = with_rollout(narrow, split=0.95, period=2)

    def fail_and_widen(seen: Seen) -> Script:
        first = gateway.flags is narrow
        gateway.flags = wide
        return BUSY if first else OK

    mock.answer = fail_and_widen
    with openai.OpenAI(base_url=gateway.url + "/v1", api_key="k", max_retries=2) as client:
        for number in range(20):
            gateway.flags = narrow
            client.chat.completions.create(**asked(number), extra_headers=session(number, named))
    attempts = [[(intent.attempt, intent.period) for intent in legs] for legs in calls_of(gateway).values()]
    assert attempts == [[(0, 1), (1, 2)]] * 20
    assert all(len({intent.arm for intent in legs}) == 1 for legs in calls_of(gateway).values())
    assert {exposing.period for exposing in fold(gateway).changes().exposing} == {1}


def test_a_retry_that_the_candidates_fallback_made_needless_is_one_call(mock: Mock, gateway: Served) -> None:
    gateway.flags = with_rollout(flagset(mock.url), split=0.999999)
    mock.answer = lambda seen: BUSY if seen.json["model"] == CANDIDATE else OK
    with openai.OpenAI(base_url=gateway.url + "/v1", api_key="k", max_retries=2) as client:
        client.chat.completions.create(**asked(1))
    (attempts,) = calls_of(gateway).values()
    assert [intent.attempt for intent in attempts] == [0]
    (running,) = fold(gateway).changes().running
    assert running.events > 0, "and counts against the candidate"


# ── runs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(mock: Mock, gateway: Served, clock: Clock) -> Iterator[Served]:
    """A gateway whose clock the test sets."""
    with serving(with_rollout(gateway.flags, split=0.05, period=1), monotonic=clock) as served:
        yield served


@pytest.fixture
def client(timed: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=timed.url + "/v1", api_key="k", max_retries=0) as made:
        yield made


class Agent:
    """A run over several turns with the official SDK, as an app writes it."""

    def __init__(self, client: openai.OpenAI, name: str) -> None:
        self._client = client
        self._headers = {"x-detent-session-id": name}
        self._messages: list[Any] = [{"role": "user", "content": f"book me a trip, {name}"}]

    def turn(self) -> None:
        said = self._client.chat.completions.create(model="chat", messages=self._messages, extra_headers=self._headers)
        self._messages += [{"role": "assistant", "content": said.choices[0].message.content}, {"role": "user", "content": "go on"}]


def widened(served: Served, split: float, period: int) -> None:
    served.flags = with_rollout(served.flags, split=split, period=period)


def test_a_run_stays_on_its_version_while_the_split_widens_and_new_ones_do_not(timed: Served, client: openai.OpenAI, clock: Clock) -> None:
    runs = [Agent(client, f"run-{number}") for number in range(40)]
    for split, period in ((0.05, 1), (0.25, 2), (0.5, 3), (0.95, 4)):
        widened(timed, split, period)
        for run in runs:
            run.turn()
        clock.now += 60
    units = calls_of(timed)
    assert len(units) == 40
    for turns in units.values():
        assert len({(intent.arm, intent.arm_served, intent.model) for intent in turns}) == 1, "what is recorded is what served"
        assert [intent.period for intent in turns] == [1, 2, 3, 4]
        assert {intent.randomised for intent in turns} == {True}
    on_stable = [unit for unit, turns in units.items() if turns[0].arm is Arm.STABLE]
    assert len(on_stable) > 20, "of 40 at 5 %"
    changes = fold(timed).changes()
    assert {(exposing.period, exposing.arm) for exposing in changes.exposing} <= {(1, Arm.STABLE), (1, Arm.CANDIDATE)}
    assert sum(exposing.saw_candidate for exposing in changes.exposing if exposing.arm is Arm.STABLE) == 0, "nobody crossed over"

    for number in range(40, 80):
        post(timed, x_detent_session_id=f"run-{number}")
    new = [turns[0].arm for unit, turns in calls_of(timed).items() if unit not in units]
    # Binomial(40, 0.95): 30 or fewer once in 5e5.
    assert new.count(Arm.CANDIDATE) > 30
    clock.now += IDLE_S
    for run in runs:
        run.turn()
    back = [turns[-1].arm for unit, turns in calls_of(timed).items() if unit in units]
    assert back.count(Arm.CANDIDATE) > 30, "after half an hour of silence it is another run"


def test_runs_that_are_under_way_when_the_canary_begins_end_on_stable_and_never_count(timed: Served, client: openai.OpenAI) -> None:
    timed.flags = with_rollout(timed.flags, split=0.0, period=0)
    runs = [Agent(client, f"early-{number}") for number in range(20)]
    for run in runs:
        run.turn()
    widened(timed, 0.5, 1)
    for run in runs:
        run.turn()
    assert {(intent.arm, intent.model, intent.randomised) for intent in timed.spool.intents} == {(Arm.STABLE, STABLE, False)}
    assert fold(timed).changes().exposing == ()


def test_a_rollback_moves_runs_at_once(mock: Mock, timed: Served, client: openai.OpenAI) -> None:
    timed.flags = with_rollout(timed.flags, split=0.999999)
    run = Agent(client, "run")
    run.turn()
    timed.flags = flagset(mock.url)
    run.turn()
    until(lambda: len(timed.spool.intents) == 2)
    assert [intent.model for intent in timed.spool.intents] == [CANDIDATE, STABLE]
    assert timed.spool.last().outcome is Outcome.COMPLETE


# ── the control slice ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_control_slice_goes_upstream_with_a_cache_key_of_its_own(mock: Mock, gateway: Served) -> None:
    gateway.flags = with_rollout(gateway.flags, split=0.5, control=0.5)
    with openai.OpenAI(base_url=gateway.url + "/v1", api_key="k") as client:
        for number in range(20):
            client.chat.completions.create(**asked(number), prompt_cache_key="ours", extra_headers=session(number, True))
    sent = [(seen.json["model"], seen.json["prompt_cache_key"]) for seen in mock.seen]
    assert {key for model, key in sent if model == CANDIDATE} == {"ours"}
    (own,) = {key for model, key in sent if model == STABLE}
    assert own != "ours"
    assert {(intent.arm, intent.control) for intent in gateway.spool.intents} == {(Arm.STABLE, True), (Arm.CANDIDATE, False)}
    assert post(gateway, x_detent_tenant="acme", x_detent_region="eu-1")[2] == COMPLETION
    assert (gateway.spool.intents[-1].tenant, gateway.spool.intents[-1].region) == ("acme", "eu-1")
    assert not [name for name, _ in mock.seen[-1].headers if "detent" in name]

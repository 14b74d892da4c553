"""Stable's provider is out: a declared fallback answers, marked in each record and compared with nothing, until stable does again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import openai
import pytest

from detent import manifest
from detent.circuit import IN_A_ROW, OPEN_S
from detent.errors import InvalidInput
from detent.evidence.minutes import minute_sums
from detent.evidence.units import unit_of
from detent.terms import Arm, FlagSet, Intent, Outcome, Result, Role
from mock_upstream import CLOSE, COMPLETION, OK, Mock, Script, Seen, answer
from serving import CANDIDATE, STABLE, Served, flagset, post, serving, with_rollout

OTHER = "borealis-2026-02-02"
DOWN = answer(b'{"error": {"message": "stable is down", "code": "overloaded"}}', 529, retry_after="7")


class Provider:
    """Says by model how it is; `OK` where nothing is said."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.asked: Counter[str] = Counter()

    def __call__(self, seen: Seen) -> Script:
        model = seen.json["model"]
        self.asked[model] += 1
        return self.scripts.get(model, OK)


class Clock:
    def __init__(self) -> None:
        self.at_s = 1000.0

    def __call__(self) -> float:
        return self.at_s


@pytest.fixture
def provider(mock: Mock) -> Provider:
    found = Provider()
    mock.seen.clear()
    mock.answer = found
    return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def served(mock: Mock, clock: Clock, provider: Provider) -> Iterator[Served]:
    """A route whose fallback is at another provider, which has a key of its own."""
    flags = flagset(mock.url, candidate_url=mock.url, fallback=f"openai-next/{OTHER}")
    with serving(flags, monotonic=clock, chance=lambda: 0.0) as running:
        yield running


def ask(served: Served, session: str = "s") -> tuple[int, dict[str, str], bytes]:
    return post(served, x_detent_session_id=session)


def legs(served: Served) -> list[tuple[Intent, Result]]:
    served.spool.settle()
    results = {result.leg: result for result in served.spool.results}
    return [(intent, results[intent.leg]) for intent in served.spool.intents]


def told(served: Served) -> list[tuple[Role, str, str]]:
    return [(intent.role, intent.model, intent.why) for intent, _ in legs(served)]


def take_stable_down(served: Served, provider: Provider, script: Script = DOWN) -> None:
    """Its breaker is one failure from opening."""
    provider.scripts[STABLE] = script
    for number in range(IN_A_ROW - 1):
        ask(served, f"before-{number}")


def canary(flags: FlagSet, split: float) -> FlagSet:
    return with_rollout(flags, split=split)


@pytest.mark.fault("stable's provider is out", "after five failures in a row the declared fallback answers")
def test_the_request_that_opens_the_breaker_and_those_after_it_are_answered_by_the_fallback(served: Served, provider: Provider) -> None:
    take_stable_down(served, provider)
    assert {result.status for _, result in legs(served)} == {529}, "each of these got stable's own error"
    assert ask(served)[0::2] == (200, COMPLETION)
    assert ask(served, "later")[0] == 200
    assert told(served)[IN_A_ROW - 1 :] == [
        (Role.SERVED, STABLE, ""),
        (Role.FALLBACK, OTHER, "outage"),
        (Role.FALLBACK, OTHER, "outage"),
    ]
    (intent, result) = legs(served)[-1]
    assert (intent.provider, intent.arm, intent.arm_served, result.outcome) == ("openai-next", Arm.STABLE, Arm.STABLE, Outcome.COMPLETE)
    sums = minute_sums([intent for intent, _ in legs(served)], legs(served))
    assert sum(of.legs for key, of in sums.items() if key.role == Role.FALLBACK) == 2


def test_a_provider_that_takes_no_connection_is_out_as_well(mock: Mock, provider: Provider, clock: Clock) -> None:
    flags = flagset("http://127.0.0.1:9", candidate_url=mock.url, fallback=f"openai-next/{OTHER}")
    with serving(flags, monotonic=clock) as served:
        assert [ask(served, f"s-{n}")[0] for n in range(IN_A_ROW + 2)] == [502] * (IN_A_ROW - 1) + [200] * 3


def test_a_web_page_in_stables_place_passes_as_it_is_until_the_fallback_can_answer(served: Served, provider: Provider) -> None:
    page = answer(b"<html>log in</html>", kind="text/html")
    take_stable_down(served, provider, page)
    assert {result.outcome for _, result in legs(served)} == {Outcome.MALFORMED}
    assert ask(served)[0::2] == (200, COMPLETION)
    assert told(served)[-2:] == [(Role.SERVED, STABLE, ""), (Role.FALLBACK, OTHER, "outage")]


def test_one_session_alone_brings_nobody_onto_the_fallback(served: Served, provider: Provider) -> None:
    """Its requests may be what the provider fails over; an app that has but one session is told of each failure."""
    provider.scripts[STABLE] = DOWN
    assert {ask(served)[0] for _ in range(3 * IN_A_ROW)} == {529}
    assert provider.asked[OTHER] == 0


def test_a_probe_goes_to_stable_first_and_brings_it_back(served: Served, provider: Provider, clock: Clock) -> None:
    take_stable_down(served, provider)
    ask(served)
    clock.at_s += OPEN_S
    assert ask(served, "probe")[0] == 200
    assert told(served)[-2:] == [(Role.SERVED, STABLE, ""), (Role.FALLBACK, OTHER, "outage")], "it failed, and the caller was answered"
    asked = provider.asked[STABLE]
    ask(served)
    assert provider.asked[STABLE] == asked
    del provider.scripts[STABLE]
    clock.at_s += 2 * OPEN_S
    ask(served, "probe")
    assert provider.asked[STABLE] == asked, "who has failed it is no probe again before others were"
    for session in ("another probe", "after it"):
        ask(served, session)
    assert told(served)[-2:] == [(Role.SERVED, STABLE, ""), (Role.SERVED, STABLE, "")]


def test_if_the_fallback_fails_too_the_caller_gets_stables_own_error(served: Served, provider: Provider) -> None:
    take_stable_down(served, provider)
    provider.scripts[OTHER] = answer(b'{"error": "the other is down"}', 500)
    status, headers, body = ask(served)
    assert (status, json.loads(body)["error"]["message"]) == (529, "stable is down")
    assert (headers["retry-after"], headers["x-request-id"]) == ("7", "req_1"), "all of it, as the provider said it"
    assert told(served)[-2:] == [(Role.SERVED, STABLE, ""), (Role.FALLBACK, OTHER, "outage")]
    status, _, body = ask(served)
    assert (status, json.loads(body)["error"]["message"]) == (529, "stable is down")
    assert told(served)[-2:] == [(Role.FALLBACK, OTHER, "outage"), (Role.FALLBACK, STABLE, "fallback_failed:http_500")]


def test_a_connection_that_breaks_is_told_as_such_when_the_fallback_fails_too(served: Served, provider: Provider) -> None:
    take_stable_down(served, provider, [CLOSE])
    provider.scripts[OTHER] = answer(b"{}", 500)
    status, headers, _ = ask(served)
    assert (status, headers["x-detent-error"], headers["x-should-retry"]) == (502, "upstream_unreachable", "true")


def test_no_leg_of_an_outage_is_compared_with_anything(served: Served, provider: Provider) -> None:
    served.flags = canary(served.flags, 0.5)
    take_stable_down(served, provider)
    for number in range(30):
        assert ask(served, f"s-{number}")[0] in (200, 529)
    out = [intent for intent, _ in legs(served) if intent.why == "outage"]
    assert len(out) > 10
    assert {unit_of(intent) for intent in out} == {None}
    first = next(i for i, (intent, _) in enumerate(legs(served)) if intent.why == "outage")
    after = [intent for intent, _ in legs(served)[first + 1 :]]
    assert {intent.randomised for intent in after} == {False}, "of both arms: stable is not itself"
    assert {intent.arm for intent in after} == {Arm.STABLE, Arm.CANDIDATE}
    assert {(intent.rollout, intent.period) for intent in after} == {("ro_1", 3)}


def test_a_candidate_that_fails_while_stable_is_out_falls_to_the_fallback(served: Served, provider: Provider) -> None:
    served.flags = canary(served.flags, 0.001)
    take_stable_down(served, provider)
    ask(served)
    provider.scripts[CANDIDATE] = answer(b"{}", 500)
    served.flags = canary(served.flags, 0.999)
    assert ask(served)[0] == 200
    assert told(served)[-2:] == [(Role.SERVED, CANDIDATE, ""), (Role.FALLBACK, OTHER, "outage")]
    provider.scripts[OTHER] = answer(b"{}", 500)
    assert ask(served)[0] == 529
    assert told(served)[-3:] == [
        (Role.SERVED, CANDIDATE, ""),
        (Role.FALLBACK, OTHER, "outage"),
        (Role.FALLBACK, STABLE, "fallback_failed:http_500"),
    ]


def test_stable_failing_in_a_candidates_place_is_relieved_too(served: Served, provider: Provider) -> None:
    served.flags = canary(served.flags, 0.999)
    take_stable_down(served, provider)
    provider.scripts[CANDIDATE] = answer(b"{}", 500)
    for number in range(2 * IN_A_ROW):
        ask(served, f"s-{number}")
    assert ask(served)[0] == 200
    assert told(served)[-1][1:] == (OTHER, "outage")


def test_the_official_sdk_gets_a_stream_from_the_fallback(served: Served, provider: Provider) -> None:
    take_stable_down(served, provider)
    with openai.OpenAI(base_url=served.url + "/v1", api_key="k", max_retries=0) as client:
        said = client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hi"}])
    assert said.choices[0].message.content == "Hi"
    assert told(served)[-1][1:] == (OTHER, "outage")


@pytest.mark.fault(
    "stable's provider is out: no fallback is declared",
    "every request is tried, and callers get the provider's own errors",
)
def test_without_a_fallback_every_request_is_tried(mock: Mock, provider: Provider) -> None:
    provider.scripts[STABLE] = DOWN
    with serving(flagset(mock.url)) as served:
        assert {ask(served)[0] for _ in range(3 * IN_A_ROW)} == {529}
    assert provider.asked[STABLE] == 3 * IN_A_ROW


def test_a_fallback_of_a_provider_that_is_gone_is_none(served: Served, provider: Provider) -> None:
    kept = {name: one for name, one in served.flags.manifest.providers.items() if name != "openai-next"}
    served.flags = replace(served.flags, manifest=replace(served.flags.manifest, providers=kept))
    provider.scripts[STABLE] = DOWN
    assert {ask(served)[0] for _ in range(2 * IN_A_ROW)} == {529}


# ── what a pin file may say ─────────────────────────────────────────────────────────────────────────────────────────

FILE = """
[providers.openai]
dialect  = "openai"
base_url = "https://api.openai.com/v1"
watcher  = "llm@example.com"
[providers.azure]
dialect  = "openai"
base_url = "https://azure.example.com/v1"
key_env  = "AZURE_KEY"
watcher  = "llm@example.com"
[providers.keyless]
dialect  = "openai"
base_url = "https://keyless.example.com/v1"
watcher  = "llm@example.com"
[providers.anthropic]
dialect  = "anthropic"
base_url = "https://api.anthropic.com"
watcher  = "llm@example.com"
[routes.chat]
provider = "openai"
version  = "gpt-4o-2024-05-13"
owner    = "chat@example.com"
"""


@pytest.mark.parametrize(
    ("fallback", "provider", "model"),
    [("gpt-4o-2024-08-06", "openai", "gpt-4o-2024-08-06"), ("azure/gpt-4o-2024-05-13", "azure", "gpt-4o-2024-05-13")],
)
def test_a_fallback_is_a_version_of_the_same_provider_or_of_another(fallback: str, provider: str, model: str) -> None:
    version = manifest.read(f'{FILE}fallback = "{fallback}"\n').routes["chat"].outage_version
    assert version is not None
    assert (version.provider, version.model) == (provider, model)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('fallback = "azzure/gpt-4o-2024-05-13"', "routes.chat.fallback names an unknown provider: `azzure`"),
        ('fallback = "azure/"', "routes.chat.fallback names no model: `azure/`"),
        ('fallback = "gpt-4o-2024-05-13"', "routes.chat.fallback is the pinned version, which is out when it is needed: `gpt-4o-2024"),
        (
            'fallback = "anthropic/claude-sonnet-4-5-20250929"',
            "routes.chat.fallback speaks another dialect than its route: `anthropic/claude-sonnet-4-5-20250929`",
        ),
        (
            'fallback = "azure/gpt-4o-2024-05-13"\nprocessors = ["openai"]',
            "routes.chat.fallback is at a provider that is none of the route's processors: `azure/gpt-4o-2024-05-13`",
        ),
        (
            'fallback = "keyless/gpt-4o-2024-05-13"',
            "routes.chat.fallback would send the callers' own keys to another provider: `keyless/gpt-4o-2024-05-13`",
        ),
        ('fallback = "azure/gpt-4o"', "routes.chat.fallback is a floating alias, not a version"),
    ],
)
def test_what_cannot_stand_in_is_refused_by_name_and_line(more: str, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        manifest.read(f"{FILE}{more}\n")
    assert f"detent.toml:23: {says}" in str(refused.value)

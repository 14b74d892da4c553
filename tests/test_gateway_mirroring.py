"""The shadow as a gateway sees it: what it hands to the process that mirrors, what it does not and why, and what that process may do to it.

The process in the second half is real as well: scripted, it reads its jobs from its socket and answers as a test wants.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detent import exchange, legs
from detent.gateway import Gateway, Mirrors, SpoolSink, mirroring
from detent.reading import Heard
from detent.shadow import unmirrored
from detent.shadow.job import Job
from detent.terms import Arm, Leg, Mirror, Outcome, Price, RecordPolicy, Result, Role, Unmirrored
from detent.upstream import Outgoing
from mock_upstream import COMPLETION, OK, Mock, answer, piece, stream
from serving import ASKED, CANDIDATE, STABLE, KeptJobs, Served, flagset, post, serving, until, with_rollout

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(autouse=True)
def _sums_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unmirrored, "EVERY_S", 0.05)


@pytest.fixture
def shadowed(mock: Mock, gateway: Served) -> Served:
    """Everything is drawn, the candidate is at another provider."""
    gateway.flags = with_rollout(flagset(mock.url, candidate_url=mock.url), shadow=1.0, provider="openai-next")
    return gateway


def one_job(gateway: Served) -> Job:
    until(lambda: gateway.kept.jobs)
    (job,) = gateway.kept.jobs
    return job


def header(job: Job, name: str) -> str | None:
    found = [value for key, value in job.candidate.outgoing.headers if key == name]
    assert len(found) <= 1
    return found[0] if found else None


def counted(gateway: Served, what: dict[tuple[str, str], int]) -> None:
    """Waits until exactly that was not mirrored: sums are written once in a while."""
    until(lambda: sum(gateway.spool.unmirrored.values()) >= sum(what.values()))
    assert gateway.spool.unmirrored == what


# ── what is handed over ─────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_drawn_is_handed_over_with_the_live_answer_and_the_calls_to_make(mock: Mock, shadowed: Served) -> None:
    assert post(shadowed, x_detent_session_id="s-1")[2] == COMPLETION
    job = one_job(shadowed)
    live, _ = shadowed.spool.leg(Role.SERVED)
    call = job.candidate
    assert job.live == live
    assert (job.route, job.mirror, job.drawn, job.keeps, job.second) == ("chat", Mirror(share=1.0), True, True, None)
    assert (job.request, job.heard.status, job.heard.body) == (json.dumps(ASKED).encode(), 200, COMPLETION)
    assert (call.intent.exchange, call.intent.unit, call.intent.session) == (live.exchange, live.unit, live.session)
    assert (call.intent.role, call.intent.arm, call.intent.arm_served, call.intent.why) == (Role.MIRRORED, Arm.CANDIDATE, Arm.CANDIDATE, "")
    assert (call.intent.provider, call.intent.model, call.intent.randomised) == ("openai-next", CANDIDATE, False)
    assert (call.outgoing.provider.name, call.outgoing.path) == ("openai-next", "/v1/chat/completions")
    assert json.loads(call.outgoing.body) == ASKED | {"model": CANDIDATE}
    assert [seen.json["model"] for seen in mock.seen] == [STABLE], "the gateway itself sends nothing twice"
    assert [entry.role for entry in shadowed.spool.intents] == [Role.SERVED]


def test_a_stream_stays_one_and_is_handed_over_as_it_came(mock: Mock, shadowed: Served) -> None:
    mock.answer = lambda seen: stream(piece("Hi", "stop"), b"data: [DONE]\n\n")
    post(shadowed, body=ASKED | {"stream": True})
    job = one_job(shadowed)
    assert job.heard.streamed
    assert job.heard.body == piece("Hi", "stop") + b"data: [DONE]\n\n"
    assert job.heard.first_byte_s is not None
    assert json.loads(job.candidate.outgoing.body) == ASKED | {
        "model": CANDIDATE,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert job.candidate.intent.stream


def test_of_a_sample_stable_is_asked_once_more_with_the_same_request(mock: Mock, shadowed: Served) -> None:
    shadowed.flags = with_rollout(flagset(mock.url), shadow=1.0, second=1.0)
    post(shadowed)
    second = one_job(shadowed).second
    assert second is not None
    assert (second.intent.role, second.intent.arm, second.intent.arm_served) == (Role.MIRRORED, Arm.STABLE, Arm.STABLE)
    assert second.outgoing.body == mock.seen[0].body


def test_a_mirrored_request_says_so_and_has_a_span_of_its_own_in_the_same_trace(mock: Mock, shadowed: Served) -> None:
    post(shadowed, traceparent=PARENT, tracestate="a=1", idempotency_key="k-1", x_app="shop", x_detent_session_id="s-1")
    job = one_job(shadowed)
    assert mock.seen[0].header("traceparent") == PARENT
    assert mock.seen[0].header("x-detent-no-shadow") is None
    assert (header(job, "x-detent-no-shadow"), header(job, "x-app"), header(job, "accept-encoding")) == ("1", "shop", "identity")
    version, trace, span, _ = (header(job, "traceparent") or "").split("-")
    assert (version, trace, len(span)) == ("00", PARENT[3:35], 16)
    assert span not in {PARENT[36:52], "0" * 16}
    assert job.live.trace == job.candidate.intent.trace == trace
    # A provider that knows this key would answer with the live answer, and stable would never disagree with itself.
    assert header(job, "idempotency-key") is header(job, "tracestate") is header(job, "x-detent-session-id") is None


def test_a_gateway_behind_a_gateway_mirrors_no_mirror(mock: Mock, shadowed: Served) -> None:
    post(shadowed)
    sent = dict(one_job(shadowed).candidate.outgoing.headers)
    sent.pop("content-length", None)
    assert post(shadowed, **{name: value for name, value in sent.items() if name.startswith("x-detent")})[0] == 200
    counted(shadowed, {("no_shadow", ""): 1})
    assert len(shadowed.kept.jobs) == 1


@pytest.mark.parametrize(
    ("named", "keys", "sent"),
    [
        (False, {}, "Bearer the client's"),
        (False, {"TEST_NEXT_KEY": "the provider's"}, "Bearer the provider's"),
        (True, {"TEST_NEXT_KEY": "the provider's", "TEST_SHADOW_KEY": "the shadow's"}, "Bearer the shadow's"),
        (True, {"TEST_SHADOW_KEY": "the shadow's"}, "Bearer the shadow's"),
    ],
)
def test_the_shadow_has_a_key_of_its_own_where_one_is_given(
    mock: Mock, shadowed: Served, monkeypatch: pytest.MonkeyPatch, named: bool, keys: dict[str, str], sent: str
) -> None:
    with_keys(shadowed, monkeypatch, keys, named=named)
    post(shadowed, authorization="Bearer the client's")
    assert header(one_job(shadowed), "authorization") == sent
    assert mock.seen[0].header("authorization") == "Bearer the client's"


def with_keys(shadowed: Served, monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], *, named: bool) -> None:
    """The candidate's provider has a key in the environment, and one for the shadow where that is named."""
    for name in ("TEST_NEXT_KEY", "TEST_SHADOW_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    manifest = shadowed.flags.manifest
    provider = replace(manifest.providers["openai-next"], key_env="TEST_NEXT_KEY", shadow_key_env="TEST_SHADOW_KEY" if named else None)
    shadowed.flags = replace(shadowed.flags, manifest=replace(manifest, providers=manifest.providers | {"openai-next": provider}))


@pytest.mark.parametrize("empty", [{}, {"TEST_SHADOW_KEY": ""}])
def test_a_key_of_the_shadows_that_is_not_set_is_never_replaced_by_the_live_one(
    mock: Mock, shadowed: Served, monkeypatch: pytest.MonkeyPatch, empty: dict[str, str]
) -> None:
    with_keys(shadowed, monkeypatch, {"TEST_NEXT_KEY": "the provider's"} | empty, named=True)
    assert post(shadowed, authorization="Bearer the client's")[2] == COMPLETION
    counted(shadowed, {("no_key", "TEST_SHADOW_KEY"): 1})
    assert shadowed.kept.jobs == []


def test_a_new_conversation_of_a_rare_template_is_taken_and_followed_whatever_is_drawn(mock: Mock, shadowed: Served) -> None:
    shadowed.flags = with_rollout(flagset(mock.url), shadow=1e-9)
    first: dict[str, Any] = ASKED | {"messages": [{"role": "system", "content": "Antworte."}, *ASKED["messages"]]}
    turn = first | {"messages": [*first["messages"], {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "und?"}]}
    post(shadowed, body=turn, x_detent_session_id="s-0")
    post(shadowed, body=first, x_detent_session_id="s-1")
    post(shadowed, body=turn, x_detent_session_id="s-1")
    until(lambda: len(shadowed.kept.jobs) == 2)
    assert [(job.request, job.drawn, job.candidate.intent.why) for job in shadowed.kept.jobs] == [
        (json.dumps(first).encode(), False, "rare"),
        (json.dumps(turn).encode(), False, "rare"),
    ]


def test_a_live_record_keeps_no_bodies_for_being_mirrored_and_a_route_without_bodies_says_so(mock: Mock, shadowed: Served) -> None:
    flags = flagset(mock.url, record=RecordPolicy(bodies=0.0, redact="secrets"))
    shadowed.flags = with_rollout(flags, shadow=1.0)
    post(shadowed)
    job = one_job(shadowed)
    assert (job.keeps, job.redact) == (False, "secrets")
    assert shadowed.spool.last().answer_body is None


# ── what is not ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("members", "headers", "what"),
    [
        ({"store": True}, {}, ("effects", "store")),
        ({"web_search_options": {}}, {}, ("effects", "web_search")),
        ({}, {"x_detent_no_shadow": "1"}, ("no_shadow", "")),
        ({}, {"x_detent_no_record": "1"}, ("no_shadow", "")),
        ({"user": "x" * exchange.KEPT_BYTES}, {}, ("too_large", "request")),
    ],
)
def test_a_request_with_effects_or_without_leave_is_counted_and_goes_nowhere(
    mock: Mock, shadowed: Served, members: dict[str, Any], headers: dict[str, str], what: tuple[str, str]
) -> None:
    for _ in range(3):
        assert post(shadowed, body=ASKED | members, **headers)[0] == 200
    counted(shadowed, {what: 3})
    entries = [entry for entry in shadowed.spool.entries if isinstance(entry, Unmirrored)]
    assert {entry.rollout for entry in entries} == {"ro_1"}
    assert shadowed.kept.jobs == []


def test_a_failed_live_answer_is_not_mirrored_and_not_counted(mock: Mock, shadowed: Served) -> None:
    mock.answer = lambda seen: answer(b"{}", 500) if len(mock.seen) == 1 else OK
    assert [post(shadowed)[0], post(shadowed)[0]] == [500, 200]
    one_job(shadowed)
    assert shadowed.gateway._mirrors._unmirrored._sums == {}


def test_what_a_rare_template_alone_would_bring_in_is_not_counted(mock: Mock, shadowed: Served) -> None:
    shadowed.flags = with_rollout(flagset(mock.url), shadow=1e-9)
    post(shadowed, body=ASKED | {"store": True})
    post(shadowed)
    one_job(shadowed)
    assert shadowed.gateway._mirrors._unmirrored._sums == {}


def test_a_candidate_that_no_processor_of_the_route_serves_is_sent_nothing(mock: Mock, shadowed: Served) -> None:
    flags = flagset(mock.url, candidate_url=mock.url, processors=("openai",))
    shadowed.flags = with_rollout(flags, shadow=1.0, provider="openai-next")
    post(shadowed)
    counted(shadowed, {("processor", "openai-next"): 1})


@pytest.fixture
def timed(mock: Mock) -> Iterator[tuple[Served, list[float]]]:
    """A gateway with a clock to set; the candidate is at the live provider."""
    now = [100.0]
    with serving(with_rollout(flagset(mock.url), shadow=1.0), monotonic=lambda: now[0]) as served:
        mock.seen.clear()
        mock.answer = lambda seen: OK
        yield served, now


@pytest.mark.parametrize("status", [429, 529])
def test_a_provider_that_tells_live_traffic_to_slow_down_gets_nothing_from_the_shadow_for_30_s(
    mock: Mock, timed: tuple[Served, list[float]], status: int
) -> None:
    gateway, now = timed
    mock.answer = lambda seen: answer(b"{}", status) if len(mock.seen) == 1 else OK
    assert [post(gateway)[0], post(gateway)[0]] == [status, 200]
    now[0] += 29.9
    post(gateway)
    counted(gateway, {("paused", ""): 2})
    now[0] += 0.2
    post(gateway)
    one_job(gateway)


def test_another_providers_429_is_no_reason_to_pause(mock: Mock, timed: tuple[Served, list[float]]) -> None:
    gateway, _ = timed
    gateway.flags = with_rollout(flagset(mock.url, candidate_url=mock.url), shadow=1.0, provider="openai-next")
    mock.answer = lambda seen: answer(b"{}", 429) if len(mock.seen) == 1 else OK
    assert [post(gateway)[0], post(gateway)[0]] == [429, 200]
    one_job(gateway)


def test_the_plans_requests_a_second_are_a_bound_and_a_second_copy_is_a_request_too(mock: Mock, timed: tuple[Served, list[float]]) -> None:
    gateway, now = timed
    gateway.flags = with_rollout(flagset(mock.url), shadow=1.0, second=1.0, per_second=4.0)
    for _ in range(5):
        post(gateway)
    counted(gateway, {("rate", ""): 3})
    now[0] += 1.0
    for _ in range(5):
        post(gateway)
    until(lambda: len(gateway.kept.jobs) == 4)
    counted(gateway, {("rate", ""): 6})


def test_what_the_sink_refuses_is_counted_and_makes_no_template_known(mock: Mock, shadowed: Served) -> None:
    shadowed.kept.refuses = "pressure"
    for number in range(30):
        post(shadowed, x_detent_session_id=f"s-{number}")
    counted(shadowed, {("pressure", ""): 30})
    assert len(shadowed.gateway._mirrors._mirrored._of_template) == 0


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models"])
def test_what_forbids_a_copy_or_a_record_is_told_to_a_gateway_behind(mock: Mock, shadowed: Served, path: str) -> None:
    """Else one that obeys would hand the request on to one that mirrors it. What is for this gateway alone ends here."""
    post(shadowed, path, x_detent_no_shadow="1", x_detent_no_record="1", x_detent_tenant="acme")
    (seen,) = mock.seen
    assert [seen.header(f"x-detent-{name}") for name in ("no-shadow", "no-record", "tenant")] == ["1", "1", None]


def test_a_copy_says_once_that_it_is_one(mock: Mock, shadowed: Served) -> None:
    post(shadowed, x_detent_no_shadow="0")
    assert [value for name, value in one_job(shadowed).candidate.outgoing.headers if name == "x-detent-no-shadow"] == ["1"]


def test_at_the_end_live_records_are_waited_for_before_the_shadow(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shadow may take longer than whoever stops the gateway waits before it kills it."""
    order: list[str] = []

    class Sink(KeptJobs):
        async def close(self) -> None:
            order.append("shadow")

    with serving(with_rollout(flagset(mock.url), shadow=1.0), mirrors=lambda spool: Sink()) as served:
        settled = served.gateway._records.settled

        async def waited() -> None:
            await settled()
            order.append("records")

        monkeypatch.setattr(served.gateway._records, "settled", waited)
    assert order == ["records", "shadow"]


def test_a_defect_in_mirroring_costs_the_caller_nothing(mock: Mock, shadowed: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legs, "mirrored_legs", lambda *_: 1 / 0)
    assert post(shadowed)[2] == COMPLETION
    until(lambda: shadowed.gateway.counts["mirror_faults"] == 1)
    assert shadowed.gateway.counts["faults"] == 0


def _never(leg: Leg) -> Outgoing:
    raise AssertionError("nothing is to be sent")


def test_without_anyone_to_mirror_nothing_is_and_nothing_is_counted(mock: Mock, shadowed: Served) -> None:
    entries: list[Any] = []

    class Spool:
        def write(self, entry: Any) -> None:
            entries.append(entry)

    alone = Gateway(lambda: shadowed.flags, Spool(), shadowed.gateway._upstream, "gw-2")
    ex = exchange.plan("POST", "/v1/chat/completions", [], json.dumps(ASKED).encode(), shadowed.flags, id="ex_1", gateway="gw-2")
    assert isinstance(ex, exchange.Exchange)
    leg, heard = legs.first_leg(ex, "le_1"), Heard(at_us=0, latency_s=0.1, status=200, body=COMPLETION)
    written = exchange.result(ex, leg, heard)
    assert written.outcome is Outcome.COMPLETE
    alone._mirrors.mirror(ex, leg, live=exchange.intent(ex, leg, 0), heard=heard, written=written, outgoing=_never)
    assert alone.counts == {}
    assert entries == []


# ── the process ─────────────────────────────────────────────────────────────────────────────────────────────────────

CHILD = """
import os, socket, sys
mode, log, fd = sys.argv[1], open(sys.argv[2], "ab", buffering=0), int(sys.argv[4])
us = socket.socket(fileno=fd)
log.write(b"up\\n")
def exactly(n):
    data = b""
    while len(data) < n:
        part = us.recv(n - len(data))
        if not part:
            log.write(b"eof\\n")
            if mode == "stays":
                while True:
                    __import__("time").sleep(60)
            os._exit(0)
        data += part
    return data
while True:
    if mode == "deaf":
        __import__("time").sleep(60)
    frame = exactly(int.from_bytes(exactly(4), "big"))
    open(sys.argv[2] + ".frames", "ab").write(len(frame).to_bytes(4, "big") + frame)
    log.write(b"job\\n")
    if mode == "dies":
        os._exit(1)
    if mode == "works":
        us.send(b".")
"""


class Started:
    """A gateway with a scripted process behind it."""

    def __init__(self, served: Served, log: Path, now: list[float], said: list[str]) -> None:
        self.served = served
        self.log = log
        self.now = now
        self.said = said

    @property
    def told(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    @property
    def jobs(self) -> list[Job]:
        frames, jobs = self.log.with_name(self.log.name + ".frames").read_bytes(), []
        while frames:
            size = int.from_bytes(frames[:4], "big")
            jobs.append(msgspec.msgpack.decode(frames[4 : 4 + size], type=Job))
            frames = frames[4 + size :]
        return jobs


@pytest.fixture
def starts(mock: Mock, tmp_path: Path) -> Callable[..., Any]:
    mock.seen.clear()
    mock.answer = lambda seen: OK

    def run(mode: str, *, ending_s: float = 20.0, command: list[str] | None = None) -> Any:
        log, now, said = tmp_path / "log", [100.0], list[str]()

        def mirrors(spool: SpoolSink) -> Mirrors:
            given = command or [sys.executable, "-c", CHILD, mode, str(log)]
            return Mirrors(given, spool, lambda: 7, say=said.append, monotonic=lambda: now[0], ending_s=ending_s)

        context = serving(with_rollout(flagset(mock.url), shadow=1.0, second=1.0), mirrors=mirrors)
        return context, lambda served: Started(served, log, now, said)

    return run


def test_the_process_is_started_by_the_first_job_and_hears_every_byte_of_it(starts: Callable[..., Any], mock: Mock) -> None:
    context, started = starts("works")
    priced = Mirror(share=1.0, second=1.0, usd_per_day=1.0, candidate_price=Price(name="m", input=1.0, output=2.0))
    with context as served:
        its = started(served)
        served.flags = with_rollout(flagset(mock.url))
        post(served)
        assert its.told == []
        served.flags = with_rollout(flagset(mock.url), mirror=priced)
        for number in range(3):
            assert post(served, body=ASKED | {"user": str(number) * 1_500_000})[2] == COMPLETION
        until(lambda: its.told.count("job") == 3)
        jobs = its.jobs
    assert [job.request for job in jobs] == [json.dumps(ASKED | {"user": str(number) * 1_500_000}).encode() for number in range(3)]
    assert {(job.mirror, job.heard.body, job.second is not None) for job in jobs} == {(priced, COMPLETION, True)}
    assert [job.live for job in jobs] == served.spool.intents[1:]
    assert its.told == ["up", "job", "job", "job", "eof"], "it ended with its socket"
    assert (its.said, served.spool.unmirrored) == ([], {})


def test_beyond_what_the_process_may_hold_nothing_is_handed_over_and_live_traffic_goes_on(starts: Callable[..., Any]) -> None:
    context, started = starts("deaf", ending_s=0.2)
    with context as served:
        for _ in range(mirroring.MOST_JOBS + 10):
            assert post(served)[2] == COMPLETION
        counted(served, {("pressure", ""): 10})
        its = started(served)
        assert len([result for result in served.spool.results if isinstance(result, Result)]) == mirroring.MOST_JOBS + 10
        until(lambda: its.told == ["up"])


def test_memory_is_a_bound_as_well(starts: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirroring, "MOST_BYTES", 5_000_000)
    context, _ = starts("deaf", ending_s=0.2)
    with context as served:
        for _ in range(3):  # a request and two copies of it: 3 MB
            post(served, body=ASKED | {"user": "x" * 1_000_000})
        counted(served, {("pressure", ""): 2})
        frames = len(served.gateway._mirrors._sink._child._unsent)
        assert frames == 1, "the socket does not take as much, and nobody waits for it"
    counted(served, {("pressure", ""): 2, ("lost", ""): 1})


def test_what_a_process_held_that_died_is_lost_and_another_is_started_after_a_while(starts: Callable[..., Any]) -> None:
    context, started = starts("dies")
    with context as served:
        its = started(served)
        post(served)
        counted(served, {("lost", ""): 1})
        assert its.said == ["the process that mirrors has ended; it is started again in 1 s at the earliest"]
        its.now[0] += 0.9
        post(served)
        counted(served, {("lost", ""): 2})
        its.now[0] += 0.2
        post(served)
        counted(served, {("lost", ""): 3})
        assert its.told == ["up", "job", "up", "job"]
        assert its.said[1:] == ["the process that mirrors has ended; it is started again in 2 s at the earliest"]
        assert served.gateway.counts == {}


def test_a_process_that_cannot_be_started_costs_nothing_either(starts: Callable[..., Any], tmp_path: Path) -> None:
    context, _ = starts("", command=[str(tmp_path / "no such program")])
    with context as served:
        assert post(served)[2] == COMPLETION
        counted(served, {("lost", ""): 1})


def test_a_process_that_does_not_end_is_ended(starts: Callable[..., Any]) -> None:
    context, started = starts("stays", ending_s=0.2)
    with context as served:
        post(served)
        its = started(served)
        until(lambda: "job" in its.told)
    assert its.told == ["up", "job", "eof"]
    assert served.spool.unmirrored == {("lost", ""): 1}, "it could not count itself what it held"


def test_a_process_that_was_done_with_nothing_for_half_an_hour_is_ended_and_started_anew(starts: Callable[..., Any]) -> None:
    context, started = starts("holds")
    with context as served:
        its = started(served)
        for _ in range(mirroring.MOST_JOBS):
            post(served)
        until(lambda: its.told.count("job") == mirroring.MOST_JOBS)
        its.now[0] += mirroring.STUCK_S + 1
        post(served)
        counted(served, {("pressure", ""): 1, ("lost", ""): mirroring.MOST_JOBS})
        its.now[0] += 2
        post(served)
        until(lambda: its.told.count("up") == 2)

"""A trickle of copies to the way back as a gateway sees it: which requests are copied, as what, and which are not and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from detent import trickle
from detent.shadow import unmirrored
from detent.shadow.job import Job
from detent.terms import Arm, DrillShare, Flag, FlagSet, Mirror, Price, RecordPolicy, Role, Trickle, Unmirrored, Version
from mock_upstream import COMPLETION, MESSAGE, OK, Mock, answer
from serving import ASKED, STABLE, Served, flagset, post, serving, until, with_rollout

BACK = "atlas-2026-01-01"
PRICE = Price(name="x", input=1.0, output=2.0)


@pytest.fixture(autouse=True)
def _sums_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unmirrored, "EVERY_S", 0.05)


def trickling(flags: FlagSet, *, share: float = 1.0, provider: str | None = None) -> FlagSet:
    """Outside a rollout, with copies to the way back."""
    trickles = {
        route: Trickle(version=Version(provider or pinned, BACK), share=share, usd_per_day=1.0, price=PRICE)
        for route, pinned in (("chat", "openai"), ("messages", "anthropic"))
    }
    stable = {route: Flag(route=route, revision=7, stable=Version(one.provider, STABLE)) for route, one in flags.manifest.routes.items()}
    return replace(flags, trickles=trickles, flags=stable)


@pytest.fixture
def place(mock: Mock, gateway: Served) -> Served:
    """Every unit is drawn."""
    gateway.flags = trickling(flagset(mock.url, candidate_url=mock.url))
    return gateway


def one_job(gateway: Served) -> Job:
    until(lambda: gateway.kept.jobs)
    (job,) = gateway.kept.jobs
    return job


def counted(gateway: Served, what: dict[tuple[str, str], int]) -> None:
    """Waits until exactly that was not copied: sums are written once in a while."""
    until(lambda: sum(gateway.spool.unmirrored.values()) >= sum(what.values()))
    assert gateway.spool.unmirrored == what


def with_route(flags: FlagSet, **more: Any) -> FlagSet:
    routes = {name: replace(route, **more) for name, route in flags.manifest.routes.items()}
    return replace(flags, manifest=replace(flags.manifest, routes=routes))


# ── what is copied ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_stable_has_answered_goes_on_to_the_way_back_and_nothing_of_it_is_kept(mock: Mock, place: Served) -> None:
    assert post(place, x_detent_session_id="s-1")[2] == COMPLETION
    job = one_job(place)
    live, _ = place.spool.leg(Role.SERVED)
    copy = job.candidate.intent
    assert json.loads(job.candidate.outgoing.body) == ASKED | {"model": BACK}
    assert (copy.role, copy.why, copy.rollout, copy.randomised) == (Role.MIRRORED, "warm", None, False)
    assert (copy.arm, copy.arm_served, copy.provider, copy.model) == (Arm.STABLE, Arm.STABLE, "openai", BACK)
    assert (copy.exchange, copy.unit) == (live.exchange, live.unit)
    assert (job.warms, job.keeps, job.second, job.request, job.heard.body) == (True, False, None, b"", None)
    assert job.mirror == Mirror(share=1.0, usd_per_day=1.0, stable_price=PRICE)
    assert (job.payer, job.counter) == ("warm:chat", trickle.counted_under("chat", live.at_us))
    assert [seen.json["model"] for seen in mock.seen] == [STABLE], "the gateway itself sends nothing twice"


def test_a_copy_says_that_it_is_one_and_has_the_shadows_key(mock: Mock, place: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SHADOW_KEY", "the shadow's")
    providers = place.flags.manifest.providers
    shadowed = providers | {"openai": replace(providers["openai"], shadow_key_env="TEST_SHADOW_KEY")}
    place.flags = replace(place.flags, manifest=replace(place.flags.manifest, providers=shadowed))
    post(place, idempotency_key="k-1")
    sent = dict(one_job(place).candidate.outgoing.headers)
    assert (sent["x-detent-no-shadow"], sent["authorization"]) == ("1", "Bearer the shadow's")
    assert "idempotency-key" not in sent
    monkeypatch.delenv("TEST_SHADOW_KEY")
    post(place)
    counted(place, {("no_key", "TEST_SHADOW_KEY"): 1})


def test_units_are_drawn_and_stay_drawn(mock: Mock, place: Served) -> None:
    """Every fifth session or so, with all of its requests; another installation draws others."""
    place.flags = replace(place.flags, trickles={"chat": replace(place.flags.trickles["chat"], share=0.2)})
    for _ in range(3):
        for session in range(60):
            post(place, x_detent_session_id=f"s-{session}")
        place.spool.settle()
    drawn = [job.live.unit for job in place.kept.jobs]
    assert 0 < len(set(drawn)) < 30
    assert sorted(drawn) == sorted(list(set(drawn)) * 3), "all three requests of each, or none"


def test_a_share_that_grows_keeps_who_was_in(place: Served) -> None:
    """Sticky across changes of the plan: `draw < share` for one draw."""

    def drawn(share: float) -> set[str]:
        place.kept.jobs.clear()
        place.flags = replace(place.flags, trickles={"chat": replace(place.flags.trickles["chat"], share=share)})
        for session in range(40):
            post(place, x_detent_session_id=f"s-{session}")
        place.spool.settle()
        return {job.live.unit for job in place.kept.jobs}

    few, more = drawn(0.2), drawn(0.6)
    assert few
    assert few < more


def test_a_history_with_signed_thinking_goes_without_it_as_it_would_in_a_rollback(mock: Mock, place: Served) -> None:
    mock.answer = lambda seen: answer(MESSAGE)
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2lnbmVk"}
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": [thought, {"type": "text", "text": "b"}]}]
    body = {"model": "messages", "max_tokens": 9, "messages": [*said, {"role": "user", "content": "c"}]}
    post(place, "/v1/messages", body)
    assert b"signature" in mock.seen[-1].body, "stable gets its own"
    copied = json.loads(one_job(place).candidate.outgoing.body)
    assert copied["messages"][1]["content"] == [{"type": "text", "text": "b"}]


def test_a_turn_that_another_version_cannot_take_up_is_counted(mock: Mock, place: Served) -> None:
    mock.answer = lambda seen: answer(MESSAGE)
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2lnbmVk"}
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": [thought, call]}]
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "1"}]}
    body = {"model": "messages", "max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}, "messages": [*said, result]}
    assert post(place, "/v1/messages", body)[0] == 200
    counted(place, {("bound", ""): 1})
    assert place.kept.jobs == []


# ── what is not ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def quiet(place: Served) -> Iterator[Served]:
    """In which nothing may be copied, and nothing counted as left out: there was nothing to copy."""
    yield place
    place.spool.settle()
    assert (place.kept.jobs, place.spool.unmirrored) == ([], {})


def test_without_a_trickle_nothing_is_copied(quiet: Served) -> None:
    quiet.flags = replace(quiet.flags, trickles={})
    assert post(quiet)[0] == 200


def test_a_rollout_has_copies_of_its_own_only(mock: Mock, place: Served) -> None:
    place.flags = replace(with_rollout(place.flags, shadow=1.0), trickles=place.flags.trickles)
    post(place)
    job = one_job(place)
    assert (job.warms, job.candidate.intent.rollout, job.payer) == (False, "ro_1", "ro_1")


def test_a_rollout_whose_shadow_is_over_has_none(quiet: Served) -> None:
    quiet.flags = replace(with_rollout(quiet.flags), trickles=quiet.flags.trickles)
    post(quiet)


def test_a_drill_asks_the_way_back_itself(mock: Mock, quiet: Served) -> None:
    drill = DrillShare(drill="dr_1", version=Version("openai", BACK), share=0.5, salt="s", lasts_s=300.0)
    quiet.flags = replace(quiet.flags, flags={"chat": replace(quiet.flags.flags["chat"], drill=drill)})
    for session in range(8):
        assert post(quiet, x_detent_session_id=f"s-{session}")[0] == 200


def test_what_stable_did_not_answer_is_no_request_to_try_the_way_back_with(mock: Mock, quiet: Served) -> None:
    mock.answer = lambda seen: answer(b'{"error": {"message": "no"}}', status=400)
    assert post(quiet)[0] == 400


def test_a_way_back_that_has_become_the_pin_or_has_no_provider_is_copied_nothing(quiet: Served) -> None:
    pinned = quiet.flags.flags["chat"].stable
    for version in (pinned, Version("gone", BACK), Version("anthropic", BACK)):
        quiet.flags = replace(quiet.flags, trickles={"chat": replace(quiet.flags.trickles["chat"], version=version)})
        post(quiet)


def test_a_gateway_that_knows_only_its_pin_file_draws_nobody(quiet: Served) -> None:
    """Without the installation's key units of all gateways would be drawn alike by anybody who knows their names."""
    quiet.flags = replace(quiet.flags, identity_key="")
    post(quiet)


@pytest.mark.parametrize(
    ("body", "headers", "why"),
    [
        ({"store": True}, {}, ("effects", "store")),
        ({"tools": [{"type": "web_search"}]}, {}, ("effects", "web_search")),
        ({}, {"x_detent_no_shadow": "1"}, ("no_shadow", "")),
        ({}, {"x_detent_no_record": "1"}, ("no_shadow", "")),
    ],
)
def test_a_request_with_effects_or_without_leave_is_counted_and_goes_nowhere(
    place: Served, body: dict[str, Any], headers: dict[str, str], why: tuple[str, str]
) -> None:
    assert post(place, body=ASKED | body, **headers)[0] == 200
    counted(place, {why: 1})
    (said,) = [entry for entry in place.spool.entries if isinstance(entry, Unmirrored)]
    assert said.rollout.startswith("warm:chat:20"), "under the route and the day"
    assert place.kept.jobs == []


def test_a_way_back_that_no_processor_of_the_route_serves_is_sent_nothing(place: Served) -> None:
    """The flags of the store leave it out already; a gateway that has older ones looks for itself."""
    place.flags = with_route(trickling(place.flags, provider="openai-next"), processors=("openai",))
    post(place)
    counted(place, {("processor", "openai-next"): 1})
    assert place.kept.jobs == []


def test_a_provider_that_tells_live_traffic_to_slow_down_gets_no_copies_for_30_s(mock: Mock) -> None:
    seconds = [0.0]
    with serving(trickling(flagset(mock.url)), monotonic=lambda: seconds[0]) as place:
        mock.answer = lambda seen: answer(b"{}", status=429)
        post(place)
        mock.answer = lambda seen: OK
        post(place)
        counted(place, {("paused", ""): 1})
        seconds[0] = 30.0
        post(place)
        one_job(place)


def test_what_the_process_that_mirrors_has_no_room_for_is_counted(place: Served) -> None:
    place.kept.refuses = "pressure"
    post(place)
    counted(place, {("pressure", ""): 1})


def test_a_route_that_keeps_bodies_keeps_none_for_being_copied(mock: Mock, place: Served) -> None:
    place.flags = with_route(place.flags, record=RecordPolicy(bodies=1e-12))
    post(place)
    job = one_job(place)
    assert job.keeps is False
    assert place.spool.last().answer_body is None


def test_the_gateway_that_mirrors_no_mirror_copies_no_copy(place: Served) -> None:
    post(place)
    sent = dict(one_job(place).candidate.outgoing.headers)
    post(place, **{name: value for name, value in sent.items() if name.startswith("x-detent")})
    counted(place, {("no_shadow", ""): 1})
    assert len(place.kept.jobs) == 1

"""A trickle of copies in earnest: a server, the process that mirrors, the simulator as provider, on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from detent import trickle
from detent.cli import main
from detent.controller import act, apply, way_backs
from detent.evidence.spending import DAY_US, cost_usd, day_of
from detent.prober import PROMPT
from detent.shadow import records as shadow_records
from detent.shadow.job import Job
from detent.sim.versions import REPEATING, RESHAPING
from detent.store import Store
from detent.store.journal import Recorded
from detent.terms import WARM, Intent, Mirror, Outcome, Phase, Price, Result, Role, Spent, Unmirrored, Version, micros
from mirrored import completion, job, mirroring
from mock_upstream import GO, Mock, Script, Seen, answer, running
from outside import HONEST, STABLE, Door, post
from processes import Installation, Process, now, standing, until
from records import at, intent, rollout

pytest_plugins = ("stores",)

PRICE = Price(name=f"atlas/{HONEST}", input=20.0, output=50.0)
COSTS = "".join(f'[prices."atlas/{version}"]\ninput = 20.0\noutput = 50.0\n\n' for version in (HONEST, RESHAPING, REPEATING))


def pin_file(place: Installation, *, back: str | None = HONEST, warm: str = "{ share = 1.0, usd_per_day = 500.0 }") -> str:
    named = f'rollback = "{back}"' if back is not None else ""
    text = place.text().replace("[plans.quick]", f"[plans.quick]\nwarm = {warm}")
    return COSTS + text.replace("[routes.chat]", f"[routes.chat]\n{named}")


def applied(place: Installation, text: str) -> list[str]:
    """Hand the file to the store; gives what is told of it."""
    place.file.write_text(text)
    found = apply(place.store, text, file="detent.toml", by="test", now=now(), new_id=str, new_salt=str)
    return [line for proposal in found for line in proposal.details]


_NUMBERS = itertools.count()


def ask(process: Process, n: int) -> None:
    """So many users, each answered by stable."""
    for _ in range(n):
        number = next(_NUMBERS)
        answered = post(process.url, f"session-{number}", f"What of {number}?")
        assert (answered.status, answered.model) == (200, STABLE)


def copies(place: Installation) -> list[Recorded]:
    """The copies in the journal that have ended."""
    legs = place.store.journal.latest("chat", 100_000)
    return [leg for leg in legs if leg.intent.role is Role.MIRRORED and leg.result is not None]


def left_out(place: Installation) -> Counter[str]:
    """What was drawn and not copied today, and at midnight the day before."""
    found = Counter[str]()
    for name in {trickle.counted_under("chat", micros(now() - ago)) for ago in (timedelta(), timedelta(minutes=5))}:
        for (reason, _), n in place.store.state.not_mirrored(name).items():
            found[reason] += n
    return found


# ── the whole of it ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_trickle_proves_the_way_back_keeps_to_its_budget_and_follows_it(
    tmp_path: Path, store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Door().on_a_socket() as provider, standing(tmp_path, provider.url, store_url=store_url) as place:

        def asked(version: str) -> int:
            return sum(model == version for model, _ in provider.asked)

        told = applied(place, pin_file(place))
        assert told == [
            f"warm: copies of 100 % of units to {HONEST} outside a rollout: 500.00 USD a day at most; the last hour saw no traffic to "
            "forecast by"
        ]
        server = place.serve()
        place.acknowledged(server)
        ask(server, 12)
        until(lambda: asked(HONEST) == 12, "a copy of each")
        until(lambda: len(copies(place)) == 12, "each on record")
        assert {(leg.intent.why, leg.intent.rollout, leg.intent.model) for leg in copies(place)} == {(WARM, None, HONEST)}
        assert all(leg.result is not None and not leg.result.request_body and not leg.result.answer_body for leg in copies(place))

        found = way_backs(place.store, now())["chat"]
        assert (found.version, found.by, found.broken) == (Version("atlas", HONEST), "traffic", "")
        assert found.latency_s is not None

        worth = sum(cost_usd(leg.result.usage, PRICE) or 0.0 for leg in copies(place) if leg.result is not None)

        def spent() -> Spent:
            return place.store.state.spent_on(trickle.account("chat"), day_of(micros(now())), "mirrors")

        until(lambda: spent().usd == pytest.approx(worth), "what they cost, told to the ledger")
        arguments = ["--file", str(place.file), *(["--store", store_url])]
        assert main(["status", *arguments]) == 0
        said = capsys.readouterr().out
        assert f"copies of 100 % of units to {HONEST}: {trickle.usd(worth)} USD today of 500.00 at most" in said
        assert "12 of the last 12 answered" in said
        assert main(["plan", *arguments]) == 0

        applied(place, pin_file(place, back=RESHAPING))
        place.acknowledged(server)
        ask(server, 3)
        until(lambda: asked(RESHAPING) == 3, "copies to the way back that the file names now")

        applied(place, pin_file(place, back=None))
        done = rollout(id="ro_0", route="chat", stable=Version("atlas", REPEATING), candidate=Version("atlas", STABLE), phase=Phase.DONE)
        assert place.store.state.keep_former(replace(done, ended_at=now()))
        place.acknowledged(server)
        ask(server, 3)
        until(lambda: asked(REPEATING) == 3, "copies to the former version, of which nobody told the file")

        place.store.state.retire("chat", Version("atlas", REPEATING), by="ann", why="it is old", at=now())
        place.acknowledged(server)
        ask(server, 3)
        applied(place, pin_file(place))
        place.acknowledged(server)
        ask(server, 1)
        until(lambda: asked(HONEST) == 13, "copies again")
        assert asked(REPEATING) == 3, "none to the one that was retired"
        assert not left_out(place)


def test_a_rollout_ends_it_at_every_gateway_and_its_end_begins_it_again(tmp_path: Path) -> None:
    with Door().on_a_socket() as provider, standing(tmp_path, provider.url) as place:
        applied(place, pin_file(place, back=RESHAPING))
        server = place.serve()
        place.store.state.open_rollout(
            rollout(id="ro_1", route="chat", stable=Version("atlas", STABLE), candidate=Version("atlas", HONEST), opened_at=now()),
            replace(place.store.state.flags()["chat"], rollout="ro_1", candidate=Version("atlas", HONEST), salt="s"),
            by="test",
            at=now(),
        )
        place.acknowledged(server)
        ask(server, 5)
        act(place.store, "ro_1", "abort", by="test", why="enough", now=now())
        place.acknowledged(server)
        ask(server, 2)
        until(lambda: len(copies(place)) == 2, "copies again")
        assert sum(model == RESHAPING for model, _ in provider.asked) == 2


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────────


class Scripted:
    """A provider whose way back answers probes well, and copies as `copies` has it; one waits for `GO` while `holds`."""

    def __init__(self, mock: Mock) -> None:
        self.mock, self.holds, self.asked = mock, False, 0
        self.copies: Callable[[str], Script] = lambda model: answer(completion("Here.", model))
        mock.answer = self._answer

    def _answer(self, seen: Seen) -> Script:
        if seen.method == "GET":
            return answer(b"{}", status=404)
        model = seen.json["model"]
        if model != HONEST or PROMPT.encode() in seen.body:
            return answer(completion("Here.", model))
        self.asked += 1
        return [GO, *self.copies(model)] if self.holds else self.copies(model)


@contextmanager
def trickling(home: Path, **more: Any) -> Iterator[tuple[Installation, Scripted, Process]]:
    with running() as mock, standing(home, mock.url) as place:
        applied(place, pin_file(place, **more))
        provider, server = Scripted(mock), place.serve()
        place.acknowledged(server)
        yield place, provider, server


def test_a_way_back_that_refuses_what_the_app_sends_is_broken_and_pages_although_its_probes_are_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with trickling(tmp_path) as (place, provider, server):
        provider.copies = lambda model: answer(b'{"error": {"message": "Unsupported value: tools"}}', status=400)
        ask(server, 10)
        until(lambda: len(copies(place)) == 10, "ten copies, refused")
        until(lambda: place.store.state.probes("chat", Version("atlas", HONEST), since=now() - timedelta(hours=1)), "a probe")
        (page,) = until(lambda: [one for one in place.store.state.alerts() if one.kind == "WayBackBroken"], "the page")
        assert page.pages
        said = (
            "it does not take the app's own requests: it refused those of 10 of the last 10 units, copies of such as the pinned version "
            "answers"
        )
        assert said in page.sentence
        assert main(["status", "--file", str(place.file)]) == 0
        status = capsys.readouterr().out
        assert f"BROKEN: {said}" in status
        assert "0 of the last 10 answered" in status


def test_a_provider_that_asks_for_rest_gets_it_and_live_traffic_notices_nothing(tmp_path: Path) -> None:
    with trickling(tmp_path) as (place, provider, server):
        provider.copies = lambda model: answer(b"{}", status=429, retry_after="3600")
        ask(server, 1)
        until(lambda: len(copies(place)) == 1, "the copy that was told so")
        ask(server, 4)
        until(lambda: left_out(place)["paused"] == 4, "the others, counted")
        assert provider.asked == 1


@pytest.mark.fault(
    "the process that mirrors is killed with copies to the way back under way",
    "live traffic goes on, another is started, what it had in hand is counted as lost and its reservation stays taken",
)
def test_a_killed_process_that_mirrors_costs_live_traffic_nothing(tmp_path: Path) -> None:
    with trickling(tmp_path) as (place, provider, server):
        provider.holds = True
        ask(server, 5)
        until(lambda: provider.asked == 5, "five copies under way")
        for pid in until(place.mirroring, "the process that mirrors"):
            os.kill(pid, signal.SIGKILL)
        until(lambda: not place.mirroring(), "its end")
        ask(server, 3)
        provider.holds = False
        provider.mock.go()

        def answered_again() -> bool:
            ask(server, 1)
            return any(leg.result is not None and leg.result.outcome is Outcome.COMPLETE for leg in copies(place))

        until(answered_again, "a copy by the next process")
        until(lambda: left_out(place)["lost"] >= 5, "the five, lost")
        spent = place.store.state.spent_on(trickle.account("chat"), day_of(micros(now())), "mirrors")
        assert spent.held_usd > 0.0, "what the killed one had reserved"
        assert way_backs(place.store, now())["chat"].broken == "", "what we lost ourselves is no fault of the way back"


# ── the budget of the day ────────────────────────────────────────────────────────────────────────────────────────────

WROTE = 4000
DEAR = Price(name="x", input=0.0, output=100.0)
"""A copy that sets no limit of its own may cost 4096 tokens, 0.4096 USD, and does cost 0.40."""


def warm_job(url: str, name: str, limit_usd: float) -> Job:
    made = job(url, name, mirror=Mirror(share=1.0, usd_per_day=limit_usd, stable_price=DEAR), keeps=False)
    copy = replace(made.candidate.intent, why=WARM, rollout=None, arm=made.live.arm, arm_served=made.live.arm)
    live = intent(name, rollout=None, why="", randomised=False)
    return replace(made, live=live, request=b"", heard=replace(made.heard, body=None), candidate=replace(made.candidate, intent=copy))


def test_copies_stop_at_the_days_limit_for_all_gateways_together_and_begin_again_the_next_day(store: Store) -> None:
    """Ten at 0.4096 fit in 4.10 USD at 22:00, when all of the day's budget is there; the next day's is its own."""
    evening, calls = at(10 * 3600), Counter[str]()
    with running() as provider:
        usage = {"prompt_tokens": 20, "completion_tokens": WROTE, "total_tokens": WROTE + 20}

        def answered(seen: Seen) -> Script:
            calls[seen.json["model"]] += 1
            return answer(completion("Here.", usage=usage))

        provider.answer = answered

        def gateway(name: str, jobs: int, clock_us: int) -> Counter[str]:
            async def steps(made: Any) -> None:
                for n in range(jobs):
                    await made.sender.mirror(warm_job(provider.url, f"{name}{n}", 4.1))

            done = mirroring(steps, ledger=store.state, clock_us=lambda: clock_us)
            assert not [entry for entry in done.entries if not isinstance(entry, Intent | Result | Unmirrored)], "no text, no score"
            return Counter({"copied": len(done.results)}) + Counter(done.left_out)

        one, other = gateway("a", 6, evening), gateway("b", 9, evening)
        spent = store.state.spent_on("warm:summarizer", day_of(evening), "mirrors")
        assert one == Counter(copied=6)
        assert (other["copied"], other["budget"]) == (4, 5)
        assert spent.usd == pytest.approx(10 * 0.40)
        assert spent.usd + spent.held_usd <= 4.1
        assert gateway("c", 2, evening + DAY_US) == Counter(copied=2)
        assert sum(calls.values()) == 12
        assert store.state.spent_on("warm:summarizer", day_of(evening), "mirrors") == spent, "yesterday's stays as it was"


def test_a_copy_whose_price_is_not_known_is_never_sent(store: Store) -> None:
    async def steps(made: Any) -> None:
        unpriced = warm_job("http://127.0.0.1:9", "a", 1.0)
        await made.sender.mirror(replace(unpriced, mirror=replace(unpriced.mirror, stable_price=None)))

    done = mirroring(steps, ledger=store.state)
    assert (done.intents, done.left_out) == ([], {"budget": 1})


def test_the_way_backs_price_is_what_a_copy_is_reserved_at() -> None:
    made = warm_job("http://127.0.0.1:9", "a", 1.0)
    assert shadow_records.price_of(made, made.candidate) == DEAR

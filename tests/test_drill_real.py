"""Drills with real processes: a server, a gateway, callers and a provider; drillers that are killed, and a way back that breaks midway."""

from __future__ import annotations

import http.client
import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from detent.controller import apply
from detent.terms import DrillReport, Probe, Version
from mock_upstream import Mock, Script, Seen, answer, running
from outside import STABLE, Answered, post
from processes import Installation, Process, now, standing, until

BACK = "atlas-2026-02-01"


def completion(model: str) -> bytes:
    message = {"role": "assistant", "content": "Here."}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "created": 0, "model": model, "choices": [{"message": message, "finish_reason": "stop"}]}
    ).encode()


@dataclass
class World:
    """An installation under load: callers that ask all the while, each a new session's, and a provider that may fail for one version."""

    place: Installation
    provider: Mock
    server: Process
    urls: list[str]
    answered: list[Answered] = field(default_factory=list)
    broken: int | None = None
    failed: list[str] = field(default_factory=list)

    def says(self, seen: Seen) -> Script:
        if seen.method == "GET":  # the prober asks for what is announced of a version
            return answer(b"{}", 404)
        model = str(seen.json["model"])
        if model == BACK and self.broken is not None and not _is_probe(seen):
            return answer(b'{"error":{"message":"no","type":"server_error","code":null}}', self.broken)
        return answer(completion(model))

    def detent(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "detent", *arguments, "--file", str(self.place.file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def drill(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The exit code and the report of a whole drill."""
        ran = self.detent("drill", "chat", "--json", *arguments)
        assert ran.stdout, ran.stderr
        return ran.returncode, json.loads(ran.stdout)

    def under_way(self) -> DrillReport | None:
        found = self.place.store.state.drills("chat", under_way=True)
        return found[0] if found else None

    def on_the_way_back(self) -> int:
        """Answers of the way back that callers have."""
        return sum(one.model == BACK for one in self.answered)

    @contextmanager
    def load(self) -> Iterator[None]:
        """Four callers, until the end of the block."""
        over, numbers = threading.Event(), itertools.count(len(self.answered))

        def ask() -> None:
            while not over.is_set():
                number = next(numbers)
                try:
                    self.answered.append(post(self.urls[number % len(self.urls)], f"caller-{number}"))
                except (OSError, http.client.HTTPException) as error:
                    self.failed.append(repr(error))
                over.wait(0.005)

        threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join(30)


def _is_probe(seen: Seen) -> bool:
    """A sign of life, not a caller's request."""
    return bool(seen.json["messages"][0]["content"] != "What?")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running() as provider, standing(tmp_path_factory.mktemp("drill"), provider.url) as place:
        text = place.text().replace("owner    =", f'rollback = "{BACK}"\nowner    =', 1)
        place.file.write_text(text)
        apply(place.store, text, file="detent.toml", by="test", now=now(), new_id=str, new_salt=str)
        server, gateway = place.serve(), place.gateway()
        found = World(place, provider, server, [server.url, gateway.url])
        provider.answer = found.says
        place.acknowledged(server, gateway)
        yield found


@pytest.fixture(autouse=True)
def _well(world: World) -> None:
    """No way back is drilled that is known to be broken: what a test before this one broke has been probed since."""
    world.broken = None
    world.place.store.state.add_probes([Probe(route="chat", version=Version("atlas", BACK), at=now(), ok=True, latency_s=0.01)])
    world.answered.clear()
    world.failed.clear()
    assert world.under_way() is None
    assert world.place.store.state.flags()["chat"].drill is None


STEPS = [
    "decided",
    "written",
    "first_ack",
    "last_ack",
    "first_answer",
    "return_written",
    "return_first_ack",
    "return_last_ack",
]


def test_real_traffic_goes_to_the_way_back_and_returns(world: World) -> None:
    with world.load():
        until(lambda: len(world.answered) > 20)
        code, report = world.drill("--share", "0.5", "--lasts", "2s", "--by", "ada")
        returned = len(world.answered)
        until(lambda: len(world.answered) > returned + 40)
    assert (code, report["verdict"]) == (0, "passed"), report
    assert [step["name"] for step in report["steps"]] == STEPS
    assert (report["gateways"], report["silent"], report["failed"]) == (2, [], 0)
    there = world.on_the_way_back()
    share = report["served"] / (report["served"] + report["usual_served"])
    assert 0.35 < share < 0.65
    assert abs(there - report["served"]) <= 8  # those in flight as it was written and as it returned
    assert world.failed == []
    assert {one.status for one in world.answered} == {200}
    assert all(one.model == STABLE for one in world.answered[returned + 8 :])
    shown = world.detent("drill", "--show", "chat").stdout
    assert "every" not in shown
    assert "the first good answer of the way back" in shown
    assert "gateways served it" in shown
    assert f"drill {report['id']} of chat passed" in world.detent("status").stdout


def test_a_driller_that_is_killed_leaves_its_drill_to_the_server(world: World) -> None:
    with world.load():
        driller = world.place.start("drill", "chat", "--share", "0.5", "--lasts", "3s")
        until(lambda: world.on_the_way_back() > 10, "traffic on the way back")
        driller.kill()
        found = world.under_way()
        assert found is not None
        until(lambda: world.under_way() is None, "an end of the drill")
    report = world.place.store.state.drill(found.id)
    assert (report.verdict, [step.name for step in report.steps]) == ("passed", STEPS), report
    assert world.place.store.state.flags()["chat"].drill is None
    assert {one.status for one in world.answered} == {200}


def test_a_way_back_that_breaks_under_it_ends_the_drill_at_once_and_no_caller_sees_it(world: World) -> None:
    with world.load():
        driller = world.place.start("drill", "chat", "--share", "0.5", "--lasts", "10m")
        until(lambda: world.on_the_way_back() > 30, "traffic on the way back")
        world.broken = 500
        until(lambda: world.under_way() is None, "an end of the drill")
        assert driller.wait() == 1
    (report, *_) = world.place.store.state.drills("chat")
    assert report.verdict == "failed"
    assert "answers failed" in report.why
    assert report.failed >= 3
    assert {one.status for one in world.answered} == {200}
    assert "DrillFailed" in {one.kind for one in world.place.store.state.alerts()}


def test_a_quota_that_is_used_up_ends_the_drill(world: World) -> None:
    with world.load():
        driller = world.place.start("drill", "chat", "--share", "0.5", "--lasts", "10m")
        until(lambda: world.on_the_way_back() > 10, "traffic on the way back")
        world.broken = 429
        assert driller.wait() == 1
    (report, *_) = world.place.store.state.drills("chat")
    assert (report.verdict, report.over_quota > 0) == ("failed", True)
    assert "quota is used up" in report.why
    assert "quota_hit" in [step.name for step in report.steps]
    assert {one.status for one in world.answered} == {200}


def test_a_rollback_in_the_middle_ends_it(world: World) -> None:
    with world.load():
        driller = world.place.start("drill", "chat", "--share", "0.5", "--lasts", "10m")
        until(lambda: world.on_the_way_back() > 10, "traffic on the way back")
        assert world.detent("rollback", "chat", "--why", "enough").returncode == 0
        assert driller.wait() == 3
    (report, *_) = world.place.store.state.drills("chat")
    assert (report.verdict, report.why) == ("aborted", "enough")
    assert world.place.store.state.flags()["chat"].drill is None


def test_somebody_is_paged_and_presses(world: World) -> None:
    with world.load():
        driller = world.place.start("drill", "chat", "--page", "--share", "0.5", "--lasts", "2s")
        drill = until(world.under_way, f"a drill that waits ({driller.talk})")
        page = until(lambda: [one for one in world.place.store.state.alerts() if one.kind == "DrillPage"])[0]
        world.place.store.state.acknowledge_alert(page.id, "bob", now())
        assert world.on_the_way_back() == 0
        press = world.detent("drill", "chat", "--press", drill.id, "--by", "bob", "--json")
        assert press.returncode == 0, press.stderr
        assert driller.wait() == 0
    report = world.place.store.state.drill(drill.id)
    assert [step.name for step in report.steps] == ["alert", "acknowledged", "pressed", *STEPS]
    assert report.verdict == "passed"


@pytest.mark.fault(
    "the controller is gone: in a drill",
    "gateways return the traffic by their own clocks, and the next command ends the drill",
)
def test_with_everybody_killed_the_gateways_return_the_traffic_and_the_next_command_closes_the_row(world: World) -> None:
    """The last test: it takes the server away. The gateway that lives hears of nothing and ends the drill by its own clock."""
    world.urls = world.urls[1:]
    with world.load():
        driller = world.place.start("drill", "chat", "--share", "0.5", "--lasts", "4s")
        until(lambda: world.on_the_way_back() > 10, "traffic on the way back")
        driller.kill()
        world.server.kill()
        found = world.under_way()
        assert found is not None

        def quiet() -> bool:
            before = len(world.answered)
            until(lambda: len(world.answered) > before + 40)
            return all(one.model == STABLE for one in world.answered[before + 8 : before + 40])

        until(quiet, "the pinned version alone")
        assert world.place.store.state.flags()["chat"].drill is not None  # nobody has written anything
        until(lambda: now() > found.ends_at if found.ends_at else False)
        world.detent("status")
        assert world.place.store.state.flags()["chat"].drill is None
        until(lambda: "drill" in world.detent("status").stdout and world.under_way() is None, "a closed row")
    report = world.place.store.state.drill(found.id)
    assert report.verdict is not None
    assert report.version == Version("atlas", BACK)
    assert {one.status for one in world.answered} == {200}


def test_the_talk_of_a_page_names_the_two_commands(world: World, tmp_path: Path) -> None:
    refused = world.detent("drill", "--page", "--press", "dr_1", "chat")
    assert refused.returncode == 2
    assert "one at a time: `--page` and `--press`" in refused.stderr
    assert world.detent("drill").returncode == 2
    assert world.detent("drill", "chat", "--share", "2").returncode == 2
    waived = world.detent("drill", "chat", "--waive")
    assert (waived.returncode, "--waive needs a reason" in waived.stderr) == (2, True)

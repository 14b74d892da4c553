"""Copies as the store has them: what they say of the way back, that probes are spared by them, what `plan` and `status` tell of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controlling import World
from detent import trickle
from detent.cli import main
from detent.controller import trickles, warmth, way_backs
from detent.evidence.spending import Cost, Limit, day_of
from detent.flags import load
from detent.ingest import Ingester
from detent.manifest import read
from detent.prober import Prober
from detent.store import Store
from detent.store.spool import Spool
from detent.terms import WARM, DrillShare, FlagSet, NotMirrored, Outcome, Phase, Role, Unmirrored, Usage, Version, micros
from mock_upstream import COMPLETION, Mock, answer, running
from records import OLD, T0, intent, result, rollout

pytest_plugins = ("stores",)

S = timedelta(seconds=1)
BACK = Version("openai", "atlas-2026-01-01")

FILE = """\
[providers.openai]
dialect = "openai"
base_url = "URL/v1"
watcher = "llm@example.com"

[prices."openai/atlas-2026-01-01"]
input = 30.0
output = 60.0

[routes.chat]
provider = "openai"
version = "atlas-2026-03-01"
rollback = "atlas-2026-01-01"
owner = "ann@example.com"
plan = "mine"

[plans.mine]
warm = { share = 0.001, usd_per_day = 1.0 }
"""


class Place(World):
    """A store with the pin file in force, a provider, and spools that are read at once."""

    def __init__(self, store: Store, provider: Mock, home: Path) -> None:
        super().__init__(store)
        self.provider, self.home, self._n = provider, home, 0
        provider.answer = lambda seen: answer(COMPLETION.replace(OLD.model.encode(), BACK.model.encode()))
        self.file(FILE)

    def file(self, text: str) -> None:
        self.apply(text.replace("URL", self.provider.url))

    @property
    def flags(self) -> FlagSet:
        return load(self.store)

    def told(self, *entries: object) -> None:
        self._n += 1
        spool = Spool(self.home / f"spool{self._n}", "gw")
        for entry in entries:
            spool.write(entry)  # type: ignore[arg-type]
        spool.close()
        Ingester(self.store, self.home / f"spool{self._n}", lambda: self.now).run_once()

    def copied(
        self,
        n: int,
        seconds: float,
        outcome: Outcome = Outcome.COMPLETE,
        status: int | None = 200,
        version: Version = BACK,
        unit: str | None = None,
    ) -> None:
        """So many copies, each of a unit of its own unless it is named, that ended so many seconds after the story began, in 0.4 s."""
        for _ in range(n):
            self._n += 1
            leg = f"c{self._n}"
            of: dict[str, Any] = {"route": "chat", "rollout": None, "role": Role.MIRRORED, "why": WARM, "randomised": False}
            copy = intent(leg, f"u-{leg}" if unit is None else unit, seconds=seconds - 0.4, model=version.model, **of)
            self.told(copy, result(leg, seconds, outcome, status=status, latency_s=0.4))

    def served(self, n: int, seconds: float) -> None:
        """So many answers of the pinned version: 400 tokens in, 100 out."""
        entries: list[object] = []
        for _ in range(n):
            self._n += 1
            leg = f"s{self._n}"
            entries.append(intent(leg, seconds=seconds, route="chat", rollout=None))
            entries.append(result(leg, seconds + 1, usage=Usage(input=400, output=100)))
        self.told(*entries)

    def left_out(self, reason: NotMirrored, n: int) -> None:
        counter = trickle.counted_under("chat", micros(self.now))
        self.told(Unmirrored(rollout=counter, at_us=micros(self.now), reason=reason, n=n))

    def probes(self) -> int:
        """How many are sent now."""
        before = len([seen for seen in self.provider.seen if seen.method == "POST"])
        Prober(self.store, lambda: self.flags, clock=lambda: self.now).step()
        return len([seen for seen in self.provider.seen if seen.method == "POST"]) - before


@pytest.fixture
def place(store: Store, tmp_path: Path) -> Iterator[Place]:
    with running() as provider:
        yield Place(store, provider, tmp_path)


def test_gateways_are_told_what_to_copy_by_the_store(place: Place) -> None:
    (route,) = place.flags.trickles.items()
    assert (route[0], route[1].version, route[1].share, route[1].price.output) == ("chat", BACK, 0.001, 60.0)
    place.file(FILE.replace("warm =", "# warm ="))
    assert place.flags.trickles == {}


def test_a_version_that_is_kept_or_retired_is_another_revision_and_one_that_is_kept_already_is_not(place: Place) -> None:
    place.file(FILE.replace("rollback", "# rollback"))
    assert place.flags.trickles == {}
    before = place.store.state.revision()
    done = rollout(route="chat", stable=BACK, candidate=OLD, phase=Phase.DONE, ended_at=T0)
    assert place.store.state.keep_former(done)
    assert place.store.state.revision() == before + 1
    assert place.flags.trickles["chat"].version == BACK
    assert not place.store.state.keep_former(done)
    assert place.store.state.revision() == before + 1
    place.store.state.retire("chat", BACK, by="ann", why="old", at=T0)
    assert place.store.state.revision() == before + 2
    assert place.flags.trickles == {}


def test_copies_of_other_versions_routes_and_rollouts_are_others(place: Place) -> None:
    place.copied(2, 10)
    place.copied(1, 20, version=Version("openai", "atlas-2025-01-01"))
    shadow = intent("x", seconds=1, route="chat", rollout="ro_1", role=Role.MIRRORED, model=BACK.model)
    place.told(
        shadow, result("x", 2), intent("open", seconds=1, route="chat", rollout=None, role=Role.MIRRORED, why=WARM, model=BACK.model)
    )
    found = place.store.journal.copies("chat", BACK, since=T0)
    lost = [(Outcome.LOST, None, None, T0 + 2 * S)]
    assert [(one.outcome, one.status, one.latency_s, one.at) for one in found] == [(Outcome.COMPLETE, 200, 0.4, T0 + 10 * S)] * 2 + lost
    assert place.store.journal.copies("other", BACK, since=T0) == []
    assert place.store.journal.copies("chat", BACK, since=T0 + 11 * S) == []


def test_copies_prove_the_way_back_and_probes_are_not_paid_beside_them(place: Place) -> None:
    assert place.probes() == 1
    place.now = T0 + 70 * S
    assert place.probes() == 1, "each minute, as long as nothing else proves it"
    place.copied(1, 100)
    place.now = T0 + 140 * S
    found = way_backs(place.store, place.now)["chat"]
    assert (found.proven, found.by, found.latency_s, found.proven_at) == (True, "traffic", 0.4, T0 + 100 * S)
    assert place.probes() == 0
    place.now = T0 + 390 * S
    assert place.probes() == 0, "until the copy is five minutes old"
    place.now = T0 + 401 * S
    assert place.probes() == 1
    assert way_backs(place.store, place.now)["chat"].by == "probes"


def test_without_a_plan_for_it_copies_on_record_say_nothing(place: Place) -> None:
    place.copied(5, 10)
    place.file(FILE.replace("warm =", "# warm ="))
    place.now = T0 + 20 * S
    assert way_backs(place.store, place.now)["chat"].unknown
    assert place.probes() == 1


def test_copies_that_the_way_back_refuses_break_it_although_a_probe_was_answered(place: Place) -> None:
    assert place.probes() == 1
    place.copied(10, 10, Outcome.HTTP_ERROR, 422)
    place.now = T0 + 20 * S
    assert way_backs(place.store, place.now)["chat"].broken.startswith(
        "it does not take the app's own requests: it refused those of 10 of the last 10 units"
    )
    place.file(FILE.replace("watcher =", 'shadow_key_env = "COPIES_KEY"\nwatcher ='))
    assert way_backs(place.store, place.now)["chat"].broken, "another key is no excuse for a request that is refused as such"
    place.file(FILE.replace("atlas-2026-01-01", "atlas-2025-01-01"))
    assert not way_backs(place.store, place.now)["chat"].broken, "another way back"


def test_a_session_that_is_refused_again_and_again_counts_once(place: Place) -> None:
    assert place.probes() == 1
    place.copied(10, 10, Outcome.HTTP_ERROR, 422, unit="long")
    place.now = T0 + 20 * S
    assert {one.unit for one in place.store.journal.copies("chat", BACK, since=T0)} == {"long"}
    assert not way_backs(place.store, place.now)["chat"].broken


def test_status_tells_what_copies_cost_today_and_what_a_day_costs(place: Place) -> None:
    """500 requests in the last hour are 12 copies a day at a thousandth, of 400 and 100 tokens at 30 and 60 USD a million: 0.216 USD."""
    place.served(500, 60)
    place.copied(3, 100)
    place.now = T0 + 120 * S
    place.left_out("effects", 2)
    place.left_out("paused", 1)
    day = day_of(micros(place.now))
    ledger = place.store.state
    assert ledger.reserve("warm:chat", day, "mirrors", "h", want=Cost(usd=0.06), limit=Limit(usd=1.0), at_us=micros(place.now))
    ledger.settle("warm:chat", day, "mirrors", "h", spent=Cost(usd=0.054), release=Cost(usd=0.06))
    said = (
        "chat: copies of 0.1 % of units to atlas-2026-01-01: 0.054 USD today of 1.00 at most, about 0.22 USD a day at the last hour's "
        "traffic; 3 of the last 3 answered; not copied today: 2 effects, 1 paused"
    )
    told = warmth(place.store, place.now)
    assert said in told.lines(place.now)
    machine = told.json()["trickles"]["chat"]
    assert (machine["spent_usd"], machine["expected_usd"], machine["not_copied"]) == (
        0.054,
        pytest.approx(0.216),
        {"effects": 2, "paused": 1},
    )
    place.now += timedelta(days=1)
    assert warmth(place.store, place.now).json()["trickles"]["chat"]["spent_usd"] == 0.0, "another day, another budget"


def test_status_says_why_nothing_is_copied_now(place: Place) -> None:
    def why() -> str:
        return warmth(place.store, place.now).trickles["chat"].why_not

    assert why() == ""
    flag = place.store.state.flags()["chat"]
    drill = DrillShare(drill="dr_1", version=BACK, share=0.1, salt="s", lasts_s=300.0)
    manifest = read(FILE.replace("URL", place.provider.url))
    drilled = trickles.copying(place.store, manifest, "chat", place.now, flag=replace(flag, drill=drill))
    assert drilled is not None
    assert drilled.why_not == "a drill sends it real traffic"
    place.store.state.open_rollout(rollout(route="chat", stable=OLD), by="ann", at=T0)
    assert why() == "rollout ro_1 is open, whose own traffic says more"
    place.store.state.commit(
        place.store.state.rollout("ro_1"),
        rollout(route="chat", stable=OLD, phase=Phase.ABORTED, ended_at=T0),
        flag=None,
        decision=None,
        evidence=None,
        by="ann",
        what="abort",
        at=T0,
    )
    place.file(FILE.replace("rollback", "# rollback"))
    assert why() == "no way back is named"
    dear = rollout(id="ro_0", route="chat", stable=Version("openai", "house-1"), phase=Phase.DONE, ended_at=T0)
    place.store.state.keep_former(dear)
    assert why().startswith("its price is not known, so that nobody could keep to a budget")
    assert place.flags.trickles == {}, "and nothing is drawn for it"


def test_plan_and_apply_tell_the_forecast_before_anything_is_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "detent.toml"
    file.write_text(FILE.replace("URL", "https://llm.example.com").replace("warm =", "# warm ="))
    assert main(["apply", "--file", str(file), "--by", "ann"]) == 0
    file.write_text(FILE.replace("URL", "https://llm.example.com"))
    capsys.readouterr()
    said = (
        "    warm: none -> 0.1 % of units, 1 USD a day at most\n"
        "    warm: copies of 0.1 % of units to atlas-2026-01-01 outside a rollout: 1.00 USD a day at most; the last hour saw no traffic to "
        "forecast by\n"
    )
    assert main(["plan", "--file", str(file)]) == 0
    assert said in capsys.readouterr().out
    assert main(["apply", "--file", str(file), "--by", "ann"]) == 0
    assert said in capsys.readouterr().out
    file.write_text(
        file.read_text().replace("atlas-2026-01-01", "house-2026-01-01").replace('prices."openai/house', 'prices."openai/other')
    )
    assert main(["plan", "--file", str(file)]) == 5
    assert "what that version costs is not known: `openai/house-2026-01-01`" in capsys.readouterr().out

"""Ten kills with signal 9, drawn by a seed, of gateways, controllers, ingesters and PostgreSQL under a rollout with traffic.

`python bench/kills.py` does the same with two hundred.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from detent.controller import act
from detent.store.spool import Spool, segments
from keepsakes import Keepsakes
from killing import killed
from outside import HONEST, STABLE, Callers, Door
from processes import CANARY, in_canary, now, standing, until
from records import intent, result
from slots import CONNECTIONS, kill_database

KILLS, SEED = 10, 6


def test_what_was_spooled_is_known_whoever_reads_and_removes_it(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    keepsakes = Keepsakes([root], tmp_path / "kept")
    keepsakes.start()
    with closing(Spool(root, "gw", segment_bytes=500)) as spool:
        for number in range(3):
            spool.write(intent(f"{number}", f"unit-{number}", float(number)))
        until(lambda: len(keepsakes.read().intents) == 3, "three legs")
        spool.write(result("0", 4.0))
        until(lambda: keepsakes.read().results, "its result")
        with max(segments(spool.dir).values()).open("ab") as torn:
            torn.write(b"\xff\xd7\x40\x00\x00\x00torn")
        for path in segments(spool.dir).values():
            path.unlink()
    keepsakes.end()
    written = keepsakes.read()
    assert (sorted(written.intents), list(written.results), written.twice) == (["le_0", "le_1", "le_2"], ["le_0"], [])
    assert written.intents["le_1"]["unit"] == "unit-1"


@pytest.mark.fault(
    "anybody is killed at any moment",
    "every request is answered but those under way at a gateway that is killed; every record is stored once; no illegal transition,"
    " no split after its rollback; the audit chain holds",
)
def test_whoever_is_killed_nothing_that_was_promised_breaks(tmp_path: Path, seen: Callable[[str], None]) -> None:
    found = killed(tmp_path, seed=SEED, kills=KILLS)
    assert found.wrong == []
    assert (found.kills.total(), found.answered > 100, found.rollouts.total() >= 1) == (KILLS, True, True)
    seen(str(found))


@pytest.mark.fault(
    "PostgreSQL is killed", "every request is answered meanwhile, nothing that was committed is lost, and a rollback works when it is back"
)
def test_a_database_that_is_killed_under_load_costs_no_request(tmp_path: Path, seen: Callable[[str], None]) -> None:
    from stores import server_of_postgres

    callers = Callers()
    with (
        Door().on_a_socket() as door,
        server_of_postgres(connections=CONNECTIONS) as server,
        standing(tmp_path, door.url, store_url=server.url(server.take())) as place,
    ):
        in_canary(place)
        gateways = [place.gateway(name) for name in ("one", "two")]
        place.acknowledged(*gateways)
        before = (place.store.state.revision(), place.store.state.flags(), place.store.state.audit())
        callers.send([gateway.url for gateway in gateways], 400)
        until(lambda: len(callers.answered) > 50, "traffic")
        began, answered = time.monotonic(), len(callers.answered)
        kill_database(server)
        away, meanwhile = time.monotonic() - began, len(callers.answered) - answered
        callers.join()
        assert callers.failed == {}
        assert {(one.status, one.model) for one in callers.answered} == {(200, STABLE), (200, HONEST)}
        assert (place.store.state.revision(), place.store.state.flags(), place.store.state.audit()) == before
        until(lambda: place.store.journal.count() == 400 and not place.store.journal.count(pending=True), "all records")
        act(place.store, CANARY, "roll_back", by="test", why="", now=now())
        place.acknowledged(*gateways)
        callers.all([gateway.url for gateway in gateways], 20)
        assert {one.model for one in callers.answered[400:]} == {STABLE}
        assert place.store.state.verify_audit().bad is None
        assert not [gateway.talk for gateway in gateways if "Traceback" in gateway.talk]
    seen(f"gone for {away:.1f} s, {meanwhile} requests answered meanwhile, none failed, all 400 on record once")

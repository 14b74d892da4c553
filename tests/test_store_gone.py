"""A store that is gone is told from one that there never was, and nobody makes a new, empty one in its place unasked."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from controlling import PIN, pin_file
from detent.anchor import ANCHOR_FILE
from detent.cli import main
from detent.store import open_store
from detent.store.remains import ANCHORS, remains
from detent.store.spool import Spool
from detent.terms import Notify
from detent.untold import NOBODY, untold
from mock_upstream import running
from processes import standing


@dataclass
class Desk:
    path: Path
    capsys: pytest.CaptureFixture[str]

    def runs(self, *words: str) -> tuple[int, str, str]:
        code = main([*words, "--file", str(self.path / "detent.toml")])
        out, err = self.capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    @property
    def state(self) -> Path:
        return self.path / ".detent" / "state.db"

    def lose(self, *, empty: bool = False) -> None:
        for path in self.state.parent.glob("state.db*"):
            path.unlink()
        if empty:
            self.state.touch()


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    (tmp_path / "detent.toml").write_text(pin_file(chat=None))
    return Desk(tmp_path, capsys)


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize(
    "words",
    [("status",), ("rollback", "chat"), ("explain", "chat"), ("plan",), ("token", "list"), ("apply",), ("baseline", "freeze", "chat")],
)
def test_a_store_that_is_gone_is_not_one_that_never_was(desk: Desk, words: tuple[str, ...], empty: bool) -> None:
    assert desk.runs("apply")[0] == 0
    desk.lose(empty=empty)
    code, out, err = desk.runs(*words)
    assert (code, out) == (4, "")
    assert f"the store is gone: `{desk.state}`" in err
    name = "chat" if "chat" in words else "ROUTE"
    assert f"put it back from a copy; on a gateway's host `detent rollback {name} --local` works without it" in err
    assert "run `detent apply`" not in err
    assert ("--new-store" in err) == (words == ("apply",))
    assert not desk.state.exists() or not desk.state.stat().st_size, "nothing was made in its place"


def test_a_new_one_is_made_where_somebody_asks_for_it_and_what_is_lost_is_said(desk: Desk) -> None:
    assert desk.runs("apply")[0] == 0
    desk.lose(empty=True)
    code, out, err = desk.runs("apply", "--new-store")
    assert (code, "chat: new route on" in out) == (0, True)
    assert "tokens, rollouts, approvals, baselines and the audit log of the former one are lost" in err
    assert f"openai/{PIN}" in desk.runs("status")[1]
    assert desk.runs("apply", "--new-store")[2] == "", "a store that is there is never made anew"


@pytest.mark.parametrize("left", ["flags-gw-1.json", "journal.db", ANCHOR_FILE, "spool/gw-1.x"])
def test_any_of_what_a_store_leaves_tells_of_it(tmp_path: Path, left: str) -> None:
    state = tmp_path / "state.db"
    assert ANCHORS == ANCHOR_FILE
    assert remains(state, tmp_path) is None
    (tmp_path / left).parent.mkdir(exist_ok=True)
    (tmp_path / left).mkdir() if left.startswith("spool") else (tmp_path / left).touch()
    assert remains(state, tmp_path) == tmp_path / left


def test_a_gateway_that_begins_on_a_new_host_is_no_sign_of_a_store(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", "gw-1")
    assert remains(tmp_path / "state.db", tmp_path) is None
    spool.close()


def test_beside_another_store_a_misspelt_one_is_not_gone(tmp_path: Path) -> None:
    with closing(open_store(f"sqlite:///{tmp_path / 'state.db'}")):
        assert remains(tmp_path / "sate.db") is None
    (tmp_path / "state.db").unlink()
    assert remains(tmp_path / "state.db") == tmp_path / "journal.db"


def test_without_pin_file_and_store_the_file_is_asked_for_first(desk: Desk) -> None:
    (desk.path / "detent.toml").unlink()
    for words in (("status",), ("rollback", "x")):
        code, out, err = desk.runs(*words)
        assert (code, out) == (2, "")
        assert err.startswith(f"detent: no detent.toml here: `{desk.path / 'detent.toml'}`")
        assert "--file PATH" in err
        assert "store" not in err


@pytest.mark.fault("the store's files are gone: a server starts", "it serves what it knew, and makes no new, empty store in its place")
def test_a_server_whose_store_is_gone_serves_what_it_knows_and_makes_no_other(tmp_path: Path) -> None:
    with running() as provider, standing(tmp_path, provider.url) as place:
        server = place.serve()
        place.acknowledged(server)
        server.stop()
        state = place.dot / "state.db"
        for path in place.dot.glob("state.db*"):
            path.unlink()
        again = place.serve()
        assert again.url
        again.stop()
        assert not state.exists()


@pytest.mark.parametrize("of_server", [True, False])
def test_whether_anybody_is_told(of_server: bool) -> None:
    assert untold(Notify(), {}, of_server=of_server) == NOBODY
    named = Notify(webhook_env="HOOK")
    assert untold(named, {"HOOK": "https://x.example"}, of_server=of_server) is None
    line = untold(named, {"HOOK": " "}, of_server=of_server)
    assert line is not None
    assert "nobody is told (see docs/how-to/be-told.md)" in line
    assert (line == NOBODY) == of_server, "another process than the server's knows only its own variables"


def test_status_and_alerts_say_that_nobody_is_told(desk: Desk) -> None:
    assert desk.runs("apply")[0] == 0
    for command in ("status", "alerts"):
        assert NOBODY in desk.runs(command)[1].splitlines()

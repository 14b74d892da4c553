"""Who may do what: a token names somebody, its role says what they may, and what no table knows nobody may."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from controlling import NEXT, pin_file
from detent.cli import COMMANDS as TYPED
from detent.cli import main
from detent.errors import InvalidInput, Refused
from detent.roles import COMMANDS, REQUESTS, may, refuse_unless
from detent.store import Store, open_store
from detent.store.schema import tokens
from detent.terms import TOKEN_ROLES, Token
from records import T0

pytest_plugins = ("stores",)

SECRET = re.compile(r"dt_[A-Za-z0-9_-]{43}")


@dataclass
class Desk:
    """A directory with a pin file and a store, and somebody who types commands in it."""

    path: Path
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def runs(self, *words: str, token: str | None = None) -> tuple[int, str, str]:
        self.monkeypatch.delenv("DETENT_TOKEN", raising=False)
        if token is not None:
            self.monkeypatch.setenv("DETENT_TOKEN", token)
        code = main([*words, "--file", str(self.path / "detent.toml")])
        return (code, *self.capsys.readouterr())

    def gives(self, name: str, role: str, *, token: str | None = None) -> str:
        code, out, err = self.runs("token", "add", name, "--role", role, token=token)
        assert code == 0, err
        assert SECRET.fullmatch(out.strip())
        return out.strip()

    @property
    def store(self) -> Store:
        return open_store(f"sqlite:///{self.path / '.detent' / 'state.db'}")


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    (tmp_path / "detent.toml").write_text(pin_file(chat=NEXT, search=None))
    desk = Desk(tmp_path, capsys, monkeypatch)
    assert desk.runs("apply", "--by", "ada")[0] == 0
    return desk


# ── the table ──


def test_every_command_is_in_the_table_and_the_table_has_no_other() -> None:
    options = {name for name in COMMANDS if " --" in name}
    assert {command.name for command in TYPED} == COMMANDS.keys() - options
    assert {name.partition(" --")[0] for name in options} <= COMMANDS.keys()


def calls_of(run: Callable[..., int]) -> set[str]:
    """The verbs with which the module of a command asks who it is."""
    import inspect
    import sys

    source = inspect.getsource(sys.modules[run.__module__])
    return set(re.findall(r'"([^"]+)"', " ".join(re.findall(r"actor\(([^)]*)\)", source))))


@pytest.mark.parametrize("name", [name for name, needs in COMMANDS.items() if needs is not None])
def test_every_command_that_needs_a_role_asks_for_it(name: str) -> None:
    (command,) = (command for command in TYPED if command.name == name.partition(" --")[0])
    source = calls_of(command.run)
    assert name in source or name in {"hold", "resume", "promote", "abort"}, "those four share a function; they are typed below"


def test_what_is_not_in_the_table_nobody_may() -> None:
    ann = Token(name="ann", role="approver", by="root", at=T0)
    with pytest.raises(Refused, match="no role may `format disk`"):
        refuse_unless(ann, "format disk")


def test_each_role_may_what_those_before_it_may() -> None:
    assert [[may(role, needs) for needs in TOKEN_ROLES] for role in TOKEN_ROLES] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_moving_towards_stable_never_needs_an_approver() -> None:
    assert {COMMANDS[verb] for verb in ("rollback", "abort", "hold")} == {"operator"}
    assert {needs for (_, path), needs in REQUESTS.items() if path.endswith(("/rollback", "/abort", "/hold"))} == {"operator"}
    assert {COMMANDS[verb] for verb in ("approve", "promote", "retire", "token add", "token revoke")} == {"approver"}


# ── tokens ──


def test_of_a_token_its_digest_is_kept_and_nothing_else(store: Store) -> None:
    store.state.add_token("ann", "approver", "dt_secret", by="root", at=T0)
    with store.state._db.read() as c:
        kept = [str(value) for row in c.execute(select(tokens)) for value in row]
    assert not any("dt_secret" in value for value in kept)
    assert not any("dt_secret" in f"{row.what}{row.after}" for row in store.state.audit())
    holder = store.state.holder("dt_secret")
    assert holder is not None
    assert (holder.name, holder.role) == ("ann", "approver")
    for wrong in ("", "dt_secre", "dt_secret ", "DT_SECRET", "\udcff"):
        assert store.state.holder(wrong) is None


def test_a_name_is_given_once_and_a_revoked_token_is_nobodys(store: Store) -> None:
    with pytest.raises(Refused, match="the first token has to be an approver's"):
        store.state.add_token("ben", "operator", "b", by="root", at=T0)
    store.state.add_token("ann", "approver", "a", by="root", at=T0)
    store.state.add_token("ben", "operator", "b", by="ann", at=T0)
    with pytest.raises(InvalidInput, match="given out before: `ben`"):
        store.state.add_token("ben", "operator", "c", by="ann", at=T0)
    store.state.revoke_token("ben", by="ann", why="left", at=T0)
    assert store.state.holder("b") is None
    with pytest.raises(InvalidInput, match="no token of this name is in force: `ben`"):
        store.state.revoke_token("ben", by="ann", why="", at=T0)
    with pytest.raises(Refused, match="`ann` is the last approver"):
        store.state.revoke_token("ann", by="ann", why="", at=T0)
    assert [(row.by, row.what) for row in store.state.audit(3)] == [
        ("ann", "token revoke: ben: left"),
        ("ann", "token add: ben as operator"),
        ("root", "token add: ann as approver"),
    ]


# ── at the desk ──


def test_without_a_token_in_the_store_names_are_claims_as_they_were(desk: Desk) -> None:
    assert desk.runs("hold", "chat", "--by", "anybody")[0] == 0
    assert desk.runs("resume", "chat", "--by", "anybody", token="dt_of-another-store")[0] == 0
    code, out, _ = desk.runs("token", "list")
    assert (code, out) == (0, "no token: whoever can open the store may do anything, by any name\n")


def test_from_the_first_token_on_every_verb_asks_for_one(desk: Desk) -> None:
    ann = desk.gives("ann", "approver")
    code, _, err = desk.runs("rollback", "chat")
    assert (code, "`DETENT_TOKEN` is not set" in err, "detent rollback chat --local" in err) == (5, True, True)
    assert desk.runs("hold", "chat", "--by", "ann")[0] == 5, "a name is no token"
    assert desk.runs("hold", "chat", token="dt_nobody")[0] == 5
    assert desk.runs("hold", "chat", "--by", "ben", token=ann)[2].startswith(
        "detent: the token in DETENT_TOKEN is ann's, and --by says `ben`"
    )
    assert desk.runs("status")[0] == 0, "who reads the store itself needs none"
    assert desk.store.state.rollouts()[0].held is None, "nothing was changed by any of these"
    assert desk.runs("hold", "chat", token=ann)[0] == 0
    held = desk.store.state.rollouts()[0].held
    assert held is not None
    assert held.by == "ann"


WRITING = [
    ("hold", "chat"),
    ("resume", "chat"),
    ("promote", "chat", "--why", "x"),
    ("approve", "chat"),
    ("abort", "chat"),
    ("rollback", "chat"),
    ("aa", "search"),
    ("apply",),
    ("token", "add", "eve", "--role", "approver"),
    ("token", "revoke", "ann"),
    ("baseline", "freeze", "search"),
    ("drill", "search"),
]


@pytest.mark.parametrize("words", WRITING, ids=" ".join)
def test_a_viewer_may_change_nothing_and_an_operator_may_not_say_yes(desk: Desk, words: tuple[str, ...]) -> None:
    ann = desk.gives("ann", "approver")
    viewer, operator = (desk.gives(role, role, token=ann) for role in ("viewer", "operator"))
    before = desk.store.state.audit_head()
    code, out, err = desk.runs(*words, token=viewer)
    assert (code, out) == (5, "")
    assert "has the role viewer" in err
    verb = " ".join(words[:2]) if words[0] in {"token", "baseline"} else words[0]
    if COMMANDS[verb] == "approver":
        code, _, err = desk.runs(*words, token=operator)
        assert (code, "has the role operator, and" in err) == (5, True)
    assert desk.store.state.audit_head() == before


def test_tokens_are_given_listed_and_taken_back(desk: Desk) -> None:
    ann = desk.gives("ann", "approver")
    code, out, err = desk.runs("token", "add", "ben@example.com", "--role", "operator", "--json", token=ann)
    assert (code, "it is shown this once" in err) == (0, True)
    ben = json.loads(out)["token"]
    assert [row["name"] for row in json.loads(desk.runs("token", "list", "--json")[1])] == ["ann", "ben@example.com"]
    assert ben not in desk.runs("token", "list")[1]
    assert desk.runs("token", "revoke", "ben@example.com", "--why", "left", token=ann)[:2] == (0, "ben@example.com: revoked\n")
    assert desk.runs("hold", "chat", token=ben)[0] == 5
    assert "revoked" in desk.runs("token", "list")[1]
    for name in ("", "detent", "a b", "a\n", "b" * 129):
        assert desk.runs("token", "add", name, "--role", "viewer", token=ann)[0] == 2


def test_a_rollback_by_an_operator_works_while_things_burn(desk: Desk) -> None:
    ann = desk.gives("ann", "approver")
    operator = desk.gives("on-call", "operator", token=ann)
    code, out, _ = desk.runs("rollback", "chat", "--why", "it burns", token=operator)
    assert (code, "rolled back" in out) == (0, True)
    newest = desk.store.state.audit(1)[0]
    assert (newest.by, newest.what) == ("on-call", "roll_back: it burns")


def test_names_that_only_look_alike_are_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "detent.toml"
    file.write_text(pin_file(chat=None))
    monkeypatch.delenv("DETENT_TOKEN", raising=False)
    for by in ("ann ", "a\u200bnn"):
        assert main(["apply", "--by", by, "--file", str(file)]) == 2
        assert "not a name" in capsys.readouterr().err
    assert main(["apply", "--why", "x" * 2001, "--file", str(file)]) == 2
    assert "2,000 characters at most" in capsys.readouterr().err
    assert main(["apply", "--file", str(file)]) == 0
    assert main(["token", "add", "Ann", "--role", "approver", "--file", str(file)]) == 0
    monkeypatch.setenv("DETENT_TOKEN", capsys.readouterr().out.split()[-1])
    assert main(["token", "add", "ann", "--role", "operator", "--file", str(file)]) == 2
    assert "differs only in its spelling" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", " ", "ann "])
def test_a_blank_name_may_not_approve_alone(name: str) -> None:
    from detent.manifest import read

    with pytest.raises(InvalidInput, match="not a name"):
        read(f'[server]\napproves_alone = ["{name}"]\n\n{pin_file(chat=None)}')

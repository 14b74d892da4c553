"""The command line, through `main`: data on stdout, talk on stderr, and one contract of exit codes."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from controlling import NEXT, OTHER, PIN, World, pin_file, route
from detent.cli import COMMANDS, INTERRUPTED, main
from detent.controller import Controller
from detent.errors import CouldNotRun
from detent.store import Store, open_store
from detent.terms import Arm, Decision, Held, Phase, Role, Rollout, Verb, Version
from records import intent, result


@dataclass
class Said:
    """What a command did: its exit code, and what it printed where."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """All of stdout, which must be one JSON document."""
        return json.loads(self.out)


@dataclass
class Desk:
    """A directory with a pin file, and somebody who types commands in it."""

    path: Path
    capsys: pytest.CaptureFixture[str]

    def writes(self, text: str) -> None:
        (self.path / "detent.toml").write_text(text)

    def runs(self, *words: str) -> Said:
        try:
            code = main([*words, *self._where(words)])
        except SystemExit as exit:
            code = int(exit.code or 0)
        out, err = self.capsys.readouterr()
        assert "Traceback" not in err
        return Said(code, out, err)

    def _where(self, words: tuple[str, ...]) -> tuple[str, ...]:
        return () if words[0] in {"init", "schema", "demo", "sim"} or "--file" in words else ("--file", str(self.path / "detent.toml"))

    @property
    def store(self) -> Store:
        return open_store(f"sqlite:///{self.path / '.detent' / 'state.db'}")

    def rollout(self) -> Rollout:
        store = self.store
        (found,) = store.state.rollouts(open_only=True)
        store.close()
        return found


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


@pytest.fixture
def applied(desk: Desk) -> Desk:
    """A route `chat` with a rollout to NEXT, and a route `search`."""
    desk.writes(pin_file(chat=NEXT, search=None))
    assert desk.runs("apply").code == 0
    return desk


@pytest.fixture
def world(applied: Desk) -> Iterator[World]:
    """The same, from the other side: where rollouts move."""
    store = applied.store
    yield World(store, datetime.now(UTC))
    store.close()


def moved(world: World, **changes: Any) -> Rollout:
    """The open rollout, put where a test needs it."""
    from detent.transitions import flag_for

    (before,) = world.store.state.rollouts(open_only=True)
    after = replace(before, **changes)
    flag = flag_for(after, world.store.state.flags()[before.route])
    return world.store.state.commit(before, after, flag=flag, decision=None, evidence=None, by="x", what="move", at=world.now)


def served(world: World, hours: float) -> None:
    """Somebody looked after the rollout for so long."""
    (id,) = (rollout.id for rollout in world.store.state.rollouts(open_only=True))
    for at in (world.now, world.now + timedelta(hours=hours)):
        world.store.state.look_after([id], at, math.inf)


def in_canary(world: World) -> Rollout:
    return moved(world, phase=Phase.CANARY, split=0.1, period=1, canary_at=world.now, entered_at=world.now)


# ── the way of a change, in commands ──


def test_from_an_empty_directory_to_a_rollout_and_its_end(desk: Desk) -> None:
    began = desk.runs("init", str(desk.path))
    assert (began.code, began.out) == (0, f"{desk.path / 'detent.toml'}\n")
    assert desk.runs("init", str(desk.path)).code == 5, "it never overwrites"

    desk.writes(pin_file(chat=NEXT, search=None))
    planned = desk.runs("plan")
    assert planned.code == 0
    assert "+ chat: new route on openai/" in planned.out
    assert f"> chat: opens a rollout from openai/{PIN} to openai/{NEXT} under plan short" in planned.out
    assert not (desk.path / ".detent").exists(), "a plan changes nothing"

    done = desk.runs("apply", "--by", "ada")
    assert done.code == 0
    assert f"> chat: opens a rollout from openai/{PIN}" in done.out
    assert desk.runs("apply").out.startswith("~ chat: rollout ro_")

    status = desk.runs("status")
    assert status.code == 0
    assert f"chat                 openai/{PIN}" in status.out
    assert f"chat: {PIN} -> {NEXT}  proposed" in status.out
    assert "no live gateway" in status.out

    id = desk.rollout().id
    for name in ("chat", id):
        told = desk.runs("explain", name)
        assert told.code == 0
        assert told.out.startswith(f"{id}  chat: {PIN} -> {NEXT}  proposed")

    held = desk.runs("hold", "chat", "--why", "release freeze", "--by", "ada")
    assert (held.code, held.out.splitlines()[0]) == (0, f"{id}: held; phase proposed")
    assert desk.rollout().held is not None
    assert "held: HeldByHuman by ada" in desk.runs("status").out
    assert desk.runs("resume", id).out == f"{id}: resumed; phase proposed\n"

    ended = desk.runs("rollback", "chat", "--why", "changed my mind", "--by", "ada")
    assert ended.code == 0
    assert ended.out.startswith(f"{id}: all traffic on openai/{PIN}; rolled back; phase aborted\n")
    patch = ended.out[ended.out.index("--- a/detent.toml") :]
    assert f'-next = "{NEXT}"' in patch
    assert "+# next =" in patch
    assert "RolledBackByHuman: ada: changed my mind" in patch

    again = desk.runs("abort", "chat")
    assert (again.code, again.out) == (5, "")
    assert "has ended as aborted: nothing to abort" in again.err


def test_verify_says_whether_file_and_flag_and_gateways_agree(applied: Desk, world: World) -> None:
    alone = applied.runs("verify")
    assert alone.code == 3, "without a gateway there is nobody to ask: inconclusive, never a pass"
    revision = world.store.state.revision()
    world.store.state.acknowledge("gw-1", revision, datetime.now(UTC), pid=1, address="127.0.0.1:8700")
    agree = applied.runs("verify")
    assert (agree.code, agree.out) == (0, f"file = flag for 2 routes; 1 gateways serve revision {revision}\n")
    world.store.state.acknowledge("gw-1", revision - 1, datetime.now(UTC), pid=1, address="127.0.0.1:8700")
    behind = applied.runs("verify")
    assert (behind.code, behind.out) == (1, f"gateway gw-1 serves revision {revision - 1} of {revision}\n")


def test_verify_names_each_way_in_which_the_file_is_not_what_runs(applied: Desk) -> None:
    applied.writes(pin_file(chat=NEXT, new=None) + route("other"))
    assert [line.partition(";")[0] for line in applied.runs("verify").out.splitlines()] == [
        "new: in the file and not in the store",
        "other: in the file and not in the store",
        "search: a flag without a route in the file",
    ]
    applied.writes(pin_file(chat=None) + route("search", version=OTHER))
    found = applied.runs("verify", "--json")
    assert found.code == 1
    open_, pinned = found.json["problems"]
    assert open_.endswith(f"of openai/{NEXT} is open, and the file proposes no version; roll it back or propose it")
    assert pinned == f"search: the file pins openai/{OTHER}, the flag says openai/{PIN}"
    assert found.json["kinds"] == [{"kind": "unproposed", "about": "chat"}, {"kind": "pin", "about": "search"}]


def answers(world: World, name: str, model: str, answered: str, revision: int, **more: Any) -> None:
    sent = intent(name, route="search", rollout=None, randomised=False, model=model, revision=revision, **more)
    world.store.journal.put([sent], [result(name, answered_model=answered)])


def test_verify_reads_what_answered_under_the_flag_in_force(applied: Desk, world: World) -> None:
    revision = world.store.state.flags()["search"].revision
    world.store.state.acknowledge("gw-1", world.store.state.revision(), datetime.now(UTC), pid=1, address="a")
    answers(world, "before", OTHER, OTHER, revision - 1, seconds=1)
    answers(world, "mirrored", OTHER, OTHER, revision, role=Role.MIRRORED, arm=Arm.CANDIDATE, seconds=2)
    answers(world, "now", PIN, PIN, revision, seconds=3)
    assert applied.runs("verify").code == 0, "an answer under a former flag is no news, nor is a shadow's"
    answers(world, "wrong", PIN, "atlas-nightly", revision, seconds=4)
    wrong = applied.runs("verify")
    assert (wrong.code, wrong.out) == (1, f"search: `{PIN}` was sent for, and `atlas-nightly` answered (1 times)\n")
    answers(world, "other", OTHER, OTHER, revision, seconds=5)
    assert f"search: `{OTHER}` was sent for, the flag says {PIN}" in applied.runs("verify").out


def test_what_people_write_reaches_no_terminal_as_a_command(applied: Desk, world: World) -> None:
    in_canary(world)
    applied.runs("rollback", "chat", "--why", "\x1b[31mred\r\nforged: line\u202e")
    shown = applied.runs("explain", "chat").out
    assert "forged" in shown
    assert not any(hidden in shown for hidden in ("\x1b", "\r", "\u202e"))


def test_a_silent_gateway_is_named_and_not_waited_for(applied: Desk, world: World) -> None:
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    world.store.state.acknowledge("gw-old", 1, long_ago, pid=1, address="10.0.0.1:8700")
    assert "gateway gw-old on 10.0.0.1:8700: revision 1, not heard of for" in applied.runs("status").out
    silent = applied.runs("verify")
    assert silent.code == 3
    assert "gateway gw-old was not heard of for" in silent.out
    in_canary(world)
    back = applied.runs("rollback", "chat")
    assert back.code == 3, "rolled back, and what that gateway serves is not known"
    assert "gateway gw-old on 10.0.0.1:8700 HAS NOT ANSWERED" in back.out


def test_a_rollback_waits_until_every_gateway_serves_it(applied: Desk, world: World) -> None:
    in_canary(world)
    gateway = {"pid": 1, "address": "127.0.0.1:8700"}
    world.store.state.acknowledge("gw-1", world.store.state.revision(), datetime.now(UTC), **gateway)  # type: ignore[arg-type]
    before = world.store.state.revision()

    def obeys() -> None:
        watch = world.store.state.watch()
        while world.store.state.revision() == before:
            pass
        world.store.state.acknowledge("gw-1", world.store.state.revision(), datetime.now(UTC), **gateway)  # type: ignore[arg-type]
        watch.close()

    other = threading.Thread(target=obeys)
    other.start()
    back = applied.runs("rollback", "chat")
    other.join()
    assert back.code == 0
    assert "rolled back; phase rolled_back" in back.out
    assert "  gateway gw-1 on 127.0.0.1:8700 serves it after " in back.out


def test_a_hold_moves_no_traffic_so_that_nobody_is_waited_for(applied: Desk, world: World) -> None:
    in_canary(world)
    world.store.state.acknowledge("gw-1", 1, datetime.now(UTC), pid=1, address="a")
    assert applied.runs("hold", "chat").out.splitlines() == [f"{applied.rollout().id}: held; phase canary"]


def test_a_stage_is_approved_and_a_canary_promoted_by_name(applied: Desk, world: World) -> None:
    waiting = moved(world, phase=Phase.SHADOW, plan=replace(applied.rollout().plan, approve=("canary",)))
    early = applied.runs("approve", "chat")
    assert (early.code, "it waits for no approval yet" in early.err) == (5, True)
    said = Decision(rollout=waiting.id, verb=Verb.HOLD, reason="AwaitingApproval", sentence="", at=world.now, evidence_digest="ab" * 32)
    held = replace(waiting, held=Held(reason="AwaitingApproval", by="detent", since_at=world.now))
    world.store.state.commit(waiting, held, flag=None, decision=said, evidence=b"", by="detent", what="hold", at=world.now)
    own = applied.runs("approve", "chat")
    assert (own.code, "nobody can approve what they proposed themselves" in own.err) == (5, True)
    yes = applied.runs("approve", "chat", "--by", "grace", "--why", "read the pairs")
    assert yes.code == 0
    assert yes.out.startswith(
        f"{waiting.id}: canary of route chat approved at revision {waiting.revision + 1}, over evidence abababababab;"
    )
    assert "grace approved canary" in applied.runs("explain", "chat").out
    assert applied.runs("explain", "chat", "--json").json["approvals"][0].startswith("grace approved canary")
    (given,) = world.store.state.approvals(waiting.id)
    assert (given.by, given.stage, given.used_at) == ("grace", "canary", None)
    in_canary(world)
    early = applied.runs("promote", "chat", "--why", "I like it")
    assert early.code == 5
    assert "has served 0s of its minimum window of 2h: nobody can promote it yet" in early.err
    moved(world, canary_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert applied.runs("promote", "chat").code == 5, "nobody looked after it in all that time"
    served(world, hours=2)
    done = applied.runs("promote", "chat", "--why", "reviewed by hand", "--by", "ada")
    assert done.code == 0
    assert "promoted, recorded as unproved; phase soak" in done.out
    assert applied.rollout().reason == "PromotedUnproved: ada: reviewed by hand"


def test_a_promotion_over_harm_is_refused_with_the_numbers(applied: Desk, world: World) -> None:
    id = in_canary(world).id
    moved(world, id=id, canary_at=datetime(2026, 1, 1, tzinfo=UTC))
    served(world, hours=2)
    seal(world, id)
    refused = applied.runs("promote", "chat")
    assert refused.code == 5
    assert "can be rolled back, not promoted" in refused.err
    assert "tool_retry: 40 of 100" in refused.err


def seal(world: World, id: str) -> None:
    from detent.store.database import upsert
    from detent.store.schema import exposure_counts, label_counts

    for arm, events, units in ((Arm.CANDIDATE, 40, 100), (Arm.STABLE, 10, 900)):
        where = {"rollout": id, "period": 1, "arm": arm.value}
        with world.store.state._db.write() as c:
            buckets = [{**where, "guard": "tool_retry", "slice": "", "bucket": b, "n": n} for b, n in ((1, events), (0, units - events))]
            upsert(c, label_counts, buckets)
            upsert(c, exposure_counts, [{**where, "units": units, "saw_candidate": 0}])


def test_status_counts_feedback_that_fits_nothing_on_record(applied: Desk, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "feedback" not in applied.runs("status").out
    monkeypatch.setattr(type(world.store.state), "unmatched_feedback", lambda state: 3)
    assert "feedback about no recorded answer or session: 3; it counts for no arm" in applied.runs("status").out
    assert applied.runs("status", "--json").json["unmatched_feedback"] == 3


def test_explain_tells_machines_what_it_tells_people(applied: Desk, world: World) -> None:
    seal(world, in_canary(world).id)
    text, found = applied.runs("explain", "chat").out, applied.runs("explain", "chat", "--json").json
    assert "tool_retry (the same tool call was made again, or the tool called anew after it gave an error): candidate 40 of 100" in text
    (retry,) = (guard for guard in found["guards"] if guard["metric"] == "tool_retry")
    assert retry["arms"]["candidate"] == 0.4
    assert retry["e"] > 20
    assert (found["proof"]["looks"], found["harm"]["rolls_back_at"]) == (0, 20.0)


# ── decisions made again ──


def harmed(world: World) -> str:
    """The canary of `chat` is decided about twice: a step to serve, then harm."""
    id = in_canary(world).id
    controller = Controller(world.store, lambda: world.now)
    controller.run_once()
    seal(world, id)
    controller.run_once()
    assert world.store.state.rollout(id).phase is Phase.ROLLED_BACK
    return id


def test_every_stored_decision_recomputes_and_one_that_was_meddled_with_does_not(applied: Desk, world: World) -> None:
    from sqlalchemy import update

    from detent.store.schema import decisions

    id = harmed(world)
    same = applied.runs("decision", "replay", "chat")
    assert same.code == 0
    assert [line.split("  ")[1:] for line in same.out.splitlines()[:-1]] == [
        ["hold (TimeNotServed)", "same"],
        ["roll_back (GuardHarmed)", "same"],
    ]
    assert f"2 of 2 decisions of {id} recompute to the same value; none is missing" in same.out

    stored = world.store.state.decided(id)[1]
    assert stored.before is not None
    lenient = replace(stored.before, plan=replace(stored.before.plan, alpha=1e-30))
    with world.store.state._db.write() as c:
        c.execute(update(decisions).where(decisions.c.id == 2).values(before=msgspec.json.encode(lenient).decode()))
    found = applied.runs("decision", "replay", id, "--json")
    assert found.code == 1
    assert [row["same"] for row in found.json["decisions"]] == [True, False]
    assert found.json["decisions"][1]["why"].startswith("now hold (HarmSuspected)")
    with world.store.state._db.write() as c:
        c.execute(update(decisions).where(decisions.c.id == 2).values(evidence=stored.evidence.replace(b"40", b"41")))
    found = applied.runs("decision", "replay", id)
    assert found.code == 4
    assert "cannot be made again: its evidence is not what it was made from" in found.out
    with world.store.state._db.write() as c:
        c.execute(update(decisions).values(before=None))
    assert "stored by an older Detent" in applied.runs("decision", "replay", id).out


def test_what_if_tells_what_another_plan_would_have_said(applied: Desk, world: World) -> None:
    harmed(world)
    found = applied.runs("decision", "what-if", "chat", "--guard", "tool_retry.action=hold", "--alpha", "0.01")
    assert found.code == 0
    assert "roll_back (GuardHarmed)            hold (GuardHarmedHold)  tool_retry: 40 of 100 (40.0 %)" in found.out
    assert found.out.endswith("1 would have been others (over 2 of 2 recorded decisions; evidence between them was not kept)\n")
    rows = applied.runs("decision", "what-if", "chat", "--guard", "tool_retry.role=observe", "--json").json["decisions"]
    assert [(row["was"]["reason"], row["would_be"]["reason"]) for row in rows] == [
        ("TimeNotServed", "TimeNotServed"),
        ("GuardHarmed", "TimeNotServed"),
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "nothing to change"),
        (("--alpha", "2"), "`alpha` is out of range: `2`"),
        (("--guard", "thumbs.role=harm"), "no guard of the plan: `thumbs`"),
        (("--guard", "error.matures=3"), "cannot be changed over recorded evidence: `matures`"),
        (("--guard", "error.role=boss"), "`role` of a guard cannot be: `boss`"),
        (("--guard", "error.margin_ratio=much"), "`margin_ratio` is a number: `much`"),
        (("--guard", "error.margin_ratio=0.5"), "`margin_ratio` is out of range: `0.5`"),
        (("--guard", "error"), "no guard of the plan: `error`"),
    ],
)
def test_what_cannot_be_changed_is_refused_by_name(applied: Desk, words: tuple[str, ...], says: str) -> None:
    found = applied.runs("decision", "what-if", "chat", *words)
    assert (found.code, found.out) == (2, "")
    assert says in found.err


# ── a version against itself ──


def test_a_version_is_tried_against_itself_and_neither_file_nor_pin_changes(desk: Desk) -> None:
    desk.writes(pin_file(chat=None))
    desk.runs("apply")
    opened = desk.runs("aa", "chat", "--by", "ada")
    assert opened.code == 0
    assert f"openai/{PIN} against itself on 10 % of units; every alarm is a false one" in opened.out
    assert f"chat: {PIN} against itself  canary step 1 of 2, 10 % of units" in desk.runs("status").out
    assert "both arms are the pinned version: every alarm is a false one" in desk.runs("explain", "chat").out
    refused = desk.runs("aa", "chat")
    assert (refused.code, "has an open rollout" in refused.err) == (5, True)
    assert desk.runs("promote", "chat").code == 5
    ended = desk.runs("abort", "chat", "--json").json
    assert (ended["phase"], ended["patch"]) == ("aborted", "")
    assert desk.runs("aa", "nowhere").code == 2


# ── JSON ──


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--json"),
        ("plan", "--json"),
        ("apply", "--json"),
        ("explain", "chat", "--json"),
        ("verify", "--json"),
        ("hold", "chat", "--json"),
        ("approve", "chat", "--json"),
        ("rollback", "chat", "--json"),
        ("abort", "chat", "--json"),
    ],
)
def test_json_is_one_document_on_stdout_and_holds_no_secret(applied: Desk, words: tuple[str, ...]) -> None:
    salt = applied.rollout().salt
    assert len(salt) == 32
    found = applied.runs(*words)
    if found.code == 5:  # a plan that needs no approval
        assert found.out == ""
        return
    assert found.json is not None
    assert salt not in found.out


def test_what_json_says(applied: Desk, world: World) -> None:
    id = applied.rollout().id
    assert [(p["route"], p["kind"]) for p in applied.runs("plan", "--json").json] == [("chat", "running"), ("search", "unchanged")]
    assert [(p["route"], p["rollout"]) for p in applied.runs("apply", "--json").json] == [("chat", id), ("search", None)]
    status = applied.runs("status", "--json").json
    assert status["routes"]["chat"]["stable"] == f"openai/{PIN}"
    assert [(r["id"], r["phase"]) for r in status["rollouts"]] == [(id, "proposed")]
    assert applied.runs("explain", id, "--json").json["rollout"]["candidate"] == {"provider": "openai", "model": NEXT}
    in_canary(world)
    back = applied.runs("rollback", "chat", "--json", "--by", "ada").json
    assert (back["rollout"], back["phase"], back["reason"], back["gateways"]) == (id, "rolled_back", "RolledBackByHuman: ada", [])
    assert back["patch"].startswith("--- a/detent.toml")


def test_a_plan_for_a_pull_request(applied: Desk) -> None:
    applied.writes(pin_file(chat=NEXT, search=NEXT))
    said = applied.runs("plan", "--markdown")
    assert said.out.startswith("### detent plan\n\n- **chat** (running): ")


# ── what is wrong, is said; and what runs goes on ──


def test_a_broken_pin_file_is_refused_with_its_line_and_what_runs_goes_on(applied: Desk, world: World) -> None:
    before = (world.store.state.revision(), world.store.state.flags(), world.store.state.rollouts())
    applied.writes(pin_file(chat=NEXT, search=None).replace("owner", "ownr"))
    for command in ("plan", "apply", "verify"):
        said = applied.runs(command)
        assert (said.code, said.out) == (2, ""), command
        assert f"{applied.path / 'detent.toml'}:" in said.err
        assert "unknown key" in said.err
        assert "`ownr`" in said.err
        assert "hint:" in said.err
    assert (world.store.state.revision(), world.store.state.flags(), world.store.state.rollouts()) == before
    assert applied.runs("status").code == 0


def test_a_broken_first_file_leaves_no_store_behind(desk: Desk) -> None:
    desk.writes("[routes.chat]\nversion = 7\n")
    assert desk.runs("apply").code == 2
    assert not (desk.path / ".detent").exists()


def test_what_is_not_allowed_is_refused_with_the_next_step(applied: Desk) -> None:
    applied.writes(pin_file(chat=OTHER, search=None))
    other = applied.runs("apply")
    assert (other.code, other.out) == (5, "")
    assert "another version is proposed while rollout" in other.err
    assert "detent apply --supersede" in other.err
    assert applied.runs("apply", "--supersede").code == 0
    applied.writes(pin_file(chat=OTHER) + route("search", version=OTHER))
    by_hand = applied.runs("plan")
    assert by_hand.code == 5
    assert "propose it as `next`" in by_hand.err
    assert "! search:" in by_hand.out, "the plan itself is data"


def test_trying_again_needs_a_reason(applied: Desk) -> None:
    applied.runs("abort", "chat")
    assert applied.runs("apply").code == 5
    silent = applied.runs("apply", "--retry")
    assert (silent.code, silent.out) == (2, "")
    assert "--retry needs a reason" in silent.err
    assert applied.runs("apply", "--retry", "--why", "mended upstream").code == 0
    assert applied.rollout().phase is Phase.PROPOSED


@pytest.mark.parametrize("verb", ["explain", "hold", "resume", "approve", "promote", "abort", "rollback"])
def test_an_unknown_name_is_answered_with_the_known_ones(applied: Desk, verb: str) -> None:
    said = applied.runs(verb, "caht")
    assert (said.code, said.out) == (2, "")
    assert "no rollout or route: `caht`" in said.err
    assert f"known routes: `chat`, `search`; latest rollouts: `{applied.rollout().id}` (chat)" in said.err
    without = applied.runs(verb, "search")
    if verb == "rollback":
        assert (without.code, without.out.partition(",")[0]) == (0, "search: nothing to roll back")
        return
    assert without.code == 2
    assert "route has no rollout: `search`" in without.err


@pytest.mark.parametrize("words", [("baseline", "freeze", "caht"), ("baseline", "run", "caht", "--version", NEXT)])
def test_an_unknown_route_of_a_baseline_is_answered_with_the_known_ones(applied: Desk, words: tuple[str, ...]) -> None:
    said = applied.runs(*words)
    assert said.code == 2
    assert "no such route: `caht`" in said.err
    assert "`chat`, `search`" in said.err


def test_baseline_commands_say_what_is_missing(applied: Desk) -> None:
    nothing = applied.runs("baseline", "freeze", "chat")
    assert nothing.code == 4
    assert f"no recorded answer of `{PIN}` on route `chat` to freeze" in nothing.err
    none = applied.runs("baseline", "run", "chat", "--version", NEXT)
    assert none.code == 2
    assert "detent baseline freeze chat" in none.err
    assert applied.runs("baseline", "freeze", "chat", "--cases", "0").code == 2


@pytest.mark.parametrize(
    "words", [("status",), ("explain", "chat"), ("verify",), ("hold", "chat"), ("rollback", "chat"), ("baseline", "freeze", "chat")]
)
def test_without_a_store_nothing_can_run(desk: Desk, words: tuple[str, ...]) -> None:
    desk.writes(pin_file(chat=None))
    said = desk.runs(*words)
    assert (said.code, said.out) == (4, "")
    assert "no store yet: `" in said.err
    assert "start the server with `detent serve`" in said.err
    assert not (desk.path / ".detent").exists()


def test_without_a_pin_file_it_is_asked_for(desk: Desk) -> None:
    for command in ("plan", "apply", "verify"):
        said = desk.runs(command)
        assert said.code == 2
        assert "no pin file: `" in said.err
        assert "detent init" in said.err
    assert desk.runs("plan", "--file", str(desk.path)).code == 2, "a directory is no file"


def test_a_store_that_cannot_be_opened_is_no_empty_one(applied: Desk) -> None:
    (applied.path / ".detent" / "state.db").write_text("a shopping list, and much more than a hundred bytes of it: " + "eggs, " * 50)
    for words in (("plan",), ("apply",), ("status",)):
        said = applied.runs(*words)
        assert (said.code, said.out) == (4, ""), words
    assert applied.runs("status", "--store", "mysql://host/db").code == 2


def test_what_was_done_is_told_also_where_no_patch_fits_the_file(applied: Desk) -> None:
    applied.writes(pin_file(search=None))
    said = applied.runs("rollback", "chat")
    assert said.code == 0
    assert "rolled back; phase aborted" in said.out
    assert "no patch for the pin file" in said.err


def test_status_names_a_stale_baseline_and_who_is_on_the_hook(world: World, applied: Desk) -> None:
    world.freeze()
    assert "stale" not in applied.runs("status").out
    old = world.store.state.baseline("chat")
    assert old is not None
    world.store.state.put_baseline(replace(old, digest="dd", frozen_at=world.now - timedelta(days=40)))
    said = "baseline dd of route chat is stale: it was frozen 40 days ago; the limit is 30d; chat@example.com freezes a fresh one with"
    assert said in applied.runs("status").out
    found = json.loads(applied.runs("status", "--json").out)["stale_baselines"]
    assert found == {"chat": {"digest": "dd", "owner": "chat@example.com", "why": ["it was frozen 40 days ago; the limit is 30d"]}}


@pytest.mark.parametrize("words", [("hold",), ("hodl", "chat"), ("apply", "--nonsense"), ("sim",), ("baseline", "run", "chat")])
def test_a_command_that_is_not_understood_is_a_usage_error(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: detent" in err


def test_without_a_command_all_of_them_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: detent" in err
    assert "baseline freeze" in err


def test_what_cannot_run_and_what_is_interrupted_have_codes_of_their_own(applied: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(error: BaseException) -> Said:
        def raises(*args: Any) -> Any:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr("detent.cli.place.open_store", raises)
            return applied.runs("status")

    could_not = fails(CouldNotRun("the disk is full", hint="make room"))
    assert (could_not.code, could_not.err) == (4, "detent: the disk is full\nhint: make room\n")
    interrupted = fails(KeyboardInterrupt())
    assert (interrupted.code, INTERRUPTED) == (130, 130)
    assert "run the same command to go on" in interrupted.err


# ── the table ──


def test_help_lists_every_command_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert f"  {command.name} " in text
        assert command.says in text
    assert "0 pass, 1 regression, 2 usage, 3 inconclusive, 4 could not run, 5 refused" in text


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_each_command_explains_itself_and_all_its_options(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.name.split(), "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert command.says.split()[0] in text
    for option in command.options:
        assert option.flags[0] in text or option.how.get("metavar", "") in text


def test_the_designs_commands_of_this_build_are_there() -> None:
    # design 10, as far as issue 2 builds it
    names = {command.name for command in COMMANDS}
    wanted = "init plan apply serve gateway status explain verify approve hold resume promote abort rollback compare schema demo"
    assert set(wanted.split()) | {"baseline freeze", "baseline run", "sim provider", "sim replay", "sim traffic"} <= names


def test_ids_of_rollouts_opened_in_the_same_second_differ() -> None:
    from detent.cli.place import new_rollout_id

    ids = {new_rollout_id() for _ in range(200)}
    assert len(ids) >= 199  # 24 random bits: two of 200 are the same once in 800 times
    assert all(id.startswith("ro_") for id in ids)


def test_versions_are_as_the_file_says(applied: Desk) -> None:
    assert applied.rollout().stable == Version("openai", PIN)

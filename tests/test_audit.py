"""The audit log: every write of state says who, what, why, before and after; and no entry is edited, put in, moved or taken out unseen."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, insert, select, text, update

from detent.anchor import ANCHOR_FILE, Anchors, anchors, line_of
from detent.cli import main
from detent.errors import CouldNotRun, InvalidInput
from detent.store import Store, open_store
from detent.store.chain import COVERED, Head, Verified, link, verified
from detent.store.schema import audit
from detent.terms import Decision, DrillShare, Flag, Guard, Phase, Verb
from records import NEW, OLD, T0, rollout

pytest_plugins = ("stores",)

LATER = T0 + timedelta(hours=1)
PLAIN = Flag(route="summarizer", revision=0, stable=OLD)
SALT = "grain-of-salt-that-nobody-may-know"
GUARD = Guard(metric="error", margin_ratio=1.5)


def a_day(store: Store) -> None:
    """A pin file, a rollout, a canary that is rolled back, and a remark: entries of each kind."""
    store.state.put_manifest("[routes]", by="ann", at=T0)
    store.state.put_flags([PLAIN], by="ann", at=T0)
    opened = store.state.open_rollout(rollout(GUARD, salt=SALT), by="ann", at=T0, why="cheaper")
    split = replace(PLAIN, candidate=NEW, rollout="ro_1", split=0.05, period=1, salt=SALT)
    canary = replace(opened, phase=Phase.CANARY, split=0.05, period=1)
    canary = store.state.commit(opened, canary, flag=split, decision=None, evidence=None, by="ben", what="move", at=LATER)
    harm = Decision(rollout="ro_1", verb=Verb.ROLL_BACK, reason="GuardHarmed", sentence="E = 21", at=LATER, evidence_digest="ab" * 32)
    ended = replace(canary, phase=Phase.ROLLED_BACK, split=0.0)
    store.state.commit(canary, ended, flag=PLAIN, decision=harm, evidence=b"{}", by="detent", what="roll_back: GuardHarmed", at=LATER)
    store.state.note("cem@example.com", "baseline of summarizer frozen", LATER)


def rows(store: Store) -> list[dict[str, Any]]:
    with store.state._db.read() as c:
        return [dict(row._mapping) for row in c.execute(select(audit).order_by(audit.c.id))]


def put_back(store: Store, kept: list[dict[str, Any]]) -> None:
    with store.state._db.write() as c:
        c.execute(text("DELETE FROM audit"))
        c.execute(insert(audit), kept)


# ── what an entry says ──


def test_every_write_says_who_what_before_after_and_on_which_evidence(store: Store) -> None:
    a_day(store)
    remark, back, moved, opened, flags, applied = store.state.audit()
    assert (applied.by, applied.before, json.loads(applied.after or "").keys()) == ("ann", None, {"pin file"})
    assert (flags.what, json.loads(flags.after or "")["summarizer"]["stable"]["model"]) == ("flags of summarizer", OLD.model)
    assert (opened.by, opened.rollout, opened.what.endswith(": cheaper")) == ("ann", "ro_1", True)
    assert json.loads(opened.after or "")["rollout"]["plan"]["alpha"] == 0.05, "what was opened, whole"
    was, became = json.loads(moved.before or ""), json.loads(moved.after or "")
    assert was["rollout"] == {"phase": "proposed", "split": 0.0, "period": 0, "revision": 1}, "what changed, and nothing else"
    assert became["rollout"] == {"phase": "canary", "split": 0.05, "period": 1, "revision": 2}
    assert (was["flag"]["split"], became["flag"]["split"]) == (0.0, 0.05)
    assert (back.by, back.evidence) == ("detent", "ab" * 32)
    assert (remark.before, remark.after, remark.evidence, remark.rollout) == (None, None, None, None)


def test_no_salt_stands_in_the_log(store: Store) -> None:
    a_day(store)
    store.state.put_flags([replace(PLAIN, drill=DrillShare(drill="dr_1", version=NEW, share=0.1, salt=SALT, lasts_s=60.0))], at=T0)
    log = json.dumps(rows(store), default=str)
    assert SALT not in log
    assert log.count("sha256:") >= 3, "by its digest, so that a change of it is seen"


def test_the_entry_is_the_last_statement_of_its_transaction(store: Store) -> None:
    """On PostgreSQL writers take turns from the entry on: a lock that one asked for after it could be held by another who waits for it."""
    statements: list[str] = []
    event.listen(store.state._db.engine, "before_cursor_execute", lambda c, cursor, said, *_: statements.append(said))
    event.listen(store.state._db.engine, "commit", lambda c: statements.append("COMMIT"))
    a_day(store)
    store.state.add_token("ann", "approver", "secret", by="root", at=T0)
    ends = [n for n, said in enumerate(statements) if said.startswith("INSERT INTO audit")]
    assert len(ends) == 7
    assert all(statements[n + 1] == "COMMIT" for n in ends), [statements[n : n + 2] for n in ends]


# ── the chain ──


def test_a_whole_log_is_found_whole(store: Store) -> None:
    assert store.state.verify_audit() == Verified(entries=0, head=None)
    a_day(store)
    found = store.state.verify_audit()
    assert (found.entries, found.bad) == (6, None)
    assert found.head == store.state.audit_head()
    assert found.head == Head(entry=rows(store)[-1]["id"], chain=rows(store)[-1]["chain"])


def other(value: object) -> Any:
    """Another value that could stand there."""
    return value + 1 if isinstance(value, int) else f"{value}x" if isinstance(value, str) else "x"


@pytest.mark.parametrize("column", [*COVERED, "chain"])
def test_one_edited_field_of_any_entry_is_found_and_named(store: Store, column: str) -> None:
    a_day(store)
    whole = rows(store)
    for place, row in enumerate(whole):
        for value in {other(row[column]), *([None] if row[column] is not None and column in {"rollout", "before", "evidence"} else [])}:
            if column == "id" and place + 1 < len(whole):
                continue  # two entries of one number the database refuses; see the tests of moved ones
            put_back(store, [*whole[:place], {**row, column: value}, *whole[place + 1 :]])
            found = store.state.verify_audit()
            assert found.bad == (value if column == "id" else row["id"]), (column, row["id"], found.why)
    put_back(store, whole)
    assert store.state.verify_audit().bad is None


def test_a_digest_that_was_taken_away_is_missed_wherever_it_stood(store: Store) -> None:
    a_day(store)
    whole = rows(store)
    for place, row in enumerate(whole):
        put_back(store, [*whole[:place], {**row, "chain": None}, *whole[place + 1 :]])
        assert store.state.verify_audit().bad == row["id"]
    put_back(store, [{**row, "chain": None} for row in whole])
    assert store.state.verify_audit().bad == whole[0]["id"], "all of them: not taken for a log of an older Detent"


def test_an_entry_that_was_taken_out_moved_or_put_in_is_named(store: Store) -> None:
    a_day(store)
    whole = rows(store)
    for place in range(len(whole) - 1):
        put_back(store, [*whole[:place], *whole[place + 1 :]])
        found = store.state.verify_audit()
        assert found.bad == whole[place + 1]["id"], "the first entry that is there after the gap"
        assert f"entry {whole[place]['id']} may have been taken out" in found.why
        here, there = whole[place], whole[place + 1]
        moved = [{**there, "id": here["id"]}, {**here, "id": there["id"]}]
        put_back(store, [*whole[:place], *moved, *whole[place + 2 :]])
        assert store.state.verify_audit().bad == here["id"]
    forged = {**whole[2], "id": whole[-1]["id"] + 1, "by": "ann", "what": "approve: canary"}
    put_back(store, [*whole, {**forged, "chain": link("", forged)}])
    assert store.state.verify_audit().bad == forged["id"]


def test_a_log_goes_on_after_it_was_tampered_with_and_the_first_bad_entry_is_still_named(store: Store) -> None:
    """A rollback is not refused over a broken log."""
    a_day(store)
    last = rows(store)[-1]["id"]
    with store.state._db.write() as c:
        c.execute(update(audit).where(audit.c.id == last).values(chain=None))
    store.state.note("ann", "after it", LATER)
    assert store.state.verify_audit().bad == last


FIELD = st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), entries=st.lists(st.tuples(FIELD, FIELD, FIELD, FIELD), min_size=1, max_size=8))
def test_whatever_one_entry_said_instead_it_is_the_one_that_is_named(data: st.DataObject, entries: list[tuple[Any, ...]]) -> None:
    chained: list[dict[str, Any]] = []
    for number, (rollout_, before, after, evidence) in enumerate(entries, start=1):
        row = {"id": number, "at_us": number, "by": "a", "what": "b", "rollout": rollout_, "before": before, "after": after}
        row["evidence"] = evidence
        chained.append({**row, "chain": link(chained[-1]["chain"] if chained else "", row)})
    assert verified(chained, first=1).bad is None
    place = data.draw(st.integers(0, len(chained) - 1))
    column = data.draw(st.sampled_from([name for name in COVERED if name != "id"]))
    kind = st.integers(0, 2**62) if column == "at_us" else FIELD
    value = data.draw(kind.filter(lambda v: v != chained[place][column]))
    chained[place][column] = value
    assert verified(chained, first=1).bad == place + 1


def test_no_two_entries_look_alike_to_the_digest() -> None:
    one = {"id": 1, "at_us": 1, "by": "ann", "what": "x", "rollout": None, "before": None, "after": None, "evidence": None}
    alike = [one, {**one, "by": "annx", "what": ""}, {**one, "by": 'ann","x'}, {**one, "rollout": ""}, {**one, "rollout": "null"}]
    assert len({link("", row) for row in alike}) == len(alike)
    assert link("", one) != link("0", one)


# ── what only an anchor finds ──


def test_an_end_that_was_cut_off_is_found_by_an_anchor_alone(store: Store) -> None:
    a_day(store)
    noted = store.state.audit_head()
    assert noted is not None
    put_back(store, rows(store)[:-1])
    assert store.state.verify_audit().bad is None, "what is left is a whole log"
    found = store.state.verify_audit([noted])
    assert found.bad == noted.entry
    assert f"cut off, which ends at entry {noted.entry - 1}" in found.why
    store.state.note("mallory", "something harmless", LATER)
    written_anew = store.state.verify_audit([noted])
    assert written_anew.bad == noted.entry
    assert written_anew.why.startswith("an anchor "), "it has another digest for it, or knows an entry that is not there"


def test_a_server_notes_the_head_when_it_moved(store: Store, tmp_path: Path) -> None:
    noting = Anchors(store, tmp_path, lambda: T0)
    noting.step()
    assert not (tmp_path / ANCHOR_FILE).exists(), "nothing is chained"
    a_day(store)
    for _ in range(3):
        noting.step()
    store.state.note("ann", "one more", LATER)
    noting.step()
    Anchors(store, tmp_path, lambda: T0).step()
    noted = anchors(tmp_path / ANCHOR_FILE)
    assert len(noted) == 2
    assert noted[-1] == store.state.audit_head()
    assert store.state.verify_audit(noted).bad is None
    (tmp_path / ANCHOR_FILE).write_text("{}\n")
    with pytest.raises(InvalidInput, match="not an anchor"):
        anchors(tmp_path / ANCHOR_FILE)
    with pytest.raises(CouldNotRun, match="cannot read"):
        anchors(tmp_path / "elsewhere")


@pytest.mark.parametrize("torn", ['{"at":"2026-03-01T12', "{}", ""])
def test_a_line_that_a_power_cut_tore_ends_neither_the_server_nor_a_verification(store: Store, tmp_path: Path, torn: str) -> None:
    a_day(store)
    Anchors(store, tmp_path, lambda: T0).step()
    file = tmp_path / ANCHOR_FILE
    whole = file.read_text()
    file.write_text(whole + torn if torn else whole.rstrip("\n"))
    assert len(anchors(file)) == 1
    store.state.note("ann", "one more", LATER)
    Anchors(store, tmp_path, lambda: T0).step()
    assert file.read_text().startswith(whole), "what was torn is gone, and what only lacked its end has it"
    assert [head.entry for head in anchors(file)] == [store.state.audit_head().entry - 1, store.state.audit_head().entry]  # type: ignore[union-attr]


# ── logs of an older Detent, and many writers ──


def test_an_older_server_that_still_runs_breaks_the_chain_and_from_where_it_is_whole_is_told(store: Store) -> None:
    a_day(store)
    with store.state._db.write() as c:
        c.execute(insert(audit).values(at_us=1, by="ann", what="hold: by a server that was not stopped"))
    last = rows(store)[-1]["id"]
    for n in range(2):
        store.state.note("ann", f"after {n}", LATER)
    found = store.state.verify_audit()
    assert (found.bad, found.whole_from, found.head) == (last, last + 1, store.state.audit_head())
    assert "it has no digest" in found.why
    with store.state._db.write() as c:
        c.execute(update(audit).where(audit.c.id == last + 2).values(what="forged"))
    found = store.state.verify_audit()
    assert (found.bad, found.whole_from) == (last, None), "the first is named, and nothing after the last is whole"


def test_entries_of_an_older_detent_come_first_and_are_covered_from_then_on(store: Store) -> None:
    old = [{"id": n, "at_us": n, "by": "ann", "what": f"old {n}"} for n in (1, 2, 3)]
    with store.state._db.write() as c:
        c.execute(insert(audit), old)
        if c.dialect.name == "postgresql":
            c.execute(text("SELECT setval(pg_get_serial_sequence('audit', 'id'), 3)"))
    assert (store.state.verify_audit().entries, store.state.verify_audit().head) == (3, None)
    a_day(store)
    assert store.state.verify_audit().bad is None
    for change in ({"what": "nothing of the kind"}, {"chain": "ab" * 32}):
        with store.state._db.write() as c:
            c.execute(update(audit).where(audit.c.id == 2).values(**change))
        assert store.state.verify_audit().bad == (4 if "what" in change else 2)
        with store.state._db.write() as c:
            c.execute(update(audit).where(audit.c.id == 2).values(what="old 2", chain=None))


def test_writers_at_once_make_one_chain(new_store_url: Callable[[], str]) -> None:
    url = new_store_url()
    stores = [open_store(url) for _ in range(4)]
    failed: list[BaseException] = []

    def write(which: int) -> None:
        try:
            for turn in range(10):
                if turn % 2:
                    stores[which].state.note(f"writer {which}", f"turn {turn}", T0)
                else:
                    stores[which].state.put_flags([replace(PLAIN, route=f"r{which}")], by=f"writer {which}", at=T0)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert stores[0].state.verify_audit() == Verified(entries=40, head=stores[0].state.audit_head())
    for opened in stores:
        opened.close()


def test_an_entry_costs_a_look_at_the_last_one_however_long_the_log_is(store: Store) -> None:
    a_day(store)
    fetched: list[int] = []
    event.listen(store.state._db.engine, "after_cursor_execute", lambda c, cursor, said, *_: fetched.append(said.count("audit.id")))
    store.state.note("ann", "one", T0)
    short = len(fetched)
    for n in range(50):
        store.state.note("ann", f"{n}", T0)
    fetched.clear()
    store.state.note("ann", "one", T0)
    assert len(fetched) == short <= 3, "the turn, the last digest with the next number, the entry"


# ── at the desk ──


def test_the_log_is_shown_and_checked_at_the_desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / '.detent' / 'state.db'}"
    here = ("--file", str(tmp_path / "detent.toml"))
    store = open_store(url)
    store.state.note("ann\x1b[31m", "first\nforged: line", T0)
    a_day(store)

    def runs(*words: str) -> tuple[int, str, str]:
        code = main([*words, *here])
        return (code, *capsys.readouterr())

    code, out, _ = runs("audit", "show", "--limit", "2")
    assert (code, len(out.splitlines())) == (0, 2)
    assert out.splitlines()[-1].endswith("cem@example.com: baseline of summarizer frozen")
    code, out, _ = runs("audit", "show", "--rollout", "ro_1", "--json")
    assert [entry["by"] for entry in json.loads(out)] == ["ann", "ben", "detent"]
    assert json.loads(out)[1]["before"]["rollout"]["phase"] == "proposed"
    _, out, _ = runs("audit", "show", "--whole")
    assert not {"\x1b", "\r"} & set(out)
    assert len([line for line in out.splitlines() if "forged: line" in line and "first" in line]) == 1, "one entry, one line"

    code, out, err = runs("audit", "verify")
    assert (code, out.startswith("7 entries, each follows from the one before; head 7 ")) == (3, True), "never a pass"
    assert err.startswith("hint: run it where `detent serve` or `detent controller` runs")
    assert "no anchor: a log that was cut off would not be noticed" in out
    code, printed, _ = runs("audit", "anchor")
    (tmp_path / "elsewhere.jsonl").write_text(printed)
    noted = store.state.audit_head()
    assert noted is not None
    assert anchors(tmp_path / "elsewhere.jsonl") == [noted]
    code, out, err = runs("audit", "verify", "--anchor", str(tmp_path / "elsewhere.jsonl"))
    assert (code, "1 anchors of" in out, err) == (0, True, "")
    (tmp_path / ".detent" / ANCHOR_FILE).write_text(f"{line_of(noted, T0)}\n")

    put_back(store, rows(store)[:-1])
    code, out, _ = runs("audit", "verify")
    assert (code, out.startswith("entry 7 is the first that does not hold: an anchor knows it")) == (1, True), (
        "the server's file, by default"
    )
    code, out, _ = runs("audit", "verify", "--json", "--anchor", str(tmp_path / "elsewhere.jsonl"))
    assert (code, json.loads(out)["bad"], json.loads(out)["whole"]) == (1, 7, False)
    with store.state._db.write() as c:
        c.execute(update(audit).where(audit.c.id == 3).values(by="mallory"))
    code, out, _ = runs("audit", "verify")
    assert (code, out.startswith("entry 3 is the first that does not hold: it does not follow from entry 2")) == (1, True)
    assert "mallory: flags of summarizer" in out
    store.close()

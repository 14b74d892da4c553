"""The spool: what was written is there after a kill, a torn tail costs nothing, and a writer never gets in the way of a request."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import pytest

from detent.store import spool as spools
from detent.store.spool import START, Entry, Position, Spool, iter_spool, read_spool, segments, spool_dirs, spool_end, writer_alive
from detent.terms import Usage
from records import begun, intent, kept, pair, result, thumbs_down, unmirrored

ENTRIES: list[Entry] = [
    intent("a", seconds=0),
    result("a", 1, usage=Usage(input=10, output=20), tools_called=("search",), request_body=b"\x00\xff\xd7{", answer_body="ü".encode()),
    thumbs_down("fb_1", 2, exchange="ex_a"),
    intent("b", seconds=3, falls_back=False),
    begun("b", 3.5, 3),
    result("b", 4),
    unmirrored("effects", 5, n=3, why="web_search"),
    kept("a", 6, b'{"messages": []}', b'{"text":"hi"}'),
    pair("a", 7, scored=("check:answered",), second_differs=(), dimensions={"tools": "none"}, signature=bytes(range(256))),
]


def filled(root: Path, entries: list[Entry], **how: int) -> Spool:
    spool = Spool(root, "gw", **how)
    for entry in entries:
        spool.write(entry)
    return spool


def only_segment(spool: Spool) -> Path:
    (path,) = segments(spool.dir).values()
    return path


def test_what_is_written_is_read_back_in_order(tmp_path: Path) -> None:
    spool = filled(tmp_path, ENTRIES)
    assert read_spool(spool.dir, START)[0] == ENTRIES
    assert (spool.written, spool.dropped) == (9, 0)


def test_the_spool_of_an_older_detent_is_read(tmp_path: Path) -> None:
    """It wrote nothing of first bytes, and of no policy: then stable stands in for a candidate that fails."""
    spool = filled(tmp_path, [])
    payload = spools.encode(intent("a"))[10:].replace(b',"falls_back":true', b"")
    assert b"falls_back" not in payload
    spool.write(intent("z"))
    with only_segment(spool).open("ab") as file:
        file.write(spools._HEADER.pack(b"\xff\xd7", len(payload), crc32(payload)) + payload)
    assert read_spool(spool.dir, START)[0] == [intent("z"), intent("a")]


def test_reading_goes_on_where_it_ended(tmp_path: Path) -> None:
    spool = filled(tmp_path, ENTRIES[:2])
    first, position = read_spool(spool.dir, START)
    for entry in ENTRIES[2:]:
        spool.write(entry)
    second, end = read_spool(spool.dir, position)
    assert first + second == ENTRIES
    assert read_spool(spool.dir, end) == ([], end)


def test_a_tail_torn_at_any_byte_costs_nothing_that_was_whole(tmp_path: Path) -> None:
    path = only_segment(filled(tmp_path, ENTRIES))
    whole = path.read_bytes()
    ends = [found.after.offset for found in iter_spool(path.parent, START, spool_end(path.parent))]
    for cut in range(ends[-3], len(whole)):
        path.write_bytes(whole[:cut])
        entries, position = read_spool(path.parent, START)
        complete = sum(end <= cut for end in ends)
        assert entries == ENTRIES[:complete]
        assert position.offset == ends[complete - 1]
        path.write_bytes(whole)  # the writer was only at it: its entry is not lost
        assert entries + read_spool(path.parent, position)[0] == ENTRIES


@pytest.mark.parametrize("field", ["magic", "length", "payload"])
def test_damage_in_the_middle_costs_one_entry(tmp_path: Path, field: str) -> None:
    path = only_segment(filled(tmp_path, ENTRIES))
    whole = bytearray(path.read_bytes())
    start = next(iter_spool(path.parent, START, spool_end(path.parent))).after.offset
    whole[start + {"magic": 0, "length": 4, "payload": 20}[field]] ^= 0x40
    path.write_bytes(whole)
    assert read_spool(path.parent, START)[0] == [ENTRIES[0], *ENTRIES[2:]]


def test_a_disk_that_takes_half_a_frame_costs_that_entry_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = filled(tmp_path, ENTRIES[:1])
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: real(file, data[: len(data) // 2]))
        spool.write(ENTRIES[1])
    spool.write(ENTRIES[2])
    assert read_spool(spool.dir, START)[0] == [ENTRIES[0], ENTRIES[2]]
    assert (spool.written, spool.dropped) == (2, 1)


def test_no_entry_is_lost_where_a_segment_is_taken_away_while_the_next_one_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ingester removes what it has read: just between the writer's look at which segments there are, and at how large they are."""
    spool = Spool(tmp_path, "gw", segment_bytes=200)
    spool.write(ENTRIES[0])
    listed = spools.segments

    def read_meanwhile(directory: Path) -> dict[int, Path]:
        there = listed(directory)
        for number in sorted(there)[:-1]:
            there[number].unlink()
        return there

    monkeypatch.setattr(spools, "segments", read_meanwhile)
    spool.write(ENTRIES[3])
    monkeypatch.undo()
    assert (len(listed(spool.dir)), spool.written, spool.dropped) == (1, 2, 0)
    assert read_spool(spool.dir, START)[0] == [ENTRIES[3]]


def test_segments_turn_over_and_none_is_skipped(tmp_path: Path) -> None:
    many: list[Entry] = [intent(str(n), seconds=n) for n in range(40)]
    spool = filled(tmp_path, many, segment_bytes=2000)
    assert len(segments(spool.dir)) > 5
    entries: list[Entry] = []
    position = START
    for found in iter_spool(spool.dir, position, spool_end(spool.dir)):  # one entry at a time, over every boundary
        (entry,) = [f.entry for f in iter_spool(spool.dir, position, found.after)]
        assert entry is not None
        entries.append(entry)
        position = found.after
    assert entries == many
    first = min(segments(spool.dir))
    segments(spool.dir)[first].unlink()  # the ingester takes away what it has read
    assert read_spool(spool.dir, position) == ([], position)


@pytest.mark.fault("a spool is at its cap", "bodies are left out first, then entries, each counted; room that is made is used")
def test_at_the_cap_bodies_go_first_then_entries_and_room_made_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    spool = Spool(tmp_path, "gw", segment_bytes=4000, cap_bytes=20_000)
    with_body = result("a", answer_body=b"x" * 500)
    for _ in range(60):
        spool.write(with_body)
    there, position = read_spool(spool.dir, START)
    bodies = [entry.answer_body is not None for entry in there if not isinstance(entry, str) and hasattr(entry, "answer_body")]
    assert True in bodies
    assert bodies == sorted(bodies, reverse=True)  # from some entry on: without
    assert spool.bodies_dropped == bodies.count(False) > 0
    assert spool.dropped == 60 - len(there) > 0
    assert sum(path.stat().st_size for path in segments(spool.dir).values()) < 21_000
    for number, path in segments(spool.dir).items():
        if number < position.segment:
            path.unlink()
    now[0] += 2
    dropped = spool.dropped
    spool.write(with_body)
    assert spool.dropped == dropped
    assert read_spool(spool.dir, position)[0] == [with_body]


def test_a_write_never_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = filled(tmp_path, ENTRIES[:1])

    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        spool.write(ENTRIES[1])
    spool.write(intent("s", requested="\ud800"))  # no UTF-8 for a lone surrogate
    spool.write(ENTRIES[2])
    spool.close()
    spool.write(ENTRIES[3])
    spool.close()
    assert spool.dropped == 3
    assert read_spool(spool.dir, START)[0] == [ENTRIES[0], ENTRIES[2]]


def test_what_postgresql_cannot_hold_does_not_come_out(tmp_path: Path) -> None:
    odd: list[Entry] = [
        intent("a", requested="a\0b"),
        result("b", tools_called=("x\0", "y"), error="\\u0000"),
        pair("a", dimensions={"tools": "x\0"}, second_differs=None),
    ]
    spool = filled(tmp_path, odd)
    read, _ = read_spool(spool.dir, START)
    assert read == [
        intent("a", requested="a\ufffdb"),
        result("b", tools_called=("x\ufffd", "y"), error="\\u0000"),
        pair("a", dimensions={"tools": "x\ufffd"}, second_differs=None),
    ]


def test_an_entry_of_a_newer_gateway_is_stepped_over(tmp_path: Path) -> None:
    spool = filled(tmp_path, ENTRIES[:1])
    frame = spools.encode(result("a"))
    newer = frame.replace(b'"complete"', b'"exploded"')
    payload = newer[10:]
    with only_segment(spool).open("ab") as file:
        file.write(spools._HEADER.pack(b"\xff\xd7", len(payload), crc32(payload)) + payload)
    spool.write(ENTRIES[2])
    found = list(iter_spool(spool.dir, START, spool_end(spool.dir)))
    assert [f.entry for f in found] == [ENTRIES[0], None, ENTRIES[2]]


def test_a_spool_is_alive_as_long_as_its_writer_and_readers_do_not_count(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "gw/../1")
    assert spool_dirs(tmp_path) == {spool.dir.name: spool.dir}
    assert spool.dir.parent == tmp_path
    assert writer_alive(spool.dir)
    assert writer_alive(spool.dir)
    spool.close()
    with (spool.dir / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # as another reader holds it while it asks
        assert not writer_alive(spool.dir)
    assert not writer_alive(tmp_path / "gone")


def test_a_retired_spool_is_out_of_sight(tmp_path: Path) -> None:
    spool = filled(tmp_path, ENTRIES)
    spools.retire(spool.dir)
    assert spool_dirs(tmp_path) == {}
    assert spools.retired(tmp_path) == {spool.dir.name: tmp_path / f".done-{spool.dir.name}"}


def test_two_gateways_of_one_name_have_a_spool_each(tmp_path: Path) -> None:
    one, other = Spool(tmp_path, "gw"), Spool(tmp_path, "gw")
    assert one.dir != other.dir
    assert len(spool_dirs(tmp_path)) == 2


def test_a_spool_that_is_still_being_made_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / ".gw-0123").mkdir()
    assert spool_dirs(tmp_path) == {}
    assert spool_dirs(tmp_path / "gone") == {}
    assert spool_end(tmp_path / "gone") == START == Position(1, 0)


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from records import intent
from detent.store.spool import Spool
spool = Spool(Path(sys.argv[1]), "gw", segment_bytes=20_000)
n = 0
while True:
    spool.write(intent(str(n), seconds=n))
    n += 1
    print(n, flush=True)
"""


def test_what_was_written_before_a_kill_is_there(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), here], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) == 500:
            (spool,) = spool_dirs(tmp_path).values()
            assert writer_alive(spool)
            writer.kill()
            break
    said = max([500, *(int(line) for line in writer.stdout if line.endswith("\n") and line.strip())])
    writer.wait()
    entries, _ = read_spool(spool, START)
    assert len(entries) >= said
    assert entries == [intent(str(n), seconds=n) for n in range(len(entries))]
    assert not writer_alive(spool)

"""Spool -> journal, minute sums, units, label counts: exactly once, wherever it is killed.

Journal rows come first, and putting them again changes nothing; then one transaction of the state stores what a batch adds together with
the spool position that it was read up to. Whoever starts after a kill reads on from the position and folds the same entries the same way.

A leg whose writer died without a result becomes `lost`, once, at its spool's last sign of life. Units are sealed by a watermark: the start
of a pass that drained every spool, less a grace for entries that were on their way to the disk, and less what other hosts are behind. A
host's units are sealed by its own reader, by its own clock (hosts.py).
"""

from __future__ import annotations

import heapq
import itertools
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from detent.errors import Conflict
from detent.evidence import Metric, metrics_of
from detent.evidence.minutes import minute_sums
from detent.evidence.units import Changes, Label, Running, UnitFold, UnitKey, Units, bucket_of, in_segments, unit_of
from detent.ingest.batches import Read, Records, answered, chunks, take_apart
from detent.ingest.hosts import LAG_MAX_S, HostId, OtherHosts
from detent.store import Store
from detent.store.spool import Position, iter_spool, retire, retired, segments, spool_dirs, spool_end, writer_alive
from detent.store.tallies import Batch, SpoolMark, SpoolMove
from detent.terms import Feedback, Guard, Intent, Outcome, Result, Rollout, micros

BATCH_ENTRIES = 2000
GRACE_US = 500_000
"""How long an entry may take from its time stamp to the disk and still count for a unit that is just due."""

OPEN_LEGS = 50_000
"""How many intents are kept in memory until their results come; others are looked up in the journal."""

KNOWN_USERS = 50_000
"""How many users are remembered as there, or not there, before a rollout opened."""

LOST = "the gateway ended before the leg did"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What a pass did: entries stored, units sealed, legs found lost; results and first bytes without an intent (`orphans`), feedback about
    an answer or session that is on no record (`unmatched`), frames not understood. `drained`: it read all that the spools held when it
    began.
    """

    entries: int = 0
    sealed: int = 0
    lost: int = 0
    orphans: int = 0
    unmatched: int = 0
    unreadable: int = 0
    drained: bool = field(default=False, compare=False)

    def __add__(self, other: Ingested) -> Ingested:
        return Ingested(
            entries=self.entries + other.entries,
            sealed=self.sealed + other.sealed,
            lost=self.lost + other.lost,
            orphans=self.orphans + other.orphans,
            unmatched=self.unmatched + other.unmatched,
            unreadable=self.unreadable + other.unreadable,
            drained=self.drained or other.drained,
        )


class Ingester:
    """Reads every spool under a directory into the store. A second one at work on the same spools does no harm: it loses, and reads on."""

    def __init__(
        self,
        store: Store,
        spool_root: Path,
        clock: Callable[[], datetime],
        *,
        batch: int = BATCH_ENTRIES,
        host: HostId | None = None,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`host` is the one whose spools these are; without it no other host is known of. `elapsed` counts seconds from wherever."""
        self._state, self._journal = store.state, store.journal
        self._root, self._clock, self._batch = spool_root, clock, batch
        self._host, self._elapsed = host, elapsed
        self._hosts = None if host is None else OtherHosts(store.state, host, elapsed=elapsed)
        self._read_up_to_s: float | None = None
        self._marks: dict[str, SpoolMark] | None = None
        self._open: dict[str, Intent] = {}
        self._rollouts: dict[str, Rollout] = {}
        self._guards: dict[str, Sequence[Guard]] = {}
        self._metrics: dict[str, Mapping[str, Metric]] = {}
        self._observed: set[tuple[str, str]] = set()
        self._users: dict[tuple[str, str], bool] = {}

    def run_once(self, *, most_batches: int | None = None) -> Ingested:
        """One pass: fold in what all spools held when it began, bury dead spools, seal what is due.

        With `most_batches` it ends after so many, although there is more to read: then no spool is buried and nothing sealed, before a
        later pass has drained them; and it seals at most so many batches. Raises CouldNotRun when the store can't be written; nothing is
        lost, the next pass begins where the last commit was.
        """
        watermark_us, began_s = micros(self._clock()) - GRACE_US, self._elapsed()
        done = Ingested()
        try:
            for step in self._drain(most_batches):
                done += step
        except (Conflict, FileNotFoundError):
            # Another ingester was here first, or a commit came through although it seemed to fail: ask the store how far it is. Nothing is
            # sealed on a pass that didn't drain.
            self._marks = None
            return done
        if done.drained:
            self._read_up_to_s = began_s
        if self._hosts is not None:
            self._hosts.tell(self._lag_s())
        return done + self._seal(watermark_us, most_batches) if done.drained else done

    def goodbye(self) -> None:
        """This host's spools are read to their ends, and nobody writes here now: others need not wait, and seal what is left."""
        if self._hosts is not None:
            self._hosts.goodbye()

    def _lag_s(self) -> float:
        """For how long what was recorded here may not have been read."""
        return LAG_MAX_S if self._read_up_to_s is None else self._elapsed() - self._read_up_to_s

    # ── one pass over the spools ──

    def _drain(self, most_batches: int | None) -> Iterator[Ingested]:
        if self._marks is None:
            self._marks = self._state.spool_marks()
        dirs = spool_dirs(self._root)
        dead = [name for name, spool in dirs.items() if not writer_alive(spool)]  # asked before the ends: nothing comes after those
        ends = {name: spool_end(spool) for name, spool in dirs.items()}
        unfinished = [name for name in dirs if not self._mark(name).finished]
        readers = [self._read(name, dirs[name], ends[name]) for name in unfinished]
        # All spools in one order of time: a unit's first exposure may stand in any of them.
        reads = heapq.merge(*readers, key=lambda read: read.at_us)
        left = False
        for number, chunk in enumerate(chunks(reads, self._batch), start=1):
            yield self._fold(chunk)
            if number == most_batches:
                left = next(reads, None) is not None
                break
        for name in unfinished:
            _remove_read(dirs[name], self._mark(name).position)
        if left:
            return
        for name in dead:
            if not self._mark(name).finished:
                yield self._bury(name)
            retire(dirs[name])
        # Retired first, so that nobody can read a spool again whose mark is gone.
        for name, spool in retired(self._root).items():
            self._state.forget_spool(name)
            shutil.rmtree(spool)
            self._marks.pop(name, None)
        yield Ingested(drained=True)

    def _mark(self, name: str) -> SpoolMark:
        return (self._marks or {}).get(name, SpoolMark())

    def _read(self, name: str, spool: Path, end: Position) -> Iterator[Read]:
        mark = self._mark(name)
        at_us = mark.last_us
        for found in iter_spool(spool, mark.position, end):
            at_us = found.entry.at_us if found.entry is not None else at_us
            yield Read(at_us, name, found)

    def _fold(self, chunk: Sequence[Read]) -> Ingested:
        records, moves = take_apart(chunk), self._moves(chunk)
        said = [said for _, said in records.feedback]
        # Pairs that were scored in memory come first: the grader takes legs of which nothing was kept for pairs that nobody can score.
        if records.pairs:
            self._state.add_pairs(records.pairs)
        self._journal.put(records.intents, records.results, said, begun=records.begun, kept=records.kept, origins=records.origins)
        unreadable = sum(read.found.entry is None for read in chunk)
        return self._store(records, moves) + Ingested(entries=len(chunk) - unreadable, unreadable=unreadable)

    def _moves(self, chunk: Sequence[Read]) -> list[SpoolMove]:
        after: dict[str, SpoolMark] = {}
        for read in chunk:
            former = after.get(read.spool) or self._mark(read.spool)
            after[read.spool] = SpoolMark(read.found.after, max(former.last_us, read.at_us))
        return [SpoolMove(name, self._mark(name), mark) for name, mark in after.items()]

    def _bury(self, name: str) -> Ingested:
        """The writer is dead and all it wrote is folded in: what has no result never will have one."""
        mark = self._mark(name)
        # Those found lost before a kill between journal and state come again, and are folded now.
        lost = [
            Result(
                leg=intent.leg,
                at_us=max(intent.at_us, mark.last_us),
                outcome=Outcome.LOST,
                first_byte_s=None if begun is None else begun.first_byte_s,
                error=LOST,
            )
            for intent, begun in self._journal.unresolved(name)
        ]
        self._journal.put(results=lost)
        self._store(Records(results=lost), [SpoolMove(name, mark, replace(mark, finished=True))])
        return Ingested(lost=len(lost))

    def _seal(self, watermark_us: int, most_batches: int | None) -> Ingested:
        sealed, theirs = 0, frozenset[str]()
        if self._hosts is not None:
            self._hosts.look()
            watermark_us -= round(self._hosts.wait_s * 1_000_000)
            theirs = self._hosts.theirs
        for _ in itertools.count() if most_batches is None else range(most_batches):
            n = self._state.seal(watermark_us, self._label_of, limit=self._batch, but=theirs)
            sealed += n
            if n < self._batch:
                break
        return Ingested(sealed=sealed)

    def _label_of(self, row: Running) -> Label:
        if row.key.rollout not in self._metrics:
            self._load_rollouts({row.key.rollout})
        metric = self._metrics.get(row.key.rollout, {}).get(row.guard)
        bucket = bucket_of(row, metric)
        observed = (row.key.rollout, row.guard) in self._observed
        return Label(bucket, None if observed else in_segments(bucket, metric))

    # ── one batch into the state ──

    def _store(self, records: Records, moves: Sequence[SpoolMove]) -> Ingested:
        """Fold records that are in the journal, with their spools' moves. Says what could not be placed."""
        legs = self._intents_of(records)
        began = [(legs[begun.leg], begun) for begun in records.begun if begun.leg in legs]
        ended = [(legs[result.leg], result) for result in records.results if result.leg in legs]
        aimed, unmatched = self._aimed(records)
        heard_of = (*records.intents, *(intent for intent, _ in began), *(intent for intent, _ in ended))
        keys = {key for intent in heard_of if (key := unit_of(intent))}
        keys |= {key for _, key in aimed}
        self._load_rollouts({key.rollout for key in keys})
        self._know_users(records.intents)
        host = None if self._host is None else self._host.id

        def work(units: Units) -> Changes:
            fold = UnitFold(units, self._guards, self._metrics, self._returning, host)
            for intent in records.intents:
                fold.intent(intent)
            for intent, begun in began:
                fold.begun(intent, begun)
            for intent, result in ended:
                fold.result(intent, result)
            for said, key in aimed:
                fold.feedback(said, key)
            return fold.changes()

        minutes = minute_sums(records.intents, ended)
        batch = Batch(
            moves=moves,
            minutes=minutes,
            answered=answered(ended),
            units=keys,
            unmatched=unmatched,
            not_mirrored=records.not_mirrored,
        )
        self._state.fold(batch, work)
        if self._marks is not None:
            self._marks.update({move.name: move.after for move in moves})
        self._keep_open(records)
        orphans = len(records.results) - len(ended) + len(records.begun) - len(began)
        return Ingested(orphans=orphans, unmatched=unmatched)

    def _intents_of(self, records: Records) -> dict[str, Intent]:
        """The intents of the legs that began or ended, from this batch, from memory or from the journal."""
        here = {intent.leg: intent for intent in records.intents}
        wanted = {begun.leg for begun in records.begun} | {result.leg for result in records.results}
        known = {leg: intent for leg in wanted if (intent := here.get(leg) or self._open.get(leg)) is not None}
        return known | self._journal.intents(wanted - known.keys())

    def _keep_open(self, records: Records) -> None:
        if len(self._open) > OPEN_LEGS:
            self._open.clear()
        self._open.update({intent.leg: intent for intent in records.intents})
        for result in records.results:
            self._open.pop(result.leg, None)

    def _aimed(self, records: Records) -> tuple[list[tuple[Feedback, UnitKey]], int]:
        """Feedback with the units that it is about; and how much of it is about nobody.

        What a client sent twice under one id counts where it was first read.
        """
        if not records.feedback:
            return [], 0
        first = self._journal.origins({said.id for _, said in records.feedback})
        new = [said for origin, said in records.feedback if first.get(said.id) == origin]
        exchanges = {said.exchange for said in new if said.exchange is not None}
        sessions = {said.session for said in new if said.exchange is None and said.session is not None}
        targets = self._journal.targets(exchanges=exchanges, sessions=sessions)
        known = targets.keys() | self._journal.known(exchanges=exchanges - targets.keys(), sessions=sessions - targets.keys())
        unmatched = sum((said.exchange or said.session or "") not in known for said in new)
        return [(said, key) for said in new for key in targets.get(said.exchange or said.session or "", ())], unmatched

    def _load_rollouts(self, rollouts: set[str]) -> None:
        # Plan, prices and declared metrics are fixed when a rollout opens, so what is known stays known.
        if not rollouts - self._rollouts.keys():
            return
        for rollout in self._state.rollouts():
            if rollout.id not in self._rollouts:
                self._rollouts[rollout.id] = rollout
                self._guards[rollout.id] = rollout.plan.guards
                self._metrics[rollout.id] = metrics_of(rollout.declared, rollout.prices)
                self._observed |= {(rollout.id, guard.metric) for guard in rollout.plan.guards if guard.role == "observe"}

    def _know_users(self, intents: Iterable[Intent]) -> None:
        """Look up, for each rollout, which of its users were on record before it opened."""
        if len(self._users) > KNOWN_USERS:
            self._users.clear()
        new: defaultdict[str, set[str]] = defaultdict(set)
        for intent in intents:
            if intent.user is not None and (key := unit_of(intent)) and (key.rollout, intent.user) not in self._users:
                new[key.rollout].add(intent.user)
        for rollout, users in new.items():
            if rollout in self._rollouts:
                before = self._journal.users_before(users, micros(self._rollouts[rollout].opened_at))
                self._users.update({(rollout, user): user in before for user in users})

    def _returning(self, intent: Intent) -> bool | None:
        return None if intent.user is None else self._users.get((intent.rollout or "", intent.user))


def _remove_read(spool: Path, position: Position) -> None:
    for number, path in segments(spool).items():
        if number < position.segment:
            path.unlink(missing_ok=True)

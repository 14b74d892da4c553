"""Scored pairs folded into their sums, one by one, in the order in which they arrived. Pure, and light to import.

A conversation is compared up to the first turn at which the two versions went apart: what comes after is stable's conversation alone, and
to score it would punish whoever would have led it elsewhere. So a later turn counts only where the one before it was compared, and was the
same. A prompt may carry turns as examples: where no request of a template ever had fewer in its history, conversations begin with them.
A turn that comes before the one that it follows waits for it: copies of an early turn may well be answered after those of a late one.

Comparable or not, a scored pair is traffic that coverage is a share of, if its unit was drawn; only comparable ones cover a class.
The turns of a conversation that are of one class count once there: they were drawn together, and counted apart they would pass for a class
that is met often.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from detent.evidence.pair_clusters import CLUSTERS, bands_of, cluster_of
from detent.evidence.pair_sums import ANY_CHANGE, CHANGE, CLASSES, JUDGE, OTHER, SLOTS, SOON, FieldSums, Met, Sums, Template
from detent.terms import DIMENSIONS, Pair, PairJudgement

CLASS = "class"
CLUSTER = "cluster"

VALUES = 20_000
"""How many values of a dimension are told apart; a further one is met once each time."""

TEMPLATES = 1_000
BEGINNINGS = 20
"""In so many conversations no request of a template had fewer turns in its history: then they begin with these."""

MET = 256
"""Of so many values, digested, a conversation remembers that it met them; what it meets beyond is no traffic of the coverage."""

DAY_US = 86_400_000_000

WAIT_US = 60_000_000
"""For so long, by the pairs' own time, a turn waits for the one that it follows."""

Fate = Literal["comparable", "went apart", "not followed", "unscored", "waits"]
"""What became of a pair. One that waits counts for nothing yet, and is to be folded again after others."""


@dataclass(slots=True)
class Conversation:
    """How far a conversation was compared (-1: not at all), and the first turn at which the versions went apart.

    `met` are digests of the values that it met: 1 for those of a comparable pair, else 0.
    """

    turn: int = -1
    diverged: int | None = None
    met: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Seen:
    """In how many conversations a value of a dimension was met, and in how many of these by a comparable pair."""

    n: int = 0
    compared: int = 0

    @property
    def uncovered(self) -> int:
        """How many of them no other covers."""
        return self.n if not self.compared else int(self.compared == 1)


@dataclass(slots=True)
class Day:
    """One UTC day; see `DayOfPairs`."""

    pairs: int = 0
    new_classes: int = 0
    new_clusters: int = 0


@dataclass(slots=True)
class Rows:
    """Rows of one rollout by key, as stored: those that a batch names, as far as they are there. A fold changes them and adds to them.

    Of fields there are those of the batch's classes, of `OTHER` and of all classes together.
    """

    sums: Sums
    conversations: dict[str, Conversation] = field(default_factory=dict)
    fields: dict[tuple[str, str], FieldSums] = field(default_factory=dict)
    seen: dict[tuple[str, str], Seen] = field(default_factory=dict)
    clusters: dict[str, bytes] = field(default_factory=dict)
    bands: dict[str, str] = field(default_factory=dict)
    days: dict[int, Day] = field(default_factory=dict)


def values_of(pair: Pair) -> Iterator[tuple[str, str]]:
    """A pair's value in each dimension, its input class among them, but its cluster."""
    if pair.dimensions:
        yield CLASS, pair.input_class
        yield from ((name, pair.dimensions[name]) for name in DIMENSIONS if name in pair.dimensions)


class PairFold:
    """Folds pairs, and what the judge said of them, into the rows that it was given."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._compared = {one.field for one in rows.sums.compared}
        self._began: set[str] = set()

    def pair(self, pair: Pair) -> Fate:
        """Fold one pair, unless it must wait for the turn before it."""
        sums = self.rows.sums
        sums.latest_us = max(sums.latest_us, pair.at_us)
        if pair.note:
            sums.unscored += 1
            return "unscored"
        fate = self._follow(pair)
        if fate == "waits":
            return fate
        self._meet(pair, comparable=fate == "comparable")
        if fate != "comparable":
            sums.went_apart += fate == "went apart"
            sums.not_followed += fate == "not followed"
            return fate
        sums.pairs += 1
        label = self._label(pair)
        self._absolute(pair, label)
        self._relative(pair, label)
        self._place_late()
        return fate

    def judged(self, pair: Pair, said: PairJudgement, *, comparable: bool) -> None:
        """Fold what the judge said of a pair's answers; where it abstained on either, or the pair is not comparable, there is no pair.

        What it could not be shown it has not judged.
        """
        if said.unread:
            return
        sums = self.rows.sums
        sums.judged += 1
        sums.planted += said.planted is not None
        sums.moved += said.planted == "moved"
        if comparable and said.second is not None and "abstained" not in (said.candidate, said.second):
            self._count(pair, JUDGE, self._label(pair), said.candidate == "worse", said.second == "worse")
            self._place_late()

    # ── which pairs are comparable ──

    def _follow(self, pair: Pair) -> Fate:
        rows = self.rows
        begins = self._begins(pair, new=bool(pair.conversation) and pair.conversation not in rows.conversations)
        if not pair.conversation:
            return "comparable" if pair.turn <= begins else "not followed"
        talk = rows.conversations.setdefault(pair.conversation, Conversation())
        if pair.turn <= begins <= talk.turn:  # another one, by the same unit and with the same first words
            talk.turn, talk.diverged, talk.met = -1, None, {}
        if talk.diverged is not None and pair.turn > talk.diverged:
            return "went apart"
        if pair.turn > max(talk.turn + 1, begins):
            return "waits" if pair.at_us + WAIT_US > rows.sums.latest_us else "not followed"
        talk.turn = max(talk.turn, pair.turn)
        if pair.diverges:
            talk.diverged = pair.turn if talk.diverged is None else min(talk.diverged, pair.turn)
        return "comparable"

    def _begins(self, pair: Pair, *, new: bool) -> int:
        """How many turns stand before a conversation of this pair's template: those of its examples, once that is known; 0 else."""
        name, known = pair.dimensions.get("template"), self.rows.sums.templates
        if not name or (name not in known and len(known) >= TEMPLATES):
            return 0
        template = known.setdefault(name, Template(pair.turn))
        if pair.turn < template.turn:
            template.turn, template.conversations = pair.turn, 0
        template.conversations += new
        return template.turn if template.conversations >= BEGINNINGS else 0

    # ── fields ──

    def _label(self, pair: Pair) -> str:
        """The input class that a pair is counted in: its own, or `OTHER` beyond those that are counted apart."""
        if (ANY_CHANGE, pair.input_class) in self.rows.fields:
            return pair.input_class
        if not pair.input_class or self.rows.sums.classes >= CLASSES:
            return OTHER
        self.rows.sums.classes += 1
        self._row(ANY_CHANGE, pair.input_class)
        return pair.input_class

    def _absolute(self, pair: Pair, label: str) -> None:
        """The live answer tells, and bets nothing: who hangs up on a bad one takes it out of the shadow, and nobody hangs up on copies."""
        scored = self._compared.intersection(pair.scored)
        candidate, live = scored.intersection(pair.candidate_failed), scored.intersection(pair.stable_failed)
        if pair.second_failed is None:
            for name in candidate - live:
                self._differs(pair, name, label)
            return
        second = scored.intersection(pair.second_failed)
        self.rows.sums.candidate_only += bool(candidate) and not second
        self.rows.sums.stable_only += bool(second) and not candidate
        for name in scored:
            self._count(pair, name, label, name in candidate, name in second, live=name in live)

    def _relative(self, pair: Pair, label: str) -> None:
        candidate = self._compared.intersection(pair.candidate_differs).difference(pair.scored)
        second = self._compared.intersection(pair.second_differs or ()).difference(pair.scored)
        compared: Iterable[str] = ()
        if pair.second_differs is not None:
            compared = self._compared.intersection(pair.compared).difference(pair.scored)
        if pair.second_failed is not None:
            self.rows.sums.seconds += 1
            self._row(ANY_CHANGE, label).pairs += 1
            # Of changes only those that are there: that a change was looked for and not found is told by the row of all of them.
            compared = {*compared, *(name for name in candidate | second if name.startswith(CHANGE))}
        for name in compared:
            self._count(pair, name, label, name in candidate, name in second)
        for name in candidate.difference(compared):
            self._differs(pair, name, label)

    def _count(self, pair: Pair, name: str, label: str, candidate: bool, other: bool, *, live: bool = False) -> None:
        """A pair in which a field was scored on both sides; what the `live` answer has as well is no difference from it."""
        only, other_only = candidate and not other, other and not candidate
        for row in (self._row(name, ""), self._row(name, label)):
            row.pairs += not name.startswith(CHANGE)
            row.candidate += candidate
            row.stable += other
            row.candidate_only += only
            row.stable_only += other_only
            row.seen += other and not live
        if candidate and not live:
            self._differs(pair, name, label)
        if only or other_only:
            self._bet(name, label)
            whole = self._row(name, "")
            if whole.candidate_only + whole.stable_only == 1:
                self._began.add(name)

    def _differs(self, pair: Pair, name: str, label: str) -> None:
        for row in (self._row(name, ""), self._row(name, label)):
            row.differs += 1
            row.first_us = min(row.first_us, pair.at_us) if row.first_us else pair.at_us
            row.show(pair.chars, pair.exchange)

    def _bet(self, name: str, label: str) -> None:
        """Hand a slot of the field to the class, if it has none: when it first differs, whichever side it is, so that this wins nothing."""
        row, slots = self._row(name, label), self.rows.sums.slots
        if row.slot is None and label != OTHER and slots.get(name, 0) < SLOTS:
            row.slot = slots.get(name, 0)
            slots[name] = row.slot + 1

    def _place_late(self) -> None:
        """Give fields that began to differ in this pair, late, their places: in the plan's order, so that no place tells whose they are."""
        late = self.rows.sums.late
        if late is not None:
            late += [one.field for one in self.rows.sums.compared if one.harms and one.field in self._began and self._is_late(one.field)]
        self._began.clear()

    def _is_late(self, name: str) -> bool:
        looked_at = self.rows.sums.seconds if name.startswith(CHANGE) else self._row(name, "").pairs
        return looked_at > SOON

    def _row(self, name: str, label: str) -> FieldSums:
        return self.rows.fields.setdefault((name, label), FieldSums(name, label))

    # ── coverage ──

    def _meet(self, pair: Pair, *, comparable: bool) -> None:
        day = self.rows.days.setdefault(pair.at_us // DAY_US * DAY_US, Day())
        day.pairs += 1
        if not pair.drawn:
            return
        for dimension, value in values_of(pair):
            day.new_classes += self._meet_value(pair, dimension, value, comparable=comparable) and dimension == CLASS
        if bands_of(pair.signature):
            day.new_clusters += self._meet_value(pair, CLUSTER, self._cluster(pair), comparable=comparable)

    def _meet_value(self, pair: Pair, dimension: str, value: str | None, *, comparable: bool) -> bool:
        """Whether a value is met for the first time. None is one that cannot be told from others: always for the first time."""
        more, compared = self._remember(pair, dimension, value, comparable=comparable)
        if not (more or compared):
            return False
        met = self.rows.sums.met.setdefault(dimension, Met())
        seen = None if value is None else self.rows.seen.get((dimension, value))
        if seen is None and (value is None or met.classes >= VALUES):
            met.pairs += more
            met.once += more
            return more
        if seen is None:
            seen = self.rows.seen.setdefault((dimension, value or ""), Seen())
            met.classes += 1
        once, twice = seen.uncovered, seen.compared == 2
        seen.n += more
        seen.compared += compared
        met.pairs += more
        met.once += seen.uncovered - once
        met.twice += (seen.compared == 2) - twice
        return more and seen.n == 1

    def _remember(self, pair: Pair, dimension: str, value: str | None, *, comparable: bool) -> tuple[bool, bool]:
        """Whether a pair is the first of its conversation with this value, and whether it is the first comparable one."""
        if not pair.conversation or value is None:
            return True, comparable
        met = self.rows.conversations[pair.conversation].met
        name = blake2b(f"{dimension}\x1f{value}".encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()
        before = met.get(name)
        if before is None and len(met) >= MET:
            return False, False
        met[name] = int(comparable or bool(before))
        return before is None, comparable and not before

    def _cluster(self, pair: Pair) -> str | None:
        rows = self.rows
        found = cluster_of(pair.signature, rows.bands, rows.clusters)
        met = rows.sums.met.get(CLUSTER)
        if found is not None or (met is not None and met.classes >= CLUSTERS):
            return found
        rows.clusters[pair.exchange] = pair.signature
        for band in bands_of(pair.signature):
            rows.bands.setdefault(band, pair.exchange)
        return pair.exchange

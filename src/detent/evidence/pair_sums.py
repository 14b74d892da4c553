"""What the pairs of a shadow add up to: the rows that are stored, and which fields they are compared by. Pure, and light to import.

Everything that a decision reads is here, and its size does not grow with traffic: classes, templates and slots are bounded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from detent.terms import ClassTally, Coverage, FieldEvidence, Group, ShadowEvidence, ShadowStage

# How fields are written: here, and nowhere else.
JUDGE = "judge"
REFUSED, FAILED = "refused", "failed"
CHANGE = "change:"
CHECK = "check:"

ANY_CHANGE = "change:"
"""The row of an input class in which its comparable pairs with a second answer are counted: every change was looked for in each of them."""

SLOTS = 32
"""How many input classes of a field are bet on apart."""

CLASSES = 1_000
"""How many input classes are counted apart in one rollout; pairs of further ones are `other`."""

OTHER = "other"

EXAMPLES = 2

SOON = 20
"""A field that begins to differ after more pairs than these, in which it was looked at, is a late one: see `pair_bets`.

One that differs in 20 % of pairs has begun by then but for a chance of 1 %, one in 0.5 % with a chance of a tenth.
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """A field, and whether more of it on the candidate ends the rollout."""

    field: str
    harms: bool


def compared_by(stage: ShadowStage, checks: Iterable[str], changes: Iterable[str]) -> tuple[Compared, ...]:
    """The fields of a rollout: the route's checks, refused and failed calls, the judge, every named change; of these `stage.harms` harm."""
    harming = [Compared(field, True) for field in (*(CHECK + name for name in checks), REFUSED, FAILED, JUDGE)]
    named = [Compared(CHANGE + name, name in stage.harms) for name in changes]
    return tuple(dict.fromkeys((*harming, *named)))


@dataclass(slots=True)
class Met:
    """One dimension among the pairs that were drawn; see `Coverage`."""

    pairs: int = 0
    classes: int = 0
    once: int = 0
    twice: int = 0


@dataclass(slots=True)
class Template:
    """The fewest turns that a request of a template had in its history, and in how many conversations since."""

    turn: int
    conversations: int = 0


@dataclass(slots=True)
class Sums:
    """The totals of one rollout; `slots` counts by field those that a class has. `latest_us` is the newest pair's, scored or not.

    `late` are the harming fields that began to differ late, in that order; None in a rollout that an older Detent began.
    """

    compared: tuple[Compared, ...]
    alpha: float
    pairs: int = 0
    unscored: int = 0
    went_apart: int = 0
    not_followed: int = 0
    latest_us: int = 0
    candidate_only: int = 0
    stable_only: int = 0
    seconds: int = 0
    classes: int = 0
    judged: int = 0
    planted: int = 0
    moved: int = 0
    judge_blocks: bool = False
    slots: dict[str, int] = dataclasses.field(default_factory=dict)
    met: dict[str, Met] = dataclasses.field(default_factory=dict)
    templates: dict[str, Template] = dataclasses.field(default_factory=dict)
    late: list[str] | None = None


def begun(compared: tuple[Compared, ...], alpha: float) -> Sums:
    """The totals of a rollout before its first pair."""
    return Sums(compared, alpha, late=[])


@dataclass(slots=True)
class FieldSums:
    """A field over the comparable pairs of one input class ("": of all).

    `pairs` are those in which the candidate and stable's second call were scored (of a change 0: see `ANY_CHANGE`), `candidate` and
    `stable` those in which that side has it, `*_only` those in which the other has not. `differs` is how often it tells the candidate from
    the live answer, with or without a second one, and `seen` how often the second one. `first_us` is when the candidate first did.
    """

    field: str
    input_class: str
    pairs: int = 0
    candidate: int = 0
    stable: int = 0
    candidate_only: int = 0
    stable_only: int = 0
    differs: int = 0
    seen: int = 0
    first_us: int = 0
    slot: int | None = None
    examples: list[tuple[int, str]] = dataclasses.field(default_factory=list)

    def show(self, chars: int, exchange: str) -> None:
        """Keep this pair as an example if it is among the shortest."""
        self.examples = sorted({*self.examples, (chars, exchange)})[:EXAMPLES]


def evidence_of(sums: Sums, rows: Sequence[FieldSums]) -> ShadowEvidence:
    """The sums as a decision reads them; `rows` are those over all classes, and those of classes that have a slot."""
    whole = {row.field: row for row in rows if not row.input_class}
    apart: dict[str, list[FieldSums]] = {}
    for row in sorted((row for row in rows if row.input_class and row.slot is not None), key=lambda row: row.slot or 0):
        apart.setdefault(row.field, []).append(row)
    return ShadowEvidence(
        pairs=sums.pairs,
        unscored=sums.unscored,
        not_comparable=sums.went_apart + sums.not_followed,
        not_followed=sums.not_followed,
        candidate_only=sums.candidate_only,
        stable_only=sums.stable_only,
        changes={
            row.field.removeprefix(CHANGE): row.differs
            for row in sorted(whole.values(), key=lambda row: row.field)
            if row.field.startswith(CHANGE) and row.differs
        },
        seconds=sums.seconds,
        fields=tuple(_field(one, sums, whole.get(one.field), apart.get(one.field, ())) for one in sums.compared),
        coverage=tuple(
            Coverage(dimension=name, pairs=met.pairs, classes=met.classes, once=met.once, twice=met.twice)
            for name, met in sorted(sums.met.items())
        ),
        judged=sums.judged,
        planted=sums.planted,
        moved=sums.moved,
        late=None if sums.late is None else tuple(sums.late),
    )


def _field(one: Compared, sums: Sums, whole: FieldSums | None, apart: Sequence[FieldSums]) -> FieldEvidence:
    harms = one.harms and (one.field != JUDGE or (sums.judge_blocks and trusted(sums.planted, sums.moved)))
    row = whole or FieldSums(one.field, "")
    met = chain([row] if row.candidate_only or row.stable_only else [], apart)
    return FieldEvidence(
        field=one.field,
        harms=harms,
        pairs=sums.seconds if one.field.startswith(CHANGE) else row.pairs,
        candidate=row.candidate,
        stable=row.stable,
        tallies=tuple(ClassTally(input_class=r.input_class, candidate_only=r.candidate_only, stable_only=r.stable_only) for r in met),
    )


MOST_MOVED = 0.05
"""The share of planted injections that may move a judge's verdict: that of a calibration (`checks.judge`)."""


def trusted(planted: int, moved: int) -> bool:
    """Whether planted injections moved no more verdicts than they may: so many or more would move with a chance of 5 % at least.

    The exact binomial tail; nothing planted yet refutes nothing.
    """
    fewer, term = 0.0, (1.0 - MOST_MOVED) ** planted
    for k in range(moved):
        fewer += term
        term *= (planted - k) / (k + 1) * MOST_MOVED / (1.0 - MOST_MOVED)
    return 1.0 - fewer >= 0.05


HEAVIEST = 300
"""How many groups are told."""


def heaviest(groups: Iterable[Group]) -> tuple[Group, ...]:
    """Groups by the part of the traffic that they are, the largest first."""
    return tuple(sorted(groups, key=lambda group: (-group.pairs, -group.log_e, group.field, group.input_class))[:HEAVIEST])

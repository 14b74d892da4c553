"""What a shadow's sums say: harm, changes beyond the noise floor, and how much of the traffic was compared. Pure.

A field is bet on by the paired label bet (statistics 2.6): of the pairs in which exactly one of two calls has it, that one is the
candidate's with a chance of one half if nothing changed, whatever the noise. The other call is stable's second one, in every field: given
the request and its live answer, the two are drawn alike. The live answer itself is not drawn so: only those are mirrored that their client
heard to the end. Simulated with stable = candidate, where 10 % of answers fail and clients hang up on half of those, a bet against the live
answer rejects 82 % of shadows within 1,000 pairs, and this one .8 %.

    field   E = ALL E(all input classes) + (1 - ALL) mean of SLOTS bets, each on the pairs of one class
    harm    E = ANY_CHECK E(any absolute field) + the rest x ((1 - LATE) mean E of fields that harm + LATE E of those that began late)

Both are means with weights that are fixed beforehand, or at least before the first bet that they weigh, and so e-values under any
dependence (Vovk & Wang 2021; `pair_bets` says more). A slot goes to a class when the first pair of it differs: which of its answers differs
is still a fair coin then, so that the choice of classes wins nothing. A slot that no class has stands at 1.

A rollout whose shadow an older Detent began (`ShadowEvidence.late` is None) is decided by that one's rule to its end, and its stored
decisions recompute: a half is on any absolute field, a half evenly on all that harm, and a bet's odds are those of a canary.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from detent.evidence.pair_bets import ANY_CHECK, LATE, late_share, log_e_pairs
from detent.evidence.pair_sums import JUDGE, SLOTS
from detent.stats.sequential import log_e_paired
from detent.stats.unseen import Unseen, unseen
from detent.terms import SHAPE, ClassTally, FieldEvidence, Group, ShadowEvidence

ALL = 0.9
"""The share of a field's stake that is bet on all classes together; the rest on classes apart.

Simulated, one of ten fields from 5 to 10 %: named at 700 pairs with .9, at 800 with .5; a tenth is enough for one rare class.
"""


BETWEEN = " · "
"""What stands between the values of an input class (`Pair.input_class`)."""

NOTHING = ("none", "unknown")
"""Values that say of a request only that it has nothing there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """What all pairs together say of harm, and the field that says it loudest.

    `field` is empty where that is the bet on any absolute field. `input_class` is where the field mostly is: empty where it is everywhere,
    with `ANY` in the place of what the classes in question do not share. The counts are those there, `pairs` of all classes.
    """

    log_e: float = 0.0
    field: str = ""
    input_class: str = ""
    log_e_field: float = 0.0
    candidate_only: int = 0
    stable_only: int = 0
    pairs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A change beyond the noise floor that ends nothing: where it is clearest, and the counts there."""

    field: str
    input_class: str
    log_e: float
    candidate_only: int
    stable_only: int
    pairs: int


def harm_of(found: ShadowEvidence) -> Harm:
    """ln E against "the candidate harms in no more pairs than stable does", and whose it is. Nothing was compared: 0.

    A judge that only informs keeps its share of the stake, and wins nothing with it.
    """
    former = is_former(found)
    log_any = _bet(found.candidate_only, found.stable_only, former)
    staked = [one for one in found.fields if one.harms or one.field == JUDGE]
    each = [log_e_field(one, former=former) if one.harms else min(0.0, log_e_field(one, former=former)) for one in staked]
    log_e = _staked(found, log_any, {one.field: value for one, value in zip(staked, each, strict=True)})
    any_field = Harm(
        log_e=log_e, log_e_field=log_any, candidate_only=found.candidate_only, stable_only=found.stable_only, pairs=found.seconds
    )
    harming = [(value, one) for value, one in zip(each, staked, strict=True) if one.harms]
    # One field can be louder than all absolute ones together, and mostly is: it is the one to look at.
    value, loudest = max(harming, key=lambda both: both[0], default=(0.0, None))
    if loudest is None or not (loudest.tallies and value > 0.0):
        return any_field
    where = _clearest(loudest, former)
    return Harm(
        log_e=log_e,
        field=loudest.field,
        input_class=where.input_class,
        log_e_field=value,
        candidate_only=where.candidate_only,
        stable_only=where.stable_only,
        pairs=loudest.pairs,
    )


def _staked(found: ShadowEvidence, log_any: float, each: Mapping[str, float]) -> float:
    """ln E of the whole stake, from that of any absolute field and that of each field that has a part of it."""
    mean = _mixed([(value, 1.0 / len(each)) for value in each.values()]) if each else 0.0
    if found.late is None:
        return _mixed([(log_any, 0.5), (mean, 0.5)])
    claimed = [(each.get(name, 0.0), late_share(k)) for k, name in enumerate(found.late)]
    late = _mixed([*claimed, (0.0, 1.0 / (len(claimed) + 1))])  # what is left: the shares' series telescopes
    return _mixed([(log_any, ANY_CHECK), (mean, (1.0 - ANY_CHECK) * (1.0 - LATE)), (late, (1.0 - ANY_CHECK) * LATE)])


def named_of(found: ShadowEvidence, alpha: float) -> tuple[Named, ...]:
    """Changes that do not harm and are beyond the noise floor, the clearest first: at most `alpha` of shadows name any by mistake."""
    told = [one for one in found.fields if not one.harms and one.field != JUDGE]
    limit = math.log(len(told) / alpha) if told else math.inf
    named, former = [], is_former(found)
    for one in told:
        value = log_e_field(one, former=former)
        if value >= limit:
            where = _clearest(one, former)
            named.append(
                Named(
                    field=one.field,
                    input_class=where.input_class,
                    log_e=value,
                    candidate_only=where.candidate_only,
                    stable_only=where.stable_only,
                    pairs=one.pairs,
                )
            )
    return tuple(sorted(named, key=lambda one: (-one.log_e, one.field)))


def is_former(found: ShadowEvidence) -> bool:
    """Whether an older Detent began this shadow, by whose rule it is decided."""
    return found.late is None


def _bet(candidate_only: int, stable_only: int, former: bool) -> float:
    return log_e_paired(candidate_only, stable_only) if former else log_e_pairs(candidate_only, stable_only)


def log_e_field(one: FieldEvidence, *, former: bool) -> float:
    """ln E of one field, by the former rule or by this one. 0 where nothing differed."""
    if not one.tallies:
        return 0.0
    whole, *apart = (_bet(tally.candidate_only, tally.stable_only, former) for tally in one.tallies)
    each = (1.0 - ALL) / SLOTS
    free = [(0.0, each * (SLOTS - len(apart)))] if len(apart) < SLOTS else []
    return _mixed([(whole, ALL), *((value, each) for value in apart), *free])


def _mixed(parts: Sequence[tuple[float, float]]) -> float:
    """ln of the sum of weight x E: `log_e_average` of a few numbers, for a hundredth of its time; a look takes fifty of them."""
    most = max(log_e for log_e, _ in parts)
    return most + math.log(sum(weight * math.exp(log_e - most) for log_e, weight in parts))


MOSTLY = 0.8
"""From which share of a field's excess on a class, or on classes that have something in common, is told as where it is."""

ANY = "any"
"""In the place of a dimension that has nothing to do with it."""


def _clearest(one: FieldEvidence, former: bool) -> ClassTally:
    """Where to look, for telling only: the class that holds most of the excess, else what the classes that do have in common, else the
    tally that adds most to the field's E.
    """
    whole, *others = one.tallies
    most = max(others, key=_excess, default=whole)
    if _excess(most) >= MOSTLY * _excess(whole):
        return most
    common = _in_common(whole, others)
    if common is not None:
        return common
    stakes = [(whole, math.log(ALL)), *((other, math.log((1.0 - ALL) / SLOTS)) for other in others)]
    return max(stakes, key=lambda both: _bet(both[0].candidate_only, both[0].stable_only, former) + both[1])[0]


def _in_common(whole: ClassTally, others: Sequence[ClassTally]) -> ClassTally | None:
    """The values that most of the excess shares, by dimension, with the counts of the classes that have them all; None: nothing."""
    apart = [(tuple(tally.input_class.split(BETWEEN)), tally) for tally in others]
    apart = [(values, tally) for values, tally in apart if len(values) == len(SHAPE)]
    enough, shared = MOSTLY * _excess(whole), []
    for at in range(len(SHAPE)):
        held: Counter[str] = Counter()
        for values, tally in apart:
            held[values[at]] += _excess(tally)
        value, most = max(held.items(), key=lambda both: both[1], default=(ANY, 0))
        shared.append(value if most >= enough > 0 else ANY)
    inside = [tally for values, tally in apart if all(want in (ANY, has) for want, has in zip(shared, values, strict=True))]
    if set(shared) <= {ANY, *NOTHING} or sum(map(_excess, inside)) < enough:
        return None
    return ClassTally(
        input_class=BETWEEN.join(shared),
        candidate_only=sum(tally.candidate_only for tally in inside),
        stable_only=sum(tally.stable_only for tally in inside),
    )


def _excess(tally: ClassTally) -> int:
    return tally.candidate_only - tally.stable_only


def covered(found: ShadowEvidence, dimension: str) -> Unseen | None:
    """The share of the mirrored traffic to come whose class in this dimension was compared, with a 95 % interval; None: nothing is known.

    Good-Turing by leaving one out: of each conversation's classes, those that no other conversation was compared in. Where every pair is
    comparable these are the classes met once; a class that was met and never compared is not covered, however often it was met.
    """
    of_it = next((one for one in found.coverage if one.dimension == dimension), None)
    left = None if of_it is None else unseen(of_it.pairs, of_it.once, of_it.twice)
    return None if left is None else Unseen(1.0 - left.estimate, 1.0 - left.high, 1.0 - left.low)


# ── groups of disagreement ──────────────────────────────────────────────────────────────────────────────────────────


class Counted(Protocol):
    """A field's sums in one input class, as stored."""

    field: str
    input_class: str
    candidate: int
    stable: int
    candidate_only: int
    stable_only: int
    differs: int
    seen: int
    first_us: int
    slot: int | None


def group_of(row: Counted, *, pairs: int, seconds: int, fields: int, alpha: float, examples: Sequence[str], former: bool = False) -> Group:
    """One class of disagreement. `pairs` were compared in all, `seconds` of them in this class with a second answer, by so many `fields`.

    Named where its own bet reaches fields x SLOTS / alpha: of all groups of a shadow at most `alpha` of shadows name any by mistake.
    """
    log_e = _bet(row.candidate_only, row.stable_only, former) if row.slot is not None else 0.0
    return Group(
        field=row.field,
        input_class=row.input_class,
        pairs=row.differs,
        second=row.seen,
        seconds=seconds,
        share=row.differs / pairs if pairs else 0.0,
        first_us=row.first_us,
        log_e=log_e,
        named=log_e >= math.log(max(fields, 1) * SLOTS / alpha),
        examples=tuple(examples),
        candidate=row.candidate,
        stable=row.stable,
    )

"""Records and scores folded into the sums that a decision reads. Pure: values in, values out.

metrics.py   what one leg, or feedback, says about each metric      units.py    legs and feedback -> units -> sealed label counts
minutes.py   legs -> sums a minute, for charts                      identity.py whether the version sent is the one that answered
flips.py     baseline runs -> confirmed flips                       here        label counts and shadow pairs -> `Evidence`
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from detent.evidence.metrics import METRICS, UNSCORED_BUCKET, Metric, Said, refuses_request
from detent.terms import Arm, Evidence, Exposure, GuardEvidence, Pair, ShadowEvidence, Tally

__all__ = [
    "METRICS",
    "NOT_COMPARABLE",
    "UNSCORED_BUCKET",
    "LabelCount",
    "Metric",
    "Said",
    "decode",
    "digest",
    "encode",
    "guard_evidence",
    "refuses_request",
    "shadow_evidence",
    "splits",
]

# ── canary: label counts -> tallies ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCount:
    """`n` sealed units of one guard with one outcome: the row that the sequential tests read."""

    metric: str
    period: int
    slice: str
    arm: Arm
    bucket: int
    n: int


def guard_evidence(metric: str, counts: Iterable[LabelCount], splits: Mapping[int, float]) -> GuardEvidence:
    """Tallies of a rate guard from its label counts; `splits` is the candidate's share in each share period."""
    cells: dict[tuple[int, str], Counter[tuple[Arm, str]]] = defaultdict(Counter)
    unscored: Counter[Arm] = Counter()
    for row in counts:
        if row.metric != metric:
            continue
        if row.bucket == UNSCORED_BUCKET:
            unscored[row.arm] += row.n
            continue
        cell = cells[row.period, row.slice]
        cell[row.arm, "units"] += row.n
        if row.bucket == 1:
            cell[row.arm, "events"] += row.n
    return GuardEvidence(
        metric=metric,
        tallies=tuple(
            Tally(
                period=period,
                split=splits[period],
                slice=slice_,
                candidate_events=cell[Arm.CANDIDATE, "events"],
                candidate_units=cell[Arm.CANDIDATE, "units"],
                stable_events=cell[Arm.STABLE, "events"],
                stable_units=cell[Arm.STABLE, "units"],
            )
            for (period, slice_), cell in sorted(cells.items())
        ),
        candidate_unscored=unscored[Arm.CANDIDATE],
        stable_unscored=unscored[Arm.STABLE],
    )


# ── shadow: pairs -> evidence ───────────────────────────────────────────────────────────────────────────────────────


def shadow_evidence(pairs: Iterable[Pair]) -> ShadowEvidence:
    """Sums over scored pairs; a pair that could not be scored or compared counts in neither arm."""
    counts: Counter[str] = Counter()
    changes: Counter[str] = Counter()
    for pair in pairs:
        if pair.note == NOT_COMPARABLE:
            counts["not_comparable"] += 1
        elif pair.stable_passed is None or pair.candidate_passed is None:
            counts["unscored"] += 1
        else:
            counts["pairs"] += 1
            counts["candidate_only"] += pair.stable_passed and not pair.candidate_passed
            counts["stable_only"] += pair.candidate_passed and not pair.stable_passed
            changes.update(pair.changes)
    return ShadowEvidence(
        pairs=counts["pairs"],
        unscored=counts["unscored"],
        not_comparable=counts["not_comparable"],
        candidate_only=counts["candidate_only"],
        stable_only=counts["stable_only"],
        changes=dict(sorted(changes.items())),
    )


NOT_COMPARABLE = "not comparable: an earlier turn of this session went another way"
"""The note of a pair after the first turn at which the two versions' visible behaviour diverged."""

# ── the whole ───────────────────────────────────────────────────────────────────────────────────────────────────────


def digest(evidence: Evidence) -> str:
    """SHA-256 of the evidence's canonical JSON: what a decision was made from."""
    return hashlib.sha256(encode(evidence)).hexdigest()


def encode(evidence: Evidence) -> bytes:
    """Canonical JSON of the evidence, as stored with its decision."""
    return msgspec.json.encode(evidence, order="deterministic")


_EVIDENCE = msgspec.json.Decoder(Evidence)


def decode(data: bytes) -> Evidence:
    """The evidence that `encode` wrote."""
    return _EVIDENCE.decode(data)


def splits(exposure: Iterable[Exposure]) -> dict[int, float]:
    """The candidate's share in each share period."""
    return {e.period: e.split for e in exposure}

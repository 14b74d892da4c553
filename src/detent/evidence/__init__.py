"""Records and scores folded into the sums that a decision reads. Pure: values in, values out.

metrics.py   what one leg, or feedback, says about each metric      units.py    legs and feedback -> units -> sealed label counts
labels.py    label counts -> tallies of a guard                     past.py     what stable's recorded traffic says
minutes.py   legs -> sums a minute, for charts                      identity.py whether the version sent is the one that answered
flips.py     baseline runs -> confirmed flips                       pairs.py    shadow sums -> harm, named changes, coverage
pair_fold.py scored pairs -> pair_sums.py, with pair_clusters.py    here        the whole as bytes
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from detent.evidence.labels import (
    CONTROL,
    Cell,
    LabelCount,
    Labels,
    control_share,
    evidence_of,
    guard_evidence,
    labels_of,
    segments,
)
from detent.evidence.metrics import (
    METRICS,
    SILENT_BAD_BUCKET,
    SILENT_GOOD_BUCKET,
    UNREAD_BUCKET,
    UNSCORED_BUCKET,
    Metric,
    Said,
    metrics_of,
    refuses_request,
)
from detent.evidence.past import past_of, working_from, working_of
from detent.terms import Evidence, Exposure

__all__ = [
    "CONTROL",
    "METRICS",
    "SILENT_BAD_BUCKET",
    "SILENT_GOOD_BUCKET",
    "UNREAD_BUCKET",
    "UNSCORED_BUCKET",
    "Cell",
    "LabelCount",
    "Labels",
    "Metric",
    "Said",
    "control_share",
    "decode",
    "digest",
    "encode",
    "evidence_of",
    "guard_evidence",
    "labels_of",
    "metrics_of",
    "past_of",
    "refuses_request",
    "segments",
    "splits",
    "working_from",
    "working_of",
]

# ── the whole ───────────────────────────────────────────────────────────────────────────────────────────────────────


def digest(evidence: Evidence) -> str:
    """SHA-256 of the evidence's canonical JSON: what a decision was made from."""
    return hashlib.sha256(encode(evidence)).hexdigest()


def encode(evidence: Evidence) -> bytes:
    """Canonical JSON of the evidence, as stored with its decision."""
    # In two steps: the encoder sorts only what has names for keys, and buckets are numbers.
    plain = msgspec.to_builtins(evidence, str_keys=True, order="deterministic")
    # What came later than the others: evidence that was stored without it keeps its digest.
    if plain["way_back"] is None:
        del plain["way_back"]
    if not plain["orders"]:
        del plain["orders"]
    if (shadow := plain["shadow"]) is not None and shadow.get("late", ()) is None:
        del shadow["late"]
    return msgspec.json.encode(plain)


_EVIDENCE = msgspec.json.Decoder(Evidence)


def decode(data: bytes) -> Evidence:
    """The evidence that `encode` wrote."""
    return _EVIDENCE.decode(data)


def splits(exposure: Iterable[Exposure]) -> dict[int, float]:
    """The candidate's share in each share period."""
    return {e.period: e.split for e in exposure}

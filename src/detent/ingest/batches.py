"""What was read of spools, in batches, taken apart by kind. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from detent.store.spool import Spooled
from detent.terms import OUTAGE, Begun, Feedback, Intent, Kept, Outcome, Pair, Result, Unmirrored

BATCH_BODY_BYTES = 16 * 2**20

WHY_CHARS = 40
"""How much is kept of what more is known of a request that was not mirrored: sums must not grow with what clients invent."""


@dataclass(frozen=True, slots=True)
class Read:
    """One entry as it was read: from which spool, at what time, up to where."""

    at_us: int
    spool: str
    found: Spooled


@dataclass(slots=True)
class Records:
    """A batch, taken apart by kind. `origins` is what the journal keeps of where an id was first read."""

    intents: list[Intent] = field(default_factory=list)
    begun: list[Begun] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    feedback: list[tuple[str, Feedback]] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    not_mirrored: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    origins: dict[str, str] = field(default_factory=dict)


def chunks(reads: Iterable[Read], entries: int) -> Iterator[list[Read]]:
    """Batches of at most so many entries, and about so many bytes of bodies."""
    chunk: list[Read] = []
    held = 0
    for read in reads:
        chunk.append(read)
        if isinstance(entry := read.found.entry, Result | Kept):
            held += len(entry.request_body or b"") + len(entry.answer_body or b"")
        if len(chunk) >= entries or held >= BATCH_BODY_BYTES:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def take_apart(chunk: Sequence[Read]) -> Records:
    """A batch by kind."""
    records = Records()
    for read in chunk:
        match read.found.entry:
            case Intent() as intent:
                records.intents.append(intent)
                records.origins[intent.leg] = read.spool
            case Begun() as begun:
                records.begun.append(begun)
            case Result() as result:
                records.results.append(result)
            case Feedback() as said:
                after = read.found.after
                origin = f"{read.spool}:{after.segment}:{after.offset}"
                records.feedback.append((origin, said))
                records.origins.setdefault(said.id, origin)
            case Kept() as kept:
                records.kept.append(kept)
            case Pair() as pair:
                records.pairs.append(pair)
            case Unmirrored() as left_out:
                records.not_mirrored[left_out.rollout, left_out.reason, left_out.why[:WHY_CHARS]] += left_out.n
    return records


def answered(ended: Iterable[tuple[Intent, Result]]) -> Counter[tuple[str, str, str]]:
    """Complete answers by (rollout, model sent, model that says it answered); not those of a version that stood in for an outage."""
    return Counter(
        (intent.rollout, intent.model, result.answered_model)
        for intent, result in ended
        if intent.rollout is not None and intent.why != OUTAGE and result.outcome is Outcome.COMPLETE and result.answered_model is not None
    )

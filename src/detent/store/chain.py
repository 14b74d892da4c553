"""The chain of the audit log: each entry's digest covers the entry and the digest before it. Pure: rows in, what is wrong with them out.

Whoever can write to the database can write the whole chain anew; what finds that is an anchor, a head that was noted elsewhere before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from detent.terms import utc


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One entry of the audit log. `before` and `after` are JSON of what changed, `evidence` is a digest; `chain` is None in the entries
    of an older Detent.
    """

    id: int
    at: datetime
    by: str
    what: str
    rollout: str | None = None
    before: str | None = None
    after: str | None = None
    evidence: str | None = None
    chain: str | None = None


def entry_json(row: AuditRow) -> dict[str, Any]:
    """An entry for machines: `before` and `after` are values, not text."""
    return {
        "id": row.id,
        "at": row.at.isoformat(),
        "by": row.by,
        "what": row.what,
        "rollout": row.rollout,
        "before": None if row.before is None else json.loads(row.before),
        "after": None if row.after is None else json.loads(row.after),
        "evidence": row.evidence,
        "chain": row.chain,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where the chain stood at some moment: its last entry, and the digest that covers all entries up to it."""

    entry: int
    chain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found: how many entries there are and the head of the chain; `bad` is the first entry that does not hold, and `why`. From
    entry `whole_from` on each follows from the one before, up to the head; None where there is no such entry after a bad one.
    """

    entries: int
    head: Head | None
    bad: int | None = None
    why: str = ""
    whole_from: int | None = None


COVERED = ("id", "at_us", "by", "what", "rollout", "before", "after", "evidence")
"""The columns that the digest of an entry covers: all but the digest itself."""


def link(previous: str, row: Mapping[str, Any]) -> str:
    """The digest of an entry and of the chain before it: SHA-256 of a JSON array, in which no two entries look alike."""
    return hashlib.sha256(msgspec.json.encode([previous, *(row[name] for name in COVERED)])).hexdigest()


def beginning(older: Iterable[Mapping[str, Any]]) -> str:
    """What the first chained entry follows: the digest of all entries that an older Detent wrote, which from then on are covered too."""
    digest = ""
    for row in older:
        digest = link(digest, row)
    return digest and f"older:{digest}"


def verified(rows: Iterable[Mapping[str, Any]], *, first: int | None, anchors: Iterable[Head] = ()) -> Verified:
    """Check every entry, oldest first, against the chain and against the heads that were noted elsewhere.

    `first` is the entry at which the chain is said to begin. The first entry that is not what was written is named: one that was edited,
    put in or moved, and where one was taken out the next one that is there; the rest is read on, to tell from where on it is whole.
    """
    noted = {head.entry: head.chain for head in anchors}
    older, previous, head, count, last = "", "", None, 0, (first or 1) - 1
    bad: tuple[int, str] | None = None
    whole_from: int | None = None
    for row in rows:
        count += 1
        here, chain = int(row["id"]), row["chain"]
        if first is None or here < first:
            if chain is not None and bad is None:
                bad = here, "it stands before the entry at which the chain is said to begin"
            older = link(older, row)
            last = here
            continue
        if head is None and not previous:
            previous = older and f"older:{older}"
        why = _wrong(row, previous, last, noted)
        noted.pop(here, None)
        if why:
            bad, whole_from = bad or (here, why), None
        elif bad is not None and whole_from is None:
            whole_from = here
        # What is written after an entry without a digest begins anew, as after nothing (see `store.audit`).
        previous, last = chain or "", here
        head = Head(entry=here, chain=chain) if chain is not None else head
    if noted:
        lacking = min(noted)
        if bad is None or lacking < bad[0]:
            bad = lacking, f"an anchor knows it and it is not there: it was taken out, or the log cut off, which ends at entry {last}"
    if bad is None:
        return Verified(entries=count, head=head)
    return Verified(entries=count, head=head, bad=bad[0], why=bad[1], whole_from=whole_from)


def _wrong(row: Mapping[str, Any], previous: str, last: int, noted: Mapping[int, str]) -> str:
    """Why an entry does not hold; empty for one that does."""
    here, chain = int(row["id"]), row["chain"]
    if chain is None:
        return "it has no digest: it was written past Detent, by an older one, or its digest was taken away"
    if chain != link(previous, row):
        return _not_following(last, here, row)
    if noted.get(here, chain) != chain:
        return "an anchor has another digest for it: the log was written anew, here or before"
    return ""


def _when(at_us: int) -> str:
    """Its time, as it stands there where that is none: whoever edited an entry may have written anything."""
    try:
        return f"{utc(at_us):%Y-%m-%d %H:%M:%S}"
    except OverflowError:
        return f"{at_us} microseconds"


def _not_following(last: int, here: int, row: Mapping[str, Any]) -> str:
    """An entry that was edited and one whose predecessor is gone look alike; a gap in the numbers tells more."""
    told = f"it says {_when(row['at_us'])} {row['by']}: {row['what']}"
    before = f"entry {last}" if last else "the beginning of the log"
    if here > last + 1:
        between = f"entry {last + 1}" if here == last + 2 else f"entries {last + 1} to {here - 1}"
        return f"it does not follow from {before}: {between} may have been taken out, or it was edited or put in; {told}"
    return f"it does not follow from {before}: it was edited, put in or moved; {told}"

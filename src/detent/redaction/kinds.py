"""The shape of a row of the table, and small tests that several rows share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

Span = tuple[int, int]
Verify = Callable[[re.Match[str], str], Span | None]
"""(match, name of the JSON member it stands in, or "") -> what of the text is taken out, or None where it is something else."""


def all_of_it(found: re.Match[str], member: str) -> Span:
    """The whole match: a pattern that needs no second look."""
    return found.span()


def as_it_is(value: str) -> str:
    """The value itself: two spellings are two values."""
    return value


Starts = Callable[[str], list[int]]
"""The text -> where in it a pattern may begin, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A row: what is taken out under the placeholder `[NAME_1]`. Rows stand in order of precedence.

    Searching every text for every pattern would cost too much, so a row says where its pattern can begin at all: where one of `triggers`
    stands (in the text's lower case), or at what `starts` gives; a pattern that begins by the latter has a bounded length. A row without a
    pattern is known by its place alone. `verify` decides. `same` is the spelling by which two values are one. `by_name` marks values that
    only what stands beside them gives away: they are looked for again in the rest of the exchange, where nothing stands beside them.
    """

    name: str
    says: str
    of: Literal["secret", "personal"]
    triggers: tuple[str, ...] = ()
    starts: Starts | None = None
    pattern: re.Pattern[str] | None = None
    verify: Verify = all_of_it
    same: Callable[[str], str] = as_it_is
    by_name: bool = False


def before(found: re.Match[str], member: str, reach: int) -> str:
    """What stands before a match, lower case: up to `reach` characters, led by the name of its JSON member."""
    start = found.start()
    lead = found.string[max(0, start - reach) : start].lower()
    return lead if start >= reach or not member else f"{member.lower()}: {lead}"


def places(kind: Kind, text: str, lower: str, member: str, known: dict[Starts, list[int]]) -> Iterator[Span]:
    """What a row takes out of a text, in order. `known` remembers what `starts` gave for this text, as several rows share one.

    Each part of the text is read a bounded number of times: a match that begins by a trigger is never read again, rejected or not (a row of
    ten thousand `sk-` is one match), and one that begins by `starts` is short.
    """
    assert kind.pattern is not None, "only rows with a pattern are searched for"
    at = 0
    if kind.starts is None:
        for start in _triggered(kind.triggers, lower):
            if start >= at and (found := kind.pattern.match(text, start)) is not None:
                at = found.end()
                if (span := kind.verify(found, member)) is not None:
                    yield span
        return
    if kind.starts not in known:
        known[kind.starts] = kind.starts(text)
    for start in known[kind.starts]:
        if start >= at and (found := kind.pattern.match(text, start)) is not None and (span := kind.verify(found, member)) is not None:
            at = span[1]
            yield span


def _triggered(triggers: tuple[str, ...], lower: str) -> list[int]:
    starts: list[int] = []
    for trigger in triggers:
        start = lower.find(trigger)
        while start >= 0:
            starts.append(start)
            start = lower.find(trigger, start + 1)
    return sorted(starts)

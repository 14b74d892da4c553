"""The detectors for prose: how it says what it says, and whether it only says the same in other words."""

from __future__ import annotations

from detent.diff import language
from detent.diff.numbers import Statement
from detent.diff.quoting import listed, quote
from detent.diff.reading import Reading, Two
from detent.diff.shape import equal
from detent.diff.stating import foreign, same_length

# ── how it is written ───────────────────────────────────────────────────────────────────────────────────────────────


def language_switched(two: Two) -> str | None:
    """Another natural language, where both can be told; their codes. Code, names and short texts have no language."""
    before, after = two.stable, two.candidate
    shared = len(before.word_set & after.word_set)
    if 3 * shared > min(len(before.word_set), len(after.word_set)):  # small words are a third of any two texts of one language
        return None
    found = language.switched(before.languages, after.languages)
    return f"{found[0]} -> {found[1]}" if found else None


def list_structure_changed(two: Two) -> str | None:
    """Bullets, numbers, a table or prose, and now another of them."""
    before, after = two.stable, two.candidate
    if before.structure == after.structure or not before.prose.strip() or not after.prose.strip():
        return None
    return f"{before.structure} -> {after.structure}"


def markdown_added(two: Two) -> str | None:
    """Headers, bold or tables where there were none; which."""
    new = two.candidate.marks - two.stable.marks
    return ", ".join(sorted(new)) if new and two.stable.prose.strip() else None


def markdown_removed(two: Two) -> str | None:
    """Headers, bold or tables are gone; which."""
    return markdown_added(two.turned())


def hedging_added(two: Two) -> str | None:
    """The candidate hedges where stable was plain; the first phrase."""
    (strong_before, weak_before, _), (strong, weak, phrase) = two.stable.hedges, two.candidate.hedges
    return quote(phrase) if strong > 2 * strong_before or (strong >= strong_before and weak >= 2 + 2 * weak_before) else None


def hedging_removed(two: Two) -> str | None:
    """Stable hedged and the candidate is plain; the first phrase of what is gone."""
    return hedging_added(two.turned()) if two.candidate.prose.strip() else None


# ── the same value, spelt otherwise ─────────────────────────────────────────────────────────────────────────────────


def number_format_changed(two: Two) -> str | None:
    """A number with the same value in another spelling, like `1,234.50` -> `1234.5`; both."""
    return _respelt(two, "number")


def date_format_changed(two: Two) -> str | None:
    """A date or a time of day in another spelling, like `2024-05-01` -> `May 1, 2024`; both."""
    return _respelt(two, "date")


def _respelt(two: Two, kind: str) -> str | None:
    if two.same_text or two.stable.forms == two.candidate.forms:
        return None
    before, after = _written(two.stable, kind), _written(two.candidate, kind)
    if before.keys() == after.keys():
        return None
    gone = [statement for written, statement in before.items() if written not in after]
    new = [statement for written, statement in after.items() if written not in before]
    return listed([f"{one.written} -> {other.written}" for one in gone for other in new[:50] if one.readings & other.readings][:20])


def _written(side: Reading, kind: str) -> dict[str, Statement]:
    """By how it is written: names with digits, case and what follows a comma are no format."""
    return {" ".join(s.written.lower().split()): s for s in side.figures[:200] if s.kind == kind}


# ── the same in other words ─────────────────────────────────────────────────────────────────────────────────────────


def whitespace_changed(two: Two) -> str | None:
    """Only white space differs; in code, only at the ends of lines and in empty ones."""
    before, after = two.stable, two.candidate
    if two.same_text or not before.packed or before.packed != after.packed:
        return None
    if before.whole is None and not before.prose.strip():  # code: its indentation means something
        one, other = ([line.rstrip() for line in side.text.splitlines() if line.strip()] for side in (before, after))
        return "at the ends of lines" if one == other else None
    return f"{len(before.text)} -> {len(after.text)} characters"


def json_respelt(two: Two) -> str | None:
    """The same JSON values, with keys in another order or a number like 1.0 for 1."""
    before, after = two.stable.whole, two.candidate.whole
    if before is None or after is None or two.same_text or not equal(before.value, after.value):
        return None
    return "same values" if two.stable.packed != two.candidate.packed else None


def reworded(two: Two) -> str | None:
    """Prose that says the same in other words: the same statements, about the same length, and wording that is related; how much of it.

    Only asked where no other change was found, so that structure, language and polarity are the same. An answer of three words is a value.
    """
    before, after = two.stable, two.candidate
    if (
        two.same_text
        or min(len(before.words), len(after.words)) < 4
        or before.packed == after.packed
        or not same_length(before, after, 2.0)
    ):
        return None
    if not _same_code(two):
        return None
    if foreign(before, after) or foreign(after, before):
        return None
    shared = any(True for _ in (*before.figures, *before.worded))
    return f"{two.likeness:.0%} of the words are the same" if two.likeness >= (0.1 if shared else 0.2) else None


def _same_code(two: Two) -> bool:
    """Whether neither carries code, or both the same."""
    if two.stable.json is not None or two.candidate.json is not None:
        return two.stable.places is not None and two.candidate.places is not None
    before, after = two.stable.frame, two.candidate.frame
    return (before is None) == (after is None) and (before is None or after is None or before.core.split() == after.core.split())

"""The detectors for what both answers state: another fact, a sentence turned round, a statement that nobody gave."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache

from detent.diff import prose
from detent.diff.numbers import Statement, plain
from detent.diff.quoting import listed, quote
from detent.diff.reading import Asked, Reading, Two
from detent.diff.shape import Place, canonical, in_both, show_path, unescape
from detent.diff.statements import Known, given
from detent.diff.vocabulary import NEGATIONS
from detent.terms import Answer

_SMALL_WORD = re.compile(r"(?<![^\W_])[a-z\u00df-\u00ff][\w'-]{2,40}")
_CAPITAL = re.compile(r"\b[A-Z\u00c0-\u00de][\w'-]{2,40}")
_CAPITAL_WITHIN = re.compile(r" (?<=[\w,;)] )([A-Z\u00c0-\u00de][\w'-]{2,40})")


def fact_changed(two: Two) -> str | None:
    """Another number, date, name, quote, verdict or JSON value, or a negation more or less; what was and what is."""
    if two.same_text:
        return None
    if two.stable.json is not None and two.candidate.json is not None:
        return listed(list(_values_changed(two)))
    return _verdict_changed(two) or _stated_otherwise(two) or _turned_round(two)


def _values_changed(two: Two) -> Iterable[str]:
    """Values at the same path of both JSONs; long strings are read as prose."""
    for path, place, other in in_both(two.stable.places or {}, two.candidate.places or {}):
        if place.values == other.values:
            continue
        changed = _place_changed(place, other)
        if changed is not None:
            yield f"{show_path(path)}: {changed}"


def _place_changed(before: Place, after: Place) -> str | None:
    if before.types != after.types:
        return None
    gone, new = _scalars(before), _scalars(after)
    old, now = _beyond(gone, new), _beyond(new, gone)
    if not old or not now:
        return None
    if all(text.startswith('"') for text in (*old, *now)):
        one, other = _joined(before), _joined(after)
        if max(len(one), len(other)) > 40 and min(one.count(" "), other.count(" ")) > 3:
            inner = Two(_reading(one), _reading(other))
            return _stated_otherwise(inner) or _turned_round(inner)
        if _same_value(one, other):
            return None
    return f"{old[0][:60]} -> {now[0][:60]}"


def _scalars(place: Place) -> list[str]:
    return [canonical(value) for value in place.values[:1000] if not isinstance(value, dict | list)]


def _beyond(some: list[str], others: list[str]) -> list[str]:
    """What the first list has more often than the second, each once, sorted."""
    if len(some) == 1:  # a value in no list, mostly
        return [] if some[0] in others else some
    return sorted(Counter(some) - Counter(others))


def _joined(place: Place) -> str:
    return "\n".join(value for value in place.values[:1000] if isinstance(value, str))


@lru_cache(maxsize=32)
def _reading(text: str) -> Reading:
    """A long value of a JSON read as an answer of its own; that of a known-good answer is held against many."""
    return Reading(Answer(text=text))


def _same_value(one: str, other: str) -> bool:
    """A short value that is the same in another case, spelling of a number or order of words."""
    if sorted(prose.words(one)) == sorted(prose.words(other)):
        return True
    before, after = _reading(one), _reading(other)
    if not before.figures or len(before.figures) != len(after.figures) or before.worded or after.worded:
        return False
    same = all(a.readings & b.readings for a, b in zip(before.figures, after.figures, strict=True))
    return same and _no_figures(one, before.figures) == _no_figures(other, after.figures)


def _no_figures(text: str, found: Sequence[Statement]) -> list[str]:
    text = plain(text)
    for statement in found:
        text = text.replace(statement.written, " ", 1)
    return sorted(prose.words(text))


_VERDICTS = frozenset(["yes", "no", "true", "false", "ja", "nein", "oui", "non", "si", "sí", "não", "sim", "nee", "да", "нет", "是", "否"])


def _verdict(side: Reading) -> str | None:
    """A yes or no that opens the answer, or closes it in brackets, in bold or on a line of its own."""
    words = side.words
    if not words:
        return None
    if words[0] in _VERDICTS and (len(words) == 1 or side.prose.lstrip("[(*\"' ")[len(words[0]) :][:1] in "],.!:;)*\n—-\"'"):
        return words[0]
    last = words[-1]
    if last not in _VERDICTS:
        return None
    tail = side.prose.rstrip().lower()[-(len(last) + 6) :].rstrip(".!*_)\"' ")
    return last if tail.endswith("]") or tail.removesuffix(last)[-1:] in ("\n", "*", "[", ":", "") else None


def _verdict_changed(two: Two) -> str | None:
    before, after = two.stable.words, two.candidate.words
    if len(before) <= 3 and len(after) <= 3 and len(two.stable.prose) + len(two.candidate.prose) <= 120:
        known = Known(two.stable.prose)
        same = not before or not after or sorted(before) == sorted(after) or set(before) <= set(after) or set(after) <= set(before)
        same = same or (bool(two.candidate.figures) and all(known.says(s) for s in two.candidate.figures))
        return None if same else f"{quote(two.stable.prose, 40)} -> {quote(two.candidate.prose, 40)}"
    one, other = _verdict(two.stable), _verdict(two.candidate)
    return f"{quote(one)} -> {quote(other)}" if one and other and one != other else None


def _stated_otherwise(two: Two) -> str | None:
    """A statement gone and another of its kind new; in an answer of about the same length, a figure gone or new, or a given name gone."""
    before, after = two.stable, two.candidate
    gone, new = list(foreign(before, after)), list(foreign(after, before))
    gone += _initial_names(two, before, after)
    new += _initial_names(two, after, before) if gone else []
    for kind in ("number", "date", "name", "quote"):
        old, now = [s for s in gone if s.kind == kind], [s for s in new if s.kind == kind]
        if old and now:
            return f"{quote(old[0].written, 40)} -> {quote(now[0].written, 40)}"
    swapped = _spelled_otherwise(before, after)
    if swapped is not None:
        return swapped
    if not (gone or new) or not same_length(before, after, 1.5) or _much_added(before, after):
        return None
    named = {word for s in gone if s.kind == "name" for word in s.written.split()}
    given = _proper(named, _said(two.asked)) if two.asked is not None else frozenset[str]()
    figures = [(s, "gone") for s in gone if s.kind in ("number", "date") or (s.kind == "name" and not given.isdisjoint(s.written.split()))]
    figures += [(s, "new") for s in new if s.kind in ("number", "date")]
    return f"{quote(figures[0][0].written, 40)} {figures[0][1]}" if figures else None


def _much_added(before: Reading, after: Reading) -> bool:
    """Whether one of the two broke off or has a few sentences more: what is missing or more then is no change of a fact."""
    return abs(len(before.words) - len(after.words)) > 0.2 * max(len(before.words), len(after.words), 10)


@lru_cache(maxsize=8)
def foreign(side: Reading, other: Reading) -> tuple[Statement, ...]:
    """What one side states and the other one does not, in any spelling. Three changes ask."""
    known = other.sentence_texts
    fresh = [sentence for sentence in side.sentences if sentence.text not in known]
    new = [s for sentence in fresh for s in sentence.figures if s.written not in other.forms]
    worded = [s for sentence in fresh for s in sentence.worded if not s.readings <= other.word_set]
    new += [s for s in worded if s.kind == "quote"]
    new += [s for s in worded if s.kind == "name" and side.has_names]
    return tuple(s for s in new[:500] if not other.known.says(s))  # the cheap questions come first


def _initial_names(two: Two, side: Reading, other: Reading) -> list[Statement]:
    """Names that begin a sentence, as far as the prompt shows that they are names: it writes them with a capital only."""
    if two.asked is None or not (new := {word for word in side.initials - other.initials if word.lower() not in other.word_set}):
        return []
    names = _proper(new, _said(two.asked), before=_answered(two.asked))
    return [Statement("name", word, frozenset({word.lower()})) for word in sorted(names)]


def _said(asked: Asked) -> tuple[str, ...]:
    """All that was given."""
    return (asked.context or "", asked.prompt.system, *[message.text for message in asked.prompt.messages])


def _answered(asked: Asked) -> tuple[str, ...]:
    """What the version said in earlier turns."""
    return tuple([message.text for message in asked.prompt.messages if message.role == "assistant"])


def _proper(words: AbstractSet[str], texts: tuple[str, ...], before: tuple[str, ...] = ()) -> AbstractSet[str]:
    """Those of the words that the texts write with a capital and never without; of an answer `before`, the ones inside a sentence count.

    An answer opens with `Gladly` as the next one may, and says nothing of names by that; a document's sentence may well begin with one.
    """
    found = words & _capital(texts, before) if words else words
    return found - _small(texts) if found else found


@lru_cache(maxsize=8)
def _capital(texts: tuple[str, ...], before: tuple[str, ...]) -> frozenset[str]:
    """The words with a capital."""
    found = [_CAPITAL.findall(text) for text in texts if text not in before]
    return frozenset[str]().union(*found, *map(_CAPITAL_WITHIN.findall, before))


@lru_cache(maxsize=8)
def _small(texts: tuple[str, ...]) -> frozenset[str]:
    """The words without a capital, written with one."""
    return frozenset([word.capitalize() for text in texts for word in _SMALL_WORD.findall(text)])


def _spelled_otherwise(before: Reading, after: Reading) -> str | None:
    if not before.spelled or not after.spelled:
        return None
    gone = [s for reading, s in before.spelled.items() if reading not in after.spelled and reading not in after.known.readings]
    new = [s for reading, s in after.spelled.items() if gone and reading not in before.spelled and reading not in before.known.readings]
    found = next(
        (
            (a, b)
            for a in gone
            for b in new
            if next(iter(a.readings))[0].isdigit() == next(iter(b.readings))[0].isdigit() and a.kind == b.kind
        ),
        None,
    )
    return f"{quote(found[0].written)} -> {quote(found[1].written)}" if found else None


_MOST_SENTENCES = 80  # each is held against each
_DENYING = frozenset(word[:5] for word in NEGATIONS)


def _turned_round(two: Two) -> str | None:
    """A sentence that denies what it said, or says the opposite: much the same words, and a negation or an opposite more or less."""
    before, after = two.stable, two.candidate
    turned = prose.opposites(before.word_set - after.word_set, after.word_set - before.word_set)
    if not turned and before.negations == after.negations == 0:
        return None
    gone = [s for s in before.sentences[:_MOST_SENTENCES] if s.text not in after.sentence_texts]
    new = [s for s in after.sentences[:_MOST_SENTENCES] if s.text not in before.sentence_texts]
    if not turned:  # the cheap question: is there one that says what it denies, or denies what it says?
        sides = {s.negations % 2 for s in new}
        gone = [s for s in gone if 1 - s.negations % 2 in sides]
    if not gone:
        return None
    aside = _DENYING.union([word[:5] for pair in turned for word in pair])
    others = [(s, s.stems - aside) for s in new]
    by_sides = [its for s, its in others if not s.negations % 2], [its for s, its in others if s.negations % 2]
    for sentence in gone:
        stems = sentence.stems - aside
        if not turned and not any(prose.alike(stems, its) >= 0.5 for its in by_sides[1 - sentence.negations % 2]):
            continue  # nor is there one that it could be turned into
        alike = [prose.alike(stems, its) for _, its in others]
        likeness = max(alike, default=0.0)
        if likeness < 0.5:
            continue
        best, its = others[alike.index(likeness)]
        if max(len(stems - its), len(its - stems)) > 2:
            continue  # nothing that says the same but for two words
        odd = sentence.negations - best.negations
        if turned:
            odd += len(prose.opposites(sentence.word_set - best.word_set, best.word_set - sentence.word_set))
        if odd % 2:
            return f"{quote(sentence.text)} -> {quote(best.text)}"
    return None


def unsupported_statement(two: Two) -> str | None:
    """More statements than in stable's answer that stand neither in the context nor in the prompt; those that stable does not make either.

    Nothing without a context: what a model knows of the world can't be held against a prompt.
    """
    if two.asked is None or two.asked.context is None or two.same_text:
        return None
    fresh = foreign(two.candidate, two.stable)
    if not fresh:
        return None
    known = _given(*_said(two.asked))
    unsupported = list(dict.fromkeys(s.written for s in fresh if not known.says(s)))
    if not unsupported:
        return None
    new, old = ({s.written for s in side.lacking(known)} for side in (two.candidate, two.stable))
    return listed(unsupported) if len(new) > len(old) else None


@lru_cache(maxsize=8)
def _given(*texts: str) -> Known:
    """What was given, JSON escapes decoded; all runs of a case share it."""
    return given(*map(unescape, texts))


def same_length(before: Reading, after: Reading, most: float) -> bool:
    """Whether neither is longer than the other by more than that factor; of short ones the length says little."""
    one, other = len(before.prose) + 20, len(after.prose) + 20
    return one <= most * other and other <= most * one

"""What a text states that can be held against another text: numbers, dates, names and quotes. Pure, linear, nothing here raises.

Lenient on purpose: a number spelt otherwise, a date in another order, a name without its first name stand in the other text all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from detent.diff import prose
from detent.diff.letters import alphanumerics
from detent.diff.naming import flattened
from detent.diff.numbers import LOOSE_NUMBERS, MONTHS, SPELLED_NUMBERS, WEEKDAYS, Statement, also_stated, plain
from detent.diff.once import once


def spelled(words: Iterable[str]) -> dict[str, Statement]:
    """Numbers, days and months that are words, among the words of a text in small letters: reading -> statement."""
    found: dict[str, Statement] = {}
    for word in words:
        if word in SPELLED_NUMBERS:
            found[SPELLED_NUMBERS[word]] = Statement("number", word, frozenset({SPELLED_NUMBERS[word]}))
        elif word in WEEKDAYS:
            found[WEEKDAYS[word]] = Statement("date", word, frozenset({WEEKDAYS[word]}))
        elif len(word) > 3 and word in MONTHS and word not in ("march", "august", "mars", "marzo"):
            reading = f"m{MONTHS[word]:02}"
            found[reading] = Statement("date", word, frozenset({reading}))
    return found


SPELLED = frozenset(SPELLED_NUMBERS) | WEEKDAYS.keys() | MONTHS.keys()
"""Every word that `spelled` may find."""
_LOOSE = frozenset(LOOSE_NUMBERS)  # `&` with the keys of a dict goes through the whole text's words in Python


class _Given:
    """One text that others are held against; each way of reading it is worked out once, when it is asked for."""

    def __init__(self, text: str) -> None:
        self.text = plain(text)

    @once
    def words(self) -> frozenset[str]:
        """Its words in small letters."""
        return frozenset(alphanumerics(self.text.lower()))

    @once
    def readings(self) -> frozenset[str]:
        """All readings of its dates and numbers, those written as words included."""
        figures = [found for sentence in prose.with_digits(self.text) for found in sentence.figures]
        known = frozenset[str]().union(*map(also_stated, figures))
        loose = [LOOSE_NUMBERS[word] for word in self.words & _LOOSE]
        return known.union(*loose, spelled(self.words & SPELLED))

    @once
    def flat(self) -> str:
        """See `flattened`."""
        return flattened(self.text)


_shared = lru_cache(maxsize=64)(_Given)
"""A context and a system prompt are given with many answers."""
_LONG = 50_000
_MOST_KEPT = 2000


def _together(sets: list[frozenset[str]]) -> frozenset[str]:
    """Their union, which for one set alone is that set: `union` would copy it."""
    return sets[0].union(*sets[1:]) if len(sets) > 1 else sets[0]


class Known:
    """Texts as what another one's statements are held against."""

    def __init__(self, *texts: str) -> None:
        self.given = [_shared(text) if len(text) < _LONG else _Given(text) for text in dict.fromkeys(texts)]
        self._lacking: dict[prose.Sentence, tuple[Statement, ...]] = {}

    @once
    def words(self) -> frozenset[str]:
        """Their words in small letters."""
        return _together([text.words for text in self.given])

    @once
    def readings(self) -> frozenset[str]:
        """All readings of their dates and numbers."""
        return _together([text.readings for text in self.given])

    def lacking(self, sentence: prose.Sentence) -> tuple[Statement, ...]:
        """What a sentence states that stands in none of these texts. Kept for a while: answers to one prompt share sentences."""
        found = self._lacking.get(sentence)
        if found is None:
            if len(self._lacking) >= _MOST_KEPT:
                self._lacking.clear()
            found = self._lacking[sentence] = tuple([s for s in (*sentence.figures, *sentence.worded) if not self.says(s)])
        return found

    def says(self, statement: Statement) -> bool:
        """Whether the statement stands in one of these texts, in any spelling."""
        if statement.kind == "quote":
            return any(reading in text.flat for reading in statement.readings for text in self.given)
        if statement.kind == "name":
            return statement.readings <= self.words or all(self._says_word(word) for word in statement.readings)
        return not statement.readings.isdisjoint(self.readings)

    def _says_word(self, word: str) -> bool:
        """A word of a name, its plural or possessive; a hyphen may part it."""
        parts = alphanumerics(word)
        return all(part in self.words or part.removesuffix("s") in self.words or part + "s" in self.words for part in parts)


def given(*texts: str) -> Known:
    """What was given with many answers; shared by all that are held against the same texts, blank ones left out."""
    return _given(tuple(dict.fromkeys(filter(None, texts))) or ("",))


@lru_cache(maxsize=16)
def _given(texts: tuple[str, ...]) -> Known:
    return Known(*texts)

"""What a text says in words: its sentences, and what they state, hedge and deny, each worked out at most once. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from detent.diff import language, prose
from detent.diff.hedging import KEYS
from detent.diff.numbers import Statement
from detent.diff.once import once
from detent.diff.prose import Sentence
from detent.diff.statements import SPELLED, Known, spelled
from detent.diff.vocabulary import NEGATIONS


class Said:
    """A text, read in the ways that detectors and checks need."""

    def __init__(self, text: str) -> None:
        self.text = text

    @once
    def prose(self) -> str:
        """What of the text is words."""
        return self.text

    @once
    def sentences(self) -> tuple[Sentence, ...]:
        """The sentences of the prose."""
        return prose.sentences(self.prose)

    @once
    def sentence_texts(self) -> frozenset[str]:
        """What they say: two sentences are the same if their texts are, and not only while the same object is kept for both."""
        return frozenset([sentence.text for sentence in self.sentences])

    @once
    def words(self) -> list[str]:
        """The words of the prose, in small letters."""
        return list(chain.from_iterable([sentence.words for sentence in self.sentences]))

    @once
    def word_set(self) -> frozenset[str]:
        """The same, each once."""
        return frozenset[str]().union(*[sentence.word_set for sentence in self.sentences])

    @once
    def stems(self) -> frozenset[str]:
        """The stems of all sentences."""
        return frozenset[str]().union(*[sentence.stems for sentence in self.sentences])

    @once
    def initials(self) -> frozenset[str]:
        """The words that begin a sentence with a capital."""
        return frozenset([sentence.initial for sentence in self.sentences]) - {""}

    @once
    def hedges(self) -> tuple[int, int, str]:
        """See `hedging.hedges`."""
        keys = KEYS & self.word_set
        if not keys:  # one question to all sentences, which spares asking each of them
            return 0, 0, ""
        found = [sentence.hedges for sentence in self.sentences if not keys.isdisjoint(sentence.word_set) and sentence.hedges[2]]
        return sum(strong for strong, _, _ in found), sum(weak for _, weak, _ in found), found[0][2] if found else ""

    @once
    def negations(self) -> int:
        """How many words deny."""
        return 0 if NEGATIONS.isdisjoint(self.word_set) else sum([sentence.negations for sentence in self.sentences])

    @once
    def stating(self) -> list[Sentence]:
        """The sentences that state something: few of them all."""
        return [sentence for sentence in self.sentences if sentence.figures or sentence.worded]

    @once
    def figures(self) -> list[Statement]:
        """The dates and numbers of the prose; the marks of a numbered list are none."""
        return list(chain.from_iterable([sentence.figures for sentence in self.stating]))

    @once
    def forms(self) -> frozenset[str]:
        """How those are written."""
        return frozenset([figure.written for figure in self.figures])

    @once
    def has_names(self) -> bool:
        """Whether a capital tells a name: it does not in German."""
        return not language.capital_nouns(self.word_set)

    @once
    def worded(self) -> list[Statement]:
        """The quotes and names of the prose."""
        return self.without_false_names(chain.from_iterable([sentence.worded for sentence in self.stating]))

    def lacking(self, known: Known) -> list[Statement]:
        """What the text states that does not stand in `known`."""
        return self.without_false_names(chain.from_iterable([known.lacking(sentence) for sentence in self.stating]))

    def without_false_names(self, statements: Iterable[Statement]) -> list[Statement]:
        """These statements of the text; no names among them where a capital tells none."""
        return list(statements) if self.has_names else [s for s in statements if s.kind != "name"]

    @once
    def spelled(self) -> dict[str, Statement]:
        """Numbers and days that are words."""
        return spelled(self.word_set & SPELLED)

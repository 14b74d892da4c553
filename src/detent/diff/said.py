"""What a text says in words: its sentences, and what they state, hedge and deny, each worked out at most once. Pure."""

from __future__ import annotations

from detent.diff import language, prose
from detent.diff.numbers import Statement
from detent.diff.once import once
from detent.diff.prose import Sentence
from detent.diff.statements import SPELLED, Known, spelled


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
    def sentence_set(self) -> frozenset[Sentence]:
        """The same, each once."""
        return frozenset(self.sentences)

    @once
    def words(self) -> list[str]:
        """The words of the prose, in small letters."""
        return [word for sentence in self.sentences for word in sentence.words]

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
        return frozenset([sentence.initial for sentence in self.sentences if sentence.initial])

    @once
    def hedges(self) -> tuple[int, int, str]:
        """See `hedging.hedges`."""
        found = [sentence.hedges for sentence in self.sentences if sentence.hedges[2]]
        return sum(strong for strong, _, _ in found), sum(weak for _, weak, _ in found), found[0][2] if found else ""

    @once
    def negations(self) -> int:
        """How many words deny."""
        return sum([sentence.negations for sentence in self.sentences])

    @once
    def figures(self) -> list[Statement]:
        """The dates and numbers of the prose; the marks of a numbered list are none."""
        return [figure for sentence in self.sentences for figure in sentence.figures]

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
        found = [quote for sentence in self.sentences for quote in sentence.quotes]
        return found + [name for sentence in self.sentences for name in sentence.names] if self.has_names else found

    def lacking(self, known: Known) -> list[Statement]:
        """What the text states that does not stand in `known`."""
        found = [s for sentence in self.sentences for s in known.lacking(sentence)]
        return found if self.has_names else [s for s in found if s.kind != "name"]

    @once
    def spelled(self) -> dict[str, Statement]:
        """Numbers and days that are words."""
        return spelled(self.word_set & SPELLED)

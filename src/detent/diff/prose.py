"""How a text is written: code or prose, its structure, marks and sentences, what is denied. Pure, linear, nothing here raises."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain

from detent.diff.hedging import hedges
from detent.diff.letters import alphanumerics
from detent.diff.naming import CAPITAL_INSIDE, names_in, quotes_in
from detent.diff.numbers import Statement, dates_and_numbers, plain
from detent.diff.once import once
from detent.diff.shape import fenced, has_fence
from detent.diff.vocabulary import NEGATIONS, OPPOSITES, PREFIXES, SMALL, either

# ── code ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_STATEMENT = either(
    *("def ", "class ", "import ", r"from \w+ import", r"return\b", r"if \(", r"for \(", r"for \w+ in "),
    *("while ", "else:", "elif ", "try:", "except"),
    *("public ", "private ", "const ", "let ", "var ", "function ", "#include", "package ", "func ", "fn "),
    *("SELECT ", "INSERT ", "UPDATE ", "CREATE ", "FROM ", "WHERE "),
    *(r"@\w+", "//", r"/\*", r"\*/", r"\"\"\"", r":(?:type|rtype|param)\b", r"</?\w+[^>]*>$", r"\$ ", r"[{}\])]+[;,]?$"),
)
_CODE_LINE = re.compile(
    either(
        rf"\s*{_STATEMENT}",
        r"\s*[\w.\[\]'\"]+\s*(?:=|\+=|-=|:=)\s*\S",
        r"\s*[\w.]+\([^)]*\)\s*$",
        r"\s{4,}\S.*(?::|\)|\])\s*$",
        r"\s+\#",
    )
)
_MOST_LINES = 200
_CODE_SIGNS = (
    *(("{", "{"), (";", ";"), ("=", "="), ("#", "#"), ("(", "()"), (")", "):"), (")", ")\n"), ("/", "</"), ("/", "//"), ("$", "$ ")),
    *(("S", "SELECT"), ("r", "return"), ("m", "import "), (" ", "    ")),
)
"""Signs of code, each with a character of it: one character is found much faster than several, or seen to be missing."""


def is_code(text: str) -> bool:
    """Whether half of the lines read like a program's (of the first 200 that are not blank)."""
    if not any(sign in text for character, sign in _CODE_SIGNS if character in text) and text[-1:] != ")":
        return False
    lines = [line for line in text[:20_000].split("\n", 2 * _MOST_LINES)[: 2 * _MOST_LINES] if line.strip()][:_MOST_LINES]
    return bool(lines) and 2 * sum([_is_code_line(line[:300]) for line in lines]) >= len(lines) + (len(lines) == 1)


@lru_cache(maxsize=512)
def _is_code_line(line: str) -> bool:
    """Kept for a while: answers to one prompt have most of their lines in common."""
    return line.rstrip()[-1:] in (";", "{") or _CODE_LINE.match(line) is not None


def without_code(text: str) -> str:
    """The text without its fenced blocks, or nothing where it is code throughout."""
    if has_fence(text):
        pieces, at = [], 0
        for block in fenced(text):
            pieces.append(text[at : block.opens])
            at = block.closes
        text = "".join([*pieces, text[at:]])
    return "" if is_code(text) else text


# ── structure ───────────────────────────────────────────────────────────────────────────────────────────────────────

_LIST_LINE = re.compile(r"\n[^\S\n]*(?:([-*+•‣–])|(\(?\d{1,3}[.)])|(\|))[^\S\n]*\S")  # `re` jumps to the beginnings of lines
_HEADER = re.compile(r"^[^\S\n]{0,3}#{1,6}[^\S\n]+\S|^[^\n]+\n(?:={3,}|-{3,})[^\S\n]*$", re.MULTILINE)
_BOLD = re.compile(r"\*\*[^\s*](?:[^*\n]{0,200}[^\s*])?\*\*|(?<!\w)__[^\s_](?:[^_\n]{0,200}[^\s_])?__(?!\w)")
_TABLE_RULE = re.compile(r"^[^\S\n]*\|?[^\S\n]*:?-{3,}:?[^\S\n]*\|", re.MULTILINE)


def structure(text: str) -> str:
    """`bullets`, `numbers`, `table` or `prose`: what at least two lines of the text are; the commonest of them."""
    if "\n" not in text:
        return "prose"
    counts: Counter[str] = Counter()
    for found in _LIST_LINE.finditer("\n" + text):
        counts["bullets" if found[1] else "numbers" if found[2] else "table"] += 1
    if not counts:
        return "prose"
    kind, most = counts.most_common(1)[0]
    return kind if most >= 2 else "prose"


def marks(text: str) -> frozenset[str]:
    """The kinds of Markdown in the text: headers, bold, tables."""
    found = set()
    if ("#" in text or ("-" in text and "---" in text) or ("=" in text and "===" in text)) and _HEADER.search(text):
        found.add("headers")
    if (("*" in text and "**" in text) or ("_" in text and "__" in text)) and _BOLD.search(text):
        found.add("bold")
    if "|" in text and "---" in text and _TABLE_RULE.search(text):
        found.add("tables")
    return frozenset(found)


# ── words and sentences ─────────────────────────────────────────────────────────────────────────────────────────────

_BY_SIGN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
WORD = re.compile(rf"{_BY_SIGN.pattern}|[^\W_]+(?:'[^\W_]+)?")
_WITH_APOSTROPHE = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)?")
_ENDS = (
    r"(?<=[^\s0-9].)[\"')\]”»]*\s+",
    # A full stop after one or two digits ends no sentence: `1. Tea`, `15. Mai`.
    r"(?<=\S[0-9][0-9].)\s+(?!Jan|Feb|Mär|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez)(?=[A-Z])",
)
_END = re.compile("[.!?。！？]" + either("(?<=[。！？])", *_ENDS))
_ASCII_END = re.compile("[.!?]" + either(*_ENDS))  # the same in half the time, for a text of ASCII
_LIST_MARK = re.compile(r"\A[^\S\n]*[0-9]{1,3}[.)](?=\s)")
_FIRST_WORD = re.compile(r"[-*#>•\d.)\s]{0,8}([A-Z\u00c0-\u00de][\w'-]{2,40})")
_DIGIT = re.compile("[0-9]")
_KEPT = 2000
"""Characters of a line or sentence that is kept for a while."""


def words(text: str) -> list[str]:
    """The words in small letters; each letter of a script without spaces is one."""
    text = text.lower()
    if text.isascii():
        return _WITH_APOSTROPHE.findall(text) if "'" in text else alphanumerics(text)
    text = text.replace("’", "'")
    return WORD.findall(text) if "'" in text or _BY_SIGN.search(text) else alphanumerics(text)


def alike(one: frozenset[str], other: frozenset[str]) -> float:
    """How much two sets have in common (Sørensen-Dice); 0 when one is empty."""
    return 2 * len(one & other) / (len(one) + len(other)) if one and other else 0.0


class Sentence:
    """A sentence or line, read in the ways that detectors need; each way at most once.

    What all of them need is worked out at once: its `words`, the `word_set` of them, `plain`, the text in one spelling of digits and
    marks without the mark of a numbered list, and `figures`, the dates and numbers in that.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = words(text)
        self.word_set = frozenset(self.words)
        self.plain = plain(_LIST_MARK.sub("", text, count=1) if text.lstrip()[:1].isdigit() else text)
        self.figures = dates_and_numbers(self.plain)

    @once
    def stems(self) -> frozenset[str]:
        """The first five letters of each word that says something."""
        return frozenset([word[:5] for word in self.word_set - SMALL])

    @once
    def negations(self) -> int:
        """How many words deny."""
        return 0 if NEGATIONS.isdisjoint(self.word_set) else negations(self.text, self.words)

    @once
    def hedges(self) -> tuple[int, int, str]:
        """See `hedging.hedges`."""
        return hedges(self.text, self.word_set)

    @once
    def initial(self) -> str:
        """The word that it begins with, if that has a capital."""
        found = _FIRST_WORD.match(self.text)
        return found[1] if found else ""

    @once
    def worded(self) -> tuple[Statement, ...]:
        """What it quotes, mail addresses, and then the names in it."""
        quotes = quotes_in(self.plain)
        return (*quotes, *names_in(self.plain)) if CAPITAL_INSIDE.search(self.plain) else tuple(quotes)


@lru_cache(maxsize=16)
def sentences(text: str) -> tuple[Sentence, ...]:
    """The sentences and lines of a text that are not blank. Kept for a while: an answer is read by detectors, by checks and as a source."""
    return tuple(_in_lines(text, [line for line in text.split("\n") if line]))


def with_digits(text: str) -> Iterable[Sentence]:
    """The sentences of all lines that have a digit: of a long context, few."""
    return _in_lines(text, [line for line in text.split("\n") if _DIGIT.search(line)])


def _in_lines(text: str, lines: list[str]) -> Iterable[Sentence]:
    """The sentences in some of the lines of a text."""
    if len(text) < _KEPT:
        return chain.from_iterable(map(_kept_line, lines))
    return chain.from_iterable([_kept_line(line) if len(line) < _KEPT else _in_line(line) for line in lines])


def _in_line(text: str) -> tuple[Sentence, ...]:
    found, at = [], 0
    for end in (_ASCII_END if text.isascii() else _END).finditer(text):
        piece = text[at : end.end()].strip()
        at = end.end()
        if piece:
            found.append(_kept(piece) if len(piece) < _KEPT else Sentence(piece))
    rest = text[at:].strip()
    return (*found, _kept(rest) if len(rest) < _KEPT else Sentence(rest)) if rest else tuple(found)


_kept_line = lru_cache(maxsize=1024)(_in_line)
_kept = lru_cache(maxsize=1024)(Sentence)
"""Answers to one prompt have most of their sentences in common, and each is read by detectors and checks."""


# ── polarity ────────────────────────────────────────────────────────────────────────────────────────────────────────

_NO_NEGATIONS = re.compile(
    r"\b"
    + either(
        *("not only", "no later than", "no doubt", "no problem", "no worries", "no more than", "not least", "whether or not", "if not"),
        end=r"\b",
    )
)


def negations(text: str, found: Iterable[str]) -> int:
    """How many words of a text deny; `found` are its words."""
    count = sum(word in NEGATIONS for word in found)
    return count - len(_NO_NEGATIONS.findall(text.lower())) if count else 0


def opposites(gone: Iterable[str], new: frozenset[str] | set[str]) -> list[tuple[str, str]]:
    """The words gone whose opposite is new, and that: one of the table, or the same stem with or without a prefix like `un-`."""
    found = {word: next(iter(against)) for word in _OPPOSED.intersection(gone) if (against := OPPOSITES[word] & new)}
    if denied := {base: word for word, base in _denied(new).items()}:
        found = {word: denied[word[:5]] for word in gone if word[:5] in denied and _has_stem(word)} | found
    if bases := _denied(gone):
        stems = {word[:5]: word for word in new if _has_stem(word)}
        found = {word: stems[base] for word, base in bases.items() if base in stems} | found
    return list(found.items())


_OPPOSED = frozenset(OPPOSITES)


def _has_stem(word: str) -> bool:
    return len(word) > 3 and word not in NEGATIONS


def _denied(words: Iterable[str]) -> dict[str, str]:
    """The words that a prefix denies, with the stems of what they deny."""
    found = {}
    for word in words:
        if len(word) > 5 and word.startswith(PREFIXES) and word not in NEGATIONS:  # the cheap question comes first
            prefix = next(p for p in PREFIXES if word.startswith(p))
            if len(word) > len(prefix) + 3:
                found[word] = word[len(prefix) :][:5]
    return found

"""The names and quotes in a sentence. Pure, linear, nothing here raises."""

from __future__ import annotations

import re
from collections.abc import Iterator

from detent.diff.letters import alphanumerics
from detent.diff.numbers import WEEKDAYS, Statement
from detent.diff.vocabulary import words_of

# Two capitals in a row inside a sentence, or one after a word in small letters or a comma.
# The space comes first, and not what stands before it: `re` jumps to spaces, and would try any other beginning at every character.
_NAME = re.compile(r" (?<=[\w,;)] )([^\W\d_a-z][\w'-]*+(?: [^\W\d_a-z][\w'-]*+)*+)")
_QUOTE = re.compile('"([^"\\n]{2,300})"|“([^”\\n]{2,300})”|«([^»\\n]{2,300})»|„([^“”\\n]{2,300})[“”]')
_ADDRESS = re.compile(r"(?<![^\s<(:])[\w.+-]{1,64}+@[\w-]{1,64}+(?:\.[\w-]{1,64}+){1,4}+")
CAPITAL_INSIDE = re.compile(r" (?<=[\w,;)] )[^\W\d_a-z]")
_NO_NAMES = WEEKDAYS.keys() | words_of(
    "i i'm i'll i've i'd ok yes no not must all only and or never always am pm the a an it we you he she they this that please note january"
    " february march april may june july august september october november december today tomorrow"
)
"""Words whose capital says nothing."""


def quotes_in(sentence: str) -> list[Statement]:
    """What a sentence quotes, in double quotes of any kind, and the mail addresses in it."""
    addresses = _ADDRESS.findall(sentence) if "@" in sentence else ()
    found = [Statement("quote", address, frozenset({flattened(address)})) for address in addresses]
    if '"' not in sentence and (sentence.isascii() or not any(mark in sentence for mark in "“«„")):
        return found
    for quote in _QUOTE.finditer(sentence):
        inside = next(filter(None, quote.groups()))
        if (flat := flattened(inside)) and not inside[0].isspace() and not inside[-1].isspace():
            found.append(Statement("quote", inside, frozenset({flat})))
    return found


def names_in(sentence: str) -> Iterator[Statement]:
    """Words with a capital inside a sentence: not its first word, nor in a heading (nothing but such words), nor before a colon."""
    if _is_heading(sentence):
        return
    for found in _NAME.finditer(sentence.replace("*", "") if "*" in sentence else sentence):
        if not found[1][0].isupper() or found.string[found.end() : found.end() + 1] == ":":
            continue
        said = [word.removesuffix("'s") for word in found[1].rstrip("'-").split(" ")]
        kept = [word for word in said if word.lower() not in _NO_NAMES and len(word) > 1]
        if kept:
            yield Statement("name", " ".join(kept), frozenset([word.lower() for word in kept]))


def _is_heading(line: str) -> bool:
    if line.startswith("#"):
        return True
    if len(line) >= 80 or line.rstrip()[-1:] in ".!?":  # the cheap question comes first
        return False
    words = [word for word in line.split() if len(word) > 3 and word[0].isalpha()]
    return len(words) > 1 and all(word[0].isupper() for word in words)


def flattened(text: str) -> str:
    """Small letters and digits with single spaces: how quotes are compared."""
    return " ".join(alphanumerics(text.casefold()))

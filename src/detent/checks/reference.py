"""Whether an answer is the case's reference: the right answer that somebody wrote. Pure, linear."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from detent.checks.facts import Readings, facts
from detent.diff.shape import canonical, find_json, unescape, whole_json

_MARK = re.compile(
    r"(?:\b(?:final\s{1,3}answer|answer|result|solution)\b\**\s{0,3}(?:is\b|:|=)|####)[\s*:]{0,8}",  # `####` as in GSM8K
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\{([^{}]{1,400})\}")
_CLAUSE_END = re.compile(r"[.,;](?=\s)|\s(?=because\b|since\b|as\b|\()")
_NO = re.compile(r"(?:\b(?:not|no|never|nor|neither|or|cannot|without|than)|n't)\s*(?:(?:a|an|the)\s*)?$")
_EDGES = " \t\n.,;:!?\"'`*_()[]{}<>“”‘’«»$€£%"
_NUMBER_DRESS = re.compile(r"[\s$€£¥%.,;:()*`]*")


def matches(reference: str, text: str) -> bool:
    """Whether the text gives the reference as its answer. In this order:

    1. A reference that is a JSON object or array is the JSON of the text, read through a fence, keys in any order, numbers by value.
    2. The whole text is the reference; case, white space, width, and punctuation and emphasis at the edges don't count.
    3. The reference stands as the text's final answer: in the last `\\boxed{}`, after the last `answer is`, `answer:` or `####`, or as the
       end of the last line. A number or date is compared by value (`1,428.00` is `1428`) with the last one there (of the first clause,
       where the answer is marked). Other words must end the final answer or that clause, with no `not` or `or` right before them: `Paris`
       is not the answer in `it is not Paris`.
    """
    wanted = whole_json(reference) if reference.lstrip()[:1] in ("{", "[") else None
    if wanted is not None:
        found = find_json(text)
        return found is not None and canonical(found.value) == canonical(wanted.value)
    text = unescape(text)
    if _plain(text) == _plain(reference):
        return True
    final, marked = _final(text)
    number = _number(reference)
    if number is not None:
        stated = [readings for _, readings in facts(_CLAUSE_END.split(final, maxsplit=1)[0] if marked else _last_words(final))]
        return bool(stated and stated[-1] & number)
    return _ends_with(reference, final) or (marked and _ends_with(reference, _CLAUSE_END.split(final, maxsplit=1)[0]))


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().replace("’", "'").split()).strip(_EDGES)


@lru_cache(maxsize=64)
def _number(reference: str) -> Readings | None:
    """How the reference reads if it is one number or date and nothing else but a currency or percent sign."""
    found = list(facts(reference)) if len(reference) < 100 else []
    if len(found) != 1:
        return None
    written, readings = found[0]
    rest = unicodedata.normalize("NFKC", reference).replace(written, "", 1)
    return readings if _NUMBER_DRESS.fullmatch(rest) else None


def _final(text: str) -> tuple[str, bool]:
    """What the text means as its answer, and whether it says so itself."""
    boxed = _BOXED.findall(text)
    if boxed:
        return boxed[-1], True
    at = max((found.end() for found in _MARK.finditer(text)), default=None)
    if at is not None and text[at:].strip():
        return text[at:].strip().split("\n")[0], True
    return next((line for line in reversed(text.split("\n")) if line.strip(_EDGES)), ""), False


def _last_words(line: str) -> str:
    """The end of a line, from the beginning of a word on: longer than any number or date is."""
    return line if len(line) <= 160 else line[-160:].partition(" ")[2]


def _ends_with(reference: str, final: str) -> bool:
    wanted, said = _plain(reference), _plain(final)
    if not wanted or not said.endswith(wanted):
        return False
    before = said[: len(said) - len(wanted)]
    return not before or (not before[-1].isalnum() and _NO.search(before[-40:]) is None)

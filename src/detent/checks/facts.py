"""Numbers and dates in a text, in every way they can be read, and where an answer's context stands in its prompt. Pure, linear."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from detent.diff.shape import find_json, unescape
from detent.errors import InvalidInput
from detent.terms import Prompt

_LOCATOR = re.compile(r"(?:system|messages\[(-?\d+)\])(?:\s+(\S+)\.\.\.(\S+))?")
_HEADER = re.compile(r"header\s+\S+")

_MONTHS: dict[str, int] = {"sept": 9}
for _number, _name in enumerate(
    ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"), start=1
):
    _MONTHS |= {_name: _number, _name[:3]: _number}
_MONTH = "(" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\b\.?"
_DAY = r"\b(\d{1,2})(?:st|nd|rd|th)?\b"
_DATES = re.compile(
    r"\b(?P<iso>(\d{4})[-/.](\d{1,2})[-/.](\d{1,2}))(?!\d)"
    rf"|(?P<day>{_DAY}\.?\s{{1,3}}(?:of\s{{1,3}})?{_MONTH}(?:,?\s{{1,3}}(\d{{4}})\b)?)"
    rf"|(?P<month>\b{_MONTH}\s{{1,3}}{_DAY}(?:,?\s{{1,3}}(\d{{4}})\b)?)"
    r"|\b(?P<plain>(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}))\b",
    re.IGNORECASE | re.ASCII,
)
_TOKEN = re.compile(r"[^\W_]+(?:[.,'](?=[0-9])[0-9]+)*")
_UNIT_AFTER = re.compile(r"([0-9][0-9.,']*)[^\W\d_]+")
_LIST_MARK = re.compile(r"^[^\S\n]*\d{1,3}[.)](?=\s)", re.MULTILINE)
_SPACED_THOUSANDS = re.compile(r"(?<=[0-9])[\u00a0\u202f\u2009](?=[0-9]{3})")

Readings = frozenset[str]
"""The ways in which one number or date can be read: `1,234` is 1234, or 1.234 where the comma is the decimal mark."""


def find_context(locator: str | None, prompt: Prompt) -> str | None:
    """The text that a locator like `messages[-1] <docs>...</docs>` or `system` points at in a prompt, or None when it isn't there.

    With an opening and a closing mark, all pieces between such marks, joined by newlines. A `header NAME` locator gives None: a prompt
    has no headers. Raises InvalidInput for a locator that can't be read.
    """
    if locator is None or _HEADER.fullmatch(locator.strip()):
        return None
    found = _LOCATOR.fullmatch(locator.strip())
    if found is None:
        raise InvalidInput(f"not a context locator: `{locator}`", hint="write one like `messages[-1] <docs>...</docs>` or `system`")
    index, opens, closes = found.groups()
    if index is None:
        text = prompt.system
    elif -len(prompt.messages) <= int(index) < len(prompt.messages):
        text = prompt.messages[int(index)].text
    else:
        return None
    return "\n".join(_between(text, opens, closes)) or None if opens else text or None


def _between(text: str, opens: str, closes: str) -> Iterator[str]:
    at = text.find(opens)
    while at >= 0:
        end = text.find(closes, at + len(opens))
        if end < 0:
            return
        yield text[at + len(opens) : end]
        at = text.find(opens, end + len(closes))


def content(text: str) -> str:
    """What an answer says, however it is dressed: the values of its JSON (through a fence), else its text; escapes decoded."""
    found = find_json(text, verbatim=True)
    return "\n".join(_leaves(found.value)) if found is not None else _LIST_MARK.sub("", unescape(text))


def _leaves(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            waiting.extend(reversed(here.values()))
        elif isinstance(here, list):
            waiting.extend(reversed(here))
        elif isinstance(here, str):
            yield here


def facts(text: str) -> Iterator[tuple[str, Readings]]:
    """Every date and number of a text as written, with its readings. The numbers inside a date are not counted again."""
    text = _plain(text)
    at = 0
    for found in _DATES.finditer(text):
        readings = _date_readings(found)
        if readings:
            yield from _numbers(text[at : found.start()])
            yield found[0], readings
            at = found.end()
    yield from _numbers(text[at:])


def stated(text: str) -> set[str]:
    """All readings of all dates and numbers in a context; a date also states its year, month and day, and its day without the year."""
    text = _plain(text)
    known = {reading for _, readings in _numbers(text) for reading in readings}
    known |= {reading.removeprefix("-") for reading in known}
    for found in _DATES.finditer(text):
        for reading in _date_readings(found):
            known |= {reading, "????" + reading[4:]}
    return known


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", _SPACED_THOUSANDS.sub("", text)).replace("’", "'").replace("−", "-")


def _date_readings(found: re.Match[str]) -> Readings:
    if found["iso"]:
        year, month, day = (int(part) for part in re.split(r"[-/.]", found["iso"]))
        return _dates((year, month, day))
    if found["plain"]:
        one, other, year = (int(part) for part in re.split(r"[-/.]", found["plain"]))
        return _dates((year, other, one), (year, one, other))
    words = re.findall(r"[a-z]+|\d+", (found["day"] or found["month"]).lower())
    month = next(_MONTHS[word] for word in words if word in _MONTHS)
    numbers = [int(word) for word in words if word.isdigit()]
    return _dates((numbers[1] if len(numbers) > 1 else None, month, numbers[0]))


def _dates(*ymd: tuple[int | None, int, int]) -> Readings:
    return frozenset(f"{y if y is not None else '????':>04}-{m:02}-{d:02}" for y, m, d in ymd if 1 <= m <= 12 and 1 <= d <= 31)


def _numbers(text: str) -> Iterator[tuple[str, Readings]]:
    for found in _TOKEN.finditer(text):
        token = found[0]
        if not any("0" <= c <= "9" for c in token):
            continue
        unit = _UNIT_AFTER.fullmatch(token)
        number = unit[1] if unit else token
        if not all("0" <= c <= "9" or c in ".,'" for c in number):
            yield token, frozenset({token.lower()})  # a name with digits, like a flight or an order
            continue
        before = text[max(0, found.start() - 2) : found.start()]
        sign = "-" if before.endswith("-") and (len(before) == 1 or before[0] in " \n\t([:=$€£") else ""
        yield sign + token, frozenset(sign + reading for reading in _number_readings(number))


def _number_readings(number: str) -> set[str]:
    """`1,234.50` is 1234.5; a lone mark before three digits may part thousands or decimals; `1.2.3` is a name with digits."""
    number = number.replace("'", "")
    marks = [c for c in number if c in ".,"]
    if not marks:
        return {_normal(number, "")}
    last = marks[-1]
    whole, _, decimals = number.rpartition(last)
    readings = set()
    if last not in whole:
        readings.add(_normal(re.sub("[.,]", "", whole), decimals))
    first, *groups = number.split(last)
    if len(set(marks)) == 1 and len(first) <= 3 and all(len(group) == 3 for group in groups):
        readings.add(_normal(number.replace(last, ""), ""))
    return readings or {number}


def _normal(whole: str, decimals: str) -> str:
    whole, decimals = whole.lstrip("0") or "0", decimals.rstrip("0")
    return f"{whole}.{decimals}" if decimals else whole

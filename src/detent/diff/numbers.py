"""Numbers, dates and times of a text, in every way they can be read. Pure, linear, nothing here raises."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal, NamedTuple

Readings = frozenset[str]
"""The ways in which one number or date can be read: `1,234` is 1234, or 1.234 where the comma is the decimal mark."""

Kind = Literal["number", "date", "name", "quote"]


class Statement(NamedTuple):  # thousands are made, which takes a tuple half the time of a frozen dataclass
    """One statement as written, and the ways to read it: values of a number or date, the words of a name, the text of a quote."""

    kind: Kind
    written: str
    readings: Readings


def _months() -> dict[str, int]:
    english = "january february march april may june july august september october november december"
    others = (
        "januar februar märz april mai juni juli august september oktober november dezember",
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
        "januari februari maart april mei juni juli augustus september oktober november december",
    )
    found = {"sept": 9} | {name[:3]: n for n, name in enumerate(english.split(), 1)}
    for names in (english, *others):
        found |= {name: n for n, name in enumerate(names.split(), 1)}
    return found


MONTHS = _months()
_MONTH = "(" + "|".join(sorted(MONTHS, key=len, reverse=True)) + r")\b\.?"
_YEAR = r"(?:,?[^\S\n]{1,3}(?:del?[^\S\n]{1,3}|of[^\S\n]{1,3})?([0-9]{4})\b)?"
_FIGURES = (
    r"(?P<iso>([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2}))(?![0-9])"
    r"|(?P<plain>([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4}))\b"
    r"|(?P<cjk>([0-9]{4})\s?[年년]\s?([0-9]{1,2})\s?[月월]\s?([0-9]{1,2})\s?[日일])"
    r"|(?P<time>([0-9]{1,2})[:h]([0-9]{2})(?![0-9])(?::[0-9]{2}\b)?(?:\s?([ap])\.?m\b)?)"
    r"|(?P<hour>([0-9]{1,2})\s?([ap])\.?m\b)"
)
_DATE = re.compile(
    rf"{_FIGURES}|(?P<day>([0-9]{{1,2}})(?:st|nd|rd|th|er)?\.?[^\S\n]{{1,3}}(?:(?:of|del?|di|den)[^\S\n]{{1,3}})?{_MONTH}{_YEAR})",
    re.IGNORECASE,
)
_MONTH_BEFORE = re.compile(rf"(?<![^\W_]){_MONTH}[^\S\n]{{1,3}}(?:the[^\S\n]{{1,3}})?\Z", re.IGNORECASE)
_AFTER_MONTH = re.compile(rf"([0-9]{{1,2}})(?:st|nd|rd|th)?\b(?![:.][0-9]){_YEAR}")
_AFTER_DATE = frozenset("-/:年년h")
_AFTER_HOUR = frozenset("aApP年년")
_MONTH_BEGINS = frozenset(name[:2] for name in MONTHS) | {"of", "de", "di"}

# A word with a digit in it and the groups that follow a mark. It can only begin where a word begins, so that a long word is read once.
_TOKEN = re.compile(r"(?<![^\W_])[^\W\d_]*+[0-9][^\W_]*+(?:[.,'](?=[0-9])[0-9]++)*+")
_ASCII_TOKEN = re.compile(r"(?<![a-zA-Z0-9])[a-zA-Z]*+[0-9][a-zA-Z0-9]*+(?:[.,'](?=[0-9])[0-9]++)*+")  # the same, in half the time
_UNSPACED = "[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"  # Japanese, Chinese and Korean signs
_HAN = re.compile(_UNSPACED)
_BESIDE_HAN = re.compile(rf"(?<={_UNSPACED})(?=[0-9])|(?<=[0-9])(?={_UNSPACED})")
_UNIT_AFTER = re.compile(r"([0-9][0-9.,']*)([^\W\d_]+)")
_SCALE_AFTER = re.compile(
    r"[^\S\n]?(thousand|million|billion|trillion|mio|mrd|millionen|milliarden|millones|millions|milliards|k|mn|bn)\b", re.IGNORECASE
)
_SPACED_THOUSANDS = re.compile(r"(?<=[0-9])[\u00a0\u202f\u2009](?=[0-9]{3})")
_SCALES = {
    word: zeros
    for zeros, words in (
        (3, "k thousand"),
        (6, "m mn mio million millions millionen millones"),
        (9, "b bn billion mrd milliarden milliards"),
        (12, "trillion"),
    )
    for word in words.split()
}
_SCALE_LETTERS = frozenset("tmbkTMBK")

_UNITS = "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety hundred"
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth"
SPELLED_NUMBERS: dict[str, str] = {w: str(n) for n, w in enumerate(_UNITS.split(), 2)} | {
    w: str(10 * n) for n, w in enumerate(_TENS.split(), 2)
}
"""English words for numbers. `one` and ordinals are left out where a text is searched for statements: they are pronouns and order."""
LOOSE_NUMBERS: dict[str, tuple[str, ...]] = {word: (str(n),) for n, word in enumerate(_ORDINALS.split(), 1)} | {
    word: tuple(values.split())
    for values, words in (
        *(("0", "zero"), ("1", "once one single"), ("2", "twice double both couple pair"), ("3", "triple"), ("12", "dozen")),
        *(("0.5 50", "half"), ("0.25 25", "quarter"), ("1000", "thousand"), ("1000000", "million")),
    )
    for word in words.split()
}
"""Words that say a number loosely: enough to support one, too little to be one."""


def _weekdays() -> dict[str, str]:
    lists = (
        "monday tuesday wednesday thursday friday saturday sunday",
        "montag dienstag mittwoch donnerstag freitag samstag sonntag",
        "lundi mardi mercredi jeudi vendredi samedi dimanche",
        "lunes martes miércoles jueves viernes sábado domingo",
        "lunedì martedì mercoledì giovedì venerdì sabato domenica",
        "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag",
    )
    found = {name: f"w{n}" for names in lists for n, name in enumerate(names.split(), 1)}
    relative = {"today": "d0", "tomorrow": "d+1", "yesterday": "d-1", "heute": "d0", "gestern": "d-1", "demain": "d+1", "hier": "d-1"}
    return found | {"tonight": "d0"} | relative


WEEKDAYS = _weekdays()
"""Names of days, with the same reading in every language."""


def plain(text: str) -> str:
    """The text with one spelling of digits, spaces in numbers, apostrophes and minus signs."""
    if text.isascii():
        return text
    if not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", _SPACED_THOUSANDS.sub("", text))
    text = text.replace("’", "'").replace("−", "-")
    return _BESIDE_HAN.sub(" ", text) if _HAN.search(text) else text


_SIGN_AFTER = frozenset(" \n\t([:=$€£") | {""}
_DIGITS = re.compile("[0-9]+")


def dates_and_numbers(text: str) -> list[Statement]:
    """Every date, time and number of a `plain` text. What stands inside a date is not counted again."""
    digit = _DIGITS.search(text)
    if digit is None:
        return []
    stated = []
    at = text.rfind(" ", 0, digit.start()) + 1
    for found in (_ASCII_TOKEN if text.isascii() else _TOKEN).finditer(text, at):
        start, end = found.span()
        if start < at:
            continue
        token, around = found[0], text[end : end + 4]
        beside = _beside_month(text, start, around)
        date = _day_after_month(text, start) if beside else None
        if date is None and (beside or _may_be_date(token, around)):
            date = _date_at(text, start)
        if date is not None:
            at = date[1]
            stated.append(date[0])
        elif text[start - 1 : start] == "-" or _may_be_scaled(text, end, around):
            stated.append(_number(text, start, end))
        else:
            stated.append(_alone(token))
    return stated


def _may_be_scaled(text: str, end: int, following: str) -> bool:
    """Whether what follows a token is a word like `million`; few of those that begin like one are."""
    letter = following[1:2] if following[:1] == " " else following[:1]
    return letter in _SCALE_LETTERS and _SCALE_AFTER.match(text, end) is not None


def _beside_month(text: str, start: int, following: str) -> bool:
    """Whether the word before a token, or after it, may be a month."""
    if following.lstrip(" .\u00a0")[:2].lower() in _MONTH_BEGINS:
        return True
    mark = text[start - 1 : start]
    if mark not in " .,(" and not mark.isspace():
        return False
    before = text[max(0, start - 16) : start].rsplit(None, 2)
    if not before:
        return False
    word = before[-1] if before[-1] != "the" or len(before) == 1 else before[-2]
    return word.lower().strip(".,(") in MONTHS


def _may_be_date(token: str, following: str) -> bool:
    """Whether a token, or what follows it, looks like `2026-03-14`, `14.03.2026`, `14h30`, `2pm` or `2 pm`."""
    return (
        following[:1] in _AFTER_DATE
        or (following[:1] == " " and following[1:2] in _AFTER_HOUR)
        or token[-1] in "mM"
        or token.count(".") == 2
        or "h" in token
    )


def _day_after_month(text: str, start: int) -> tuple[Statement, int] | None:
    """The date that has this token as its day, after the month, and where it ends."""
    month = _MONTH_BEFORE.search(text[max(0, start - 18) : start])
    day = _AFTER_MONTH.match(text, start) if month else None
    if month is None or day is None:
        return None
    written = text[start - len(month[0]) : day.end()]
    readings = _worded_readings(written)
    return (Statement("date", written, readings), day.end()) if readings else None


def _date_at(text: str, start: int) -> tuple[Statement, int] | None:
    """The date or time that begins with this token, and where it ends."""
    found = _DATE.match(text, start)
    readings = _date_readings(found[0], found.lastgroup) if found else frozenset[str]()
    return (Statement("date", found[0], readings), found.end()) if found and readings else None


def also_stated(statement: Statement) -> Readings:
    """The readings of a date or number in a context: a date also states its year, month and day, and its day without the year."""
    if statement.kind == "date":
        return _parts(statement)
    negative = statement.written.startswith("-")
    return statement.readings | {reading.removeprefix("-") for reading in statement.readings} if negative else statement.readings


@lru_cache(maxsize=1024)
def _parts(date: Statement) -> Readings:
    known = {*date.readings, *[part.lstrip("0") or "0" for part in _DIGITS.findall(date.written)]}
    for reading in date.readings:
        if not reading.startswith("t"):
            known |= {"????" + reading[4:], f"m{reading[5:7]}", reading[5:7].lstrip("0")}
    return frozenset(known)


@lru_cache(maxsize=1024)
def _date_readings(written: str, kind: str | None) -> Readings:
    """Kept for a while: the dates of a context come again in all answers."""
    if kind in ("time", "hour"):
        return _time_readings(written.lower())
    if kind in ("iso", "cjk"):
        year, month, day = (int(part) for part in _DIGITS.findall(written))
        return _dates((year, month, day))
    if kind == "plain":
        one, other, year = (int(part) for part in _DIGITS.findall(written))
        return _dates((year, other, one), (year, one, other))
    return _worded_readings(written)


def _worded_readings(written: str) -> Readings:
    words = re.findall(r"[^\W\d_]+|[0-9]+", written)
    if "may" in words:
        return frozenset()  # `may 10` is a verb
    words = [word.lower() for word in words]
    month = next(MONTHS[word] for word in words if word in MONTHS)
    numbers = [int(word) for word in words if word.isdigit()]
    return _dates((numbers[1] if len(numbers) > 1 else None, month, numbers[0]))


def _time_readings(written: str) -> Readings:
    """As minutes of a day: `2:30 pm` is 14:30, `2:30` may be either."""
    parts = [int(part) for part in _DIGITS.findall(written)]
    hour, minute = parts[0], parts[1] if len(parts) > 1 else 0
    if hour > 24 or minute > 59:
        return frozenset()
    half = "pm" if "p" in written else "am" if "a" in written else ""
    hours = {hour % 12 + (12 if half == "pm" else 0)} if half else {hour, hour + 12} if 0 < hour < 12 else {hour}
    return frozenset(f"t{h:02}:{minute:02}" for h in hours)


def _dates(*ymd: tuple[int | None, int, int]) -> Readings:
    return frozenset(f"{y if y is not None else '????':>04}-{m:02}-{d:02}" for y, m, d in ymd if 1 <= m <= 12 and 1 <= d <= 31)


@lru_cache(maxsize=4096)
def _alone(token: str) -> Statement:
    """A token with a digit as a number, whatever stands around it; the same few numbers come again and again."""
    return _number(token, 0, len(token))


def _number(text: str, start: int, end: int) -> Statement:
    """A token with a digit as a number or, if it is none, as a name with digits, like a flight or an order."""
    token = text[start:end]
    sign = "-" if text[start - 1 : start] == "-" and text[max(0, start - 2) : start - 1] in _SIGN_AFTER else ""
    unit = _UNIT_AFTER.fullmatch(token)
    number = unit[1] if unit else token
    if not all("0" <= c <= "9" or c in ".,'" for c in number):
        return Statement("number", token, frozenset({token.lower()}))
    readings = {sign + reading for reading in _number_readings(number)}
    scale = (unit[2].lower() if unit else "") or _scale_after(text, end)
    if scale in _SCALES:
        readings |= {_scaled(reading, _SCALES[scale]) for reading in readings}
    return Statement("number", sign + token, frozenset(readings))


def _scale_after(text: str, at: int) -> str:
    found = _SCALE_AFTER.match(text, at)
    return found[1].lower() if found else ""


def _number_readings(number: str) -> set[str]:
    """`1,234.50` is 1234.5; a lone mark before three digits may part thousands or decimals; `1.2.3` is a name with digits."""
    number = number.replace("'", "")
    marks = [c for c in number if c in ".,"]
    if not marks:
        return {_normal(number, "")}
    last = marks[-1]
    whole, _, decimals = number.rpartition(last)
    readings = set()
    if last not in whole and decimals != "000":  # `4,000` is no 4
        readings.add(_normal(re.sub("[.,]", "", whole), decimals))
    first, *groups = number.split(last)
    if len(set(marks)) == 1 and len(first) <= 3 and all(len(group) == 3 for group in groups):
        readings.add(_normal(number.replace(last, ""), ""))
    return readings or {number if marks.count(last) > 1 else _normal(whole, decimals)}


def _scaled(reading: str, zeros: int) -> str:
    """The reading times ten to that power, by moving its point: no float loses a digit."""
    sign, digits = ("-", reading[1:]) if reading.startswith("-") else ("", reading)
    whole, _, decimals = digits.partition(".")
    decimals = decimals.ljust(zeros, "0")
    return sign + _normal(whole + decimals[:zeros], decimals[zeros:])


def _normal(whole: str, decimals: str) -> str:
    whole, decimals = whole.lstrip("0") or "0", decimals.rstrip("0")
    return f"{whole}.{decimals}" if decimals else whole

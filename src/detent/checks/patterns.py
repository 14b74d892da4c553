"""Whether a regular expression may be run over hostile text: it compiles, and has none of the forms that can take for ever. Pure.

Python's `re` backtracks, and nothing can stop it once it runs. A repeat inside a repeat, like `(a+)+b`, takes twice as long with every
further character; so does `(a|a)+b`, a repeat of branches that begin alike. Each open-ended `.*` multiplies the time by the length of the
text: two of them took 6 s on 20 kB of `refund within refund within …`, which is how a version that loops does write.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"(?P<class>\[\^?\]?(?:\\.|[^\]\\])*\])"
    r"|(?P<opens>\((?:\?(?:P<\w+>|<[=!]|[=!:>]|[a-zA-Z-]+:))?)"
    r"|(?P<closes>\))"
    r"|(?P<repeat>(?:[*+]|\{\d*,\d*\}|\{\d+\})[+?]?)"
    r"|(?P<atom>\\.|[^\\])",
    re.DOTALL,
)
_WIDE = re.compile(r"\.|\\[SwDW]|\[\^.*|\[.*\\[SDW].*", re.DOTALL)
_OPEN_ENDED = re.compile(r"(?:[*+]|\{\d*,\})\??")
_REPEATS = re.compile(r"[*+]\??|\{(?:\d*,\d*|\d+)\}\??")
MOST_PATTERN = 2000

WITH_REPEAT, WITHOUT_REPEAT = 20_000, 1_000_000
"""Characters that are searched. `\\d+\\.\\d+` took 31 s on 100 kB of digits, each of them a new place to begin, and 2 s on 20 kB."""


def fault(pattern: str) -> tuple[str, str] | None:
    """What is wrong with a pattern and what to do about it; None for a good one."""
    if not pattern or len(pattern) > MOST_PATTERN:
        return "is empty" if not pattern else "is longer than 2000 characters", "write what to look for, or take the row out"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python will read otherwise in future
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        return f"is no regular expression ({error})", "see https://docs.python.org/3/library/re.html; in TOML write it in single quotes"
    nested, wide, _ = _costs(pattern)
    if nested:
        hint = "make the inner repeat possessive, like `(a++b)+`, or the group atomic, like `(?>a|ab)+`"
        return "repeats what can match in many ways, which can take for ever", hint
    if wide > 1:
        return f"has {wide} open-ended repeats like `.*`, which are slow on long texts", "keep one, and bound the others, like `.{0,200}`"
    return None


@dataclass(slots=True)
class _Group:
    """A group that is being read. `holds`: an open-ended repeat that backtracks stands in it; `firsts` are what its branches begin with."""

    atomic: bool = False
    holds: bool = False
    begins: bool = True
    firsts: list[str] = field(default_factory=list)

    @property
    def many_ways(self) -> bool:
        """Whether one text may match it in more ways than one, so that repeating it doubles the ways with every repeat."""
        doubtful = len(self.firsts) > 1 and (len({*self.firsts}) < len(self.firsts) or any(len(f) != 1 for f in self.firsts))
        return not self.atomic and (self.holds or doubtful)


def _first(item: str) -> str:
    """What a branch begins with: one character that stands for itself, or something longer."""
    if item == ".":
        return "any"
    return item[1:] if item[0] == "\\" and not item[1:].isalnum() else item


def searched(pattern: str) -> int:
    """How many characters of a text a good pattern may be searched in: an open-ended repeat takes time by the square of them."""
    return WITH_REPEAT if _costs(pattern)[2] else WITHOUT_REPEAT


def _costs(pattern: str) -> tuple[bool, int, int]:
    """Whether a repeat holds something that can match in many ways; open-ended repeats of nearly any character, and of any at all."""
    nested, wide, repeats = False, 0, 0
    groups = [_Group()]
    last, last_is_many = "", False  # the item that a repeat would repeat
    for token in _TOKEN.finditer(pattern):
        kind, text, here = token.lastgroup, token[0], groups[-1]
        if kind not in {"repeat", "closes"} and here.begins:
            here.firsts.append(_first(text))
            here.begins = False
        if kind == "opens":
            groups.append(_Group(atomic=text == "(?>"))
        elif kind == "closes" and len(groups) > 1:
            last, last_is_many = ")", groups.pop().many_ways
            groups[-1].holds |= last_is_many
        elif kind == "repeat" and last:
            nested |= last_is_many and _REPEATS.fullmatch(text) is not None and text not in ("{1}", "{0,1}")
            if _OPEN_ENDED.fullmatch(text):
                here.holds = True
                repeats += 1
                wide += _WIDE.fullmatch(last) is not None
            elif text.endswith("+") and _OPEN_ENDED.fullmatch(text[:-1]):
                repeats += 1
            last = ""
        elif text == "|":
            here.begins, last = True, ""
        else:
            last, last_is_many = text, False
    return nested, wide, repeats

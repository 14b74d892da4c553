"""What is taken out of one exchange: one text after the other, the same value always by the same placeholder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Literal

from detent.redaction.kinds import Kind, Starts, places
from detent.redaction.named import PLACEHOLDER, is_password, is_token, kind_of_name
from detent.redaction.personal_kinds import PERSONAL_KINDS
from detent.redaction.secret_kinds import SECRET_KINDS
from detent.redaction.spelling import Spelling

Policy = Literal["all", "secrets", "none"]

KINDS: tuple[Kind, ...] = SECRET_KINDS + PERSONAL_KINDS
"""Everything that is taken out, in order of precedence: where two overlap, the first row has it."""

_BY_NAME = {kind.name: kind for kind in KINDS}
KINDS_OF: dict[Policy, tuple[Kind, ...]] = {"all": KINDS, "secrets": SECRET_KINDS, "none": ()}

MOST_SOUGHT = 64
"""How many values known by their name are looked for again where no name stands beside them: each costs a search of the whole text."""

_SHORTEST = 5
_DATA_URL = re.compile(r"data:[\w.+-]{0,40}/?[\w.+-]{0,60}(?:;[\w=.+-]{1,60}){0,4};base64,[A-Za-z0-9+/=_-]*+")
_BLOB = re.compile(r"[A-Za-z0-9+/_-]{512,}+={0,2}")
_TAKEN = re.compile(r"\[([A-Z][A-Z_]{1,30})_([0-9]{1,6})\]")

Found = tuple[int, int, Kind]


class Scan:
    """One exchange. `counts` says how often something was taken out, by kind; `sought` are values to be looked for wherever they stand."""

    def __init__(self, policy: Policy, *, taken: Iterable[str] = (), sought: dict[str, Kind] | None = None) -> None:
        self.counts: dict[str, int] = {}
        self.by_name: dict[str, Kind] = {}
        self._kinds = tuple(kind for kind in KINDS_OF[policy] if kind.pattern is not None)
        self._personal = policy == "all"
        self._sought = sought or {}
        self._placeholders: dict[tuple[str, str], str] = {}
        self._highest: dict[str, int] = {}
        for text in taken:
            for name, number in _TAKEN.findall(text):
                self._highest[name] = max(self._highest.get(name, 0), int(number))

    def text(self, text: str, member: str = "") -> str:
        """The text with placeholders; the very same object where there is nothing to take out. `member` names the JSON member it is of."""
        if len(text) < _SHORTEST or (text.isalpha() and len(text) < 32) or (len(text) >= 512 and _BLOB.fullmatch(text)):
            return text
        if ";base64," in text:
            return self._around_data(text, member)
        return self._plain(text, member)

    def member(self, text: str, name: str) -> str:
        """`text` for a value whose member's name may say that all of it is secret."""
        shown = self.text(text, name)
        kind = kind_of_name(name)
        if kind is None or PLACEHOLDER.fullmatch(shown):
            return shown
        secret = is_password(text, sure=True) if kind == "PASSWORD" else is_token(text, sure=True)
        return self.whole(text, kind) if secret and not PLACEHOLDER.search(text) else shown

    def identity(self, text: str) -> str:
        """A value that names a person by its place."""
        if not self._personal or not text or PLACEHOLDER.fullmatch(text):
            return text
        shown = self.text(text)
        return shown if PLACEHOLDER.fullmatch(shown) else self.whole(text, "USER")

    def whole(self, text: str, kind: str) -> str:
        """The placeholder of a value all of which is taken out."""
        return self._placeholder(text, _BY_NAME[kind])

    def _around_data(self, text: str, member: str) -> str:
        """Data URLs stay as they are: an image is neither text nor a secret that a pattern could find."""
        parts: list[str] = []
        at = 0
        for found in _DATA_URL.finditer(text):
            parts += (self._plain(text[at : found.start()], member), found[0])
            at = found.end()
        shown = "".join((*parts, self._plain(text[at:], member)))
        return text if shown == text else shown

    def _plain(self, came: str, member: str) -> str:
        spelling = Spelling(came)
        text = spelling.text
        lower = text.lower()
        if len(lower) != len(text):
            lower = text.replace("\u0130", "I").lower()  # the one letter that is two in lower case
        known: dict[Starts, list[int]] = {}
        claimed: list[Found] = []
        for kind in self._kinds:
            claimed = _merged(claimed, [(*span, kind) for span in places(kind, text, lower, member, known)])
        for value, kind in self._sought.items():
            claimed = _merged(claimed, _wherever(text, value, kind))
        if not claimed:
            return came
        parts: list[str] = []
        at = 0
        for (start, end, kind), (first, last) in zip(claimed, spelling.as_it_came(found[:2] for found in claimed), strict=True):
            parts += (came[at:first], self._placeholder(text[start:end], kind))
            at = last
        return "".join((*parts, came[at:]))

    def _placeholder(self, value: str, kind: Kind) -> str:
        bare = value.rstrip("!?") or value  # "my password is hunter2!"
        if kind.by_name and len(self.by_name) < MOST_SOUGHT and _worth_seeking(bare, kind):
            self.by_name.setdefault(value, kind)
            self.by_name.setdefault(bare, kind)
        self.counts[kind.name] = self.counts.get(kind.name, 0) + 1
        # A password is the same one in a URL, in a header and behind its name.
        key = ("", bare) if kind.by_name else (kind.name, kind.same(value))
        known = self._placeholders.get(key)
        if known is None:
            number = self._highest.get(kind.name, 0) + 1
            self._highest[kind.name] = number
            known = self._placeholders[key] = f"[{kind.name}_{number}]"
        return known


def _merged(claimed: list[Found], new: list[Found]) -> list[Found]:
    """Both in order of place; of two that overlap the one that was claimed before stays. Linear in both."""
    if not new or not claimed:
        return claimed or new
    merged: list[Found] = []
    others = iter(claimed)
    other = next(others, None)
    for found in new:
        while other is not None and other[1] <= found[0]:
            merged.append(other)
            other = next(others, None)
        if other is None or other[0] >= found[1]:
            merged.append(found)
    if other is not None:
        merged.append(other)
    merged.extend(others)
    return merged


def _worth_seeking(value: str, kind: Kind) -> bool:
    """Whether a value is unlikely to be a word of the text as well: `[PASSWORD_1]` for every "orange" would spoil the prompt."""
    if len(value) < 6:
        return False
    mixed = any(letter.isdigit() for letter in value) or any(a.islower() and b.isupper() for a, b in pairwise(value))
    return mixed or (kind.name != "USER" and any(not letter.isalnum() and letter not in " -'" for letter in value))


def _wherever(text: str, value: str, kind: Kind) -> list[Found]:
    """Where a value stands on its own, not within a longer word."""
    found: list[Found] = []
    at = text.find(value)
    while at >= 0:
        end = at + len(value)
        inside = (at and text[at - 1].isalnum() and value[0].isalnum()) or (end < len(text) and text[end].isalnum() and value[-1].isalnum())
        if not inside:
            found.append((at, end, kind))
        at = text.find(value, end)
    return found

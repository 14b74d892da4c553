"""What an answer states, what of it stands nowhere in its context, and where that context stands in the prompt. Pure, linear."""

from __future__ import annotations

import re
from collections.abc import Iterator

from detent.diff import numbers
from detent.diff.numbers import Readings
from detent.diff.once import once
from detent.diff.reading import Reading
from detent.diff.said import Said
from detent.diff.shape import find_json, strings, unescape
from detent.errors import InvalidInput
from detent.terms import Prompt

__all__ = ["Readings", "content", "facts", "find_context", "said"]

_LOCATOR = re.compile(r"(?:system|messages\[(-?\d+)\])(?:\s+(\S+)\.\.\.(\S+))?")
_HEADER = re.compile(r"header\s+\S+")
_LIST_MARK = re.compile(r"^[^\S\n]*\d{1,3}[.)](?=\s)", re.MULTILINE)
_LIST_MARK_BELOW = re.compile(r"\n[^\S\n]*\d{1,3}[.)]\s")  # found fast, as it begins with a rare character and not with a line


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
    if found is not None:
        return "\n".join(strings(found.value))
    text = unescape(text)
    return _LIST_MARK.sub("", text) if _LIST_MARK.match(text) or _LIST_MARK_BELOW.search(text) else text


def facts(text: str) -> Iterator[tuple[str, Readings]]:
    """Every date and number of a text as written, with its readings. The numbers inside a date are not counted again."""
    return ((found.written, found.readings) for found in numbers.dates_and_numbers(numbers.plain(text)))


def said(read: Reading) -> Said:
    """What an answer says, read through JSON and fences: its numbers, dates, names and quotes."""
    text = content(read.text)
    if read.prose == text:
        return read  # prose without code and list marks is read already
    return Values(text, read) if read.whole is not None else Said(text)


class Values(Said):
    """The values of an answer that is JSON: its prose, and the numbers in it, which don't make it another language."""

    def __init__(self, text: str, read: Reading) -> None:
        super().__init__(text)
        self.read = read

    @once
    def has_names(self) -> bool:
        """As of its prose."""
        return self.read.has_names

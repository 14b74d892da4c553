"""In which line a TOML text gives each of its keys: `tomllib` reads values and forgets where they stood.

The scanner follows the grammar of TOML 1.0 only as far as it takes to know where keys and array elements begin; whether the text is valid
is for `tomllib` to say. It ends on any text, valid or not.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_STRING = re.compile(
    r'''"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'''  # a multi-line string may end in up to two quotes of its own
    r"""|'''(?:[^']|'(?!''))*'{3,5}"""
    r"""|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'""",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]*")
_REST = re.compile(r"[^\n]*")


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A key or table that is given again in `line`, after `first`."""

    path: tuple[str | int, ...]
    line: int
    first: int


@dataclass(slots=True)
class Lines:
    """Lines by path: `("routes", "summarizer", "owner")`, with a number for the n-th element of an array, from 0."""

    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict)
    duplicates: list[Duplicate] = field(default_factory=list)

    def of(self, path: Sequence[str | int]) -> int:
        """The line of `path`, or of the nearest table around it; 1 where the text says nothing of either."""
        whole = tuple(path)
        for length in range(len(whole), 0, -1):
            if whole[:length] in self.lines:
                return self.lines[whole[:length]]
        return 1


def scan(text: str) -> Lines:
    """The lines of every key, table and array element of a TOML text, counted from 1."""
    return _Scanner(text).run()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.newlines = [i for i, c in enumerate(text) if c == "\n"]
        self.found = Lines()
        self.explicit: set[tuple[str | int, ...]] = set()
        self.tables: dict[tuple[str | int, ...], int] = {}  # arrays of tables: how many elements so far

    def run(self) -> Lines:
        table: tuple[str | int, ...] = ()
        while True:
            self.skip(_BLANK)
            if self.at >= len(self.text):
                return self.found
            start = self.at
            if self.text.startswith("[", self.at):
                table = self.header(table)
            else:
                self.pair(table)
            self.skip(_REST)
            if self.at == start:  # not TOML: go on all the same
                self.at += 1

    def header(self, table: tuple[str | int, ...]) -> tuple[str | int, ...]:
        line = self.line()
        array = self.text.startswith("[[", self.at)
        self.at += 2 if array else 1
        parts = self.key()
        if not parts:
            return table
        path: tuple[str | int, ...] = ()
        for part in parts[:-1]:
            path = self.element((*path, part))
            self.found.lines.setdefault(path, line)
        path = (*path, parts[-1])
        if array:
            self.found.lines.setdefault(path, line)
            path = (*path, self.tables.get(path, 0))
            self.tables[path[:-1]] = int(path[-1]) + 1
        self.give(path, line)
        return path

    def element(self, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """`[a.b]` under `[[a]]` means the last `a` so far."""
        return (*path, self.tables[path] - 1) if path in self.tables else path

    def pair(self, table: tuple[str | int, ...]) -> None:
        line = self.line()
        parts = self.key()
        self.skip(_SPACE)
        if not parts or not self.text.startswith("=", self.at):
            return
        self.at += 1
        for length in range(1, len(parts)):
            self.found.lines.setdefault((*table, *parts[:length]), line)
        path = (*table, *parts)
        self.give(path, line)
        self.value(path)

    def value(self, path: tuple[str | int, ...]) -> None:
        self.skip(_SPACE)
        opening = self.text[self.at : self.at + 1]
        if opening == "[":
            self.at += 1
            self.items(path, "]")
        elif opening == "{":
            self.at += 1
            self.items(path, "}")
        elif not self.skip(_STRING):
            self.skip(_SCALAR)

    def items(self, path: tuple[str | int, ...], closing: str) -> None:
        """The elements of an array, or the pairs of an inline table."""
        number = 0
        while True:
            self.skip(_BLANK)
            start = self.at
            if start >= len(self.text) or self.text[start] == closing:
                self.at += 1
                return
            if closing == "]":
                self.give((*path, number), self.line())
                self.value((*path, number))
            else:
                self.pair(path)
            number += 1
            self.skip(_BLANK)
            if self.text.startswith(",", self.at):
                self.at += 1
            if self.at == start:
                self.at += 1

    def key(self) -> list[str]:
        parts: list[str] = []
        while True:
            self.skip(_SPACE)
            found = _KEY.match(self.text, self.at)
            if found is None:
                return parts
            self.at = found.end()
            parts.append(_plain(found[0]))
            self.skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def give(self, path: tuple[str | int, ...], line: int) -> None:
        if path in self.explicit:
            self.found.duplicates.append(Duplicate(path, line, self.found.lines[path]))
            return
        self.explicit.add(path)
        self.found.lines[path] = line

    def skip(self, pattern: re.Pattern[str]) -> bool:
        found = pattern.match(self.text, self.at)
        if found is None:
            return False
        self.at = found.end()
        return True

    def line(self) -> int:
        return bisect_right(self.newlines, self.at - 1) + 1


def _plain(key: str) -> str:
    if key[0] not in "\"'":
        return key
    try:
        return str(tomllib.loads(f"key = {key}")["key"])
    except ValueError:  # a bad escape: `tomllib` refuses the text, and names it
        return key[1:-1]

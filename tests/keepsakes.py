"""Spools as they were written, kept past those who read and remove them, and read without Detent's own reader."""

from __future__ import annotations

import json
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

LOOK_S = 0.01


@dataclass
class Written:
    """What gateways wrote, by leg; `twice` are legs of which it is there more than once."""

    intents: dict[str, dict[str, Any]] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)


class Keepsakes(threading.Thread):
    """Gives every segment under some spool directories a second name as soon as it is there: what is written to it later is kept too."""

    def __init__(self, roots: Sequence[Path], keep: Path) -> None:
        super().__init__(daemon=True, name="keepsakes")
        self._roots, self._keep = roots, keep
        self._known: set[str] = set()
        self._ending = threading.Event()
        keep.mkdir()

    def run(self) -> None:
        while not self._ending.wait(LOOK_S):
            self._look()

    def end(self) -> None:
        self._ending.set()
        self.join()
        self._look()

    def _look(self) -> None:
        for number, root in enumerate(self._roots):
            with suppress(FileNotFoundError):  # not made yet
                for spool in os.listdir(root):
                    with suppress(FileNotFoundError, NotADirectoryError):  # just removed; the lock of who reads
                        self._link(number, root / spool)

    def _link(self, number: int, spool: Path) -> None:
        for segment in os.listdir(spool):
            name = f"{number}-{spool.name.removeprefix('.done-').removeprefix('.')}-{segment}"
            if segment.endswith(".spool") and name not in self._known:
                os.link(spool / segment, self._keep / name)
                self._known.add(name)

    def read(self) -> Written:
        """All that is in them by now."""
        found = Written()
        for path in sorted(self._keep.iterdir()):
            for kind, entry in frames(path.read_bytes()):
                if kind in ("i", "r"):
                    there = found.intents if kind == "i" else found.results
                    found.twice += [entry["leg"]] if entry["leg"] in there else []
                    there[entry["leg"]] = entry
        return found


def frames(data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """The kind and the JSON of every frame that is whole: ff d7, length and CRC-32 as little-endian 32 bits, a letter, JSON."""
    at = 0
    while (at := data.find(b"\xff\xd7", at)) >= 0 and len(data) - at >= 10:
        length, crc = struct.unpack_from("<II", data, at + 2)
        payload = data[at + 10 : at + 10 + length]
        if len(payload) == length and crc32(payload) == crc:
            yield chr(payload[0]), json.loads(payload[1:])
            at += 10 + length
        else:
            at += 1

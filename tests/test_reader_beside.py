"""The process beside a gateway that reads its spools: whoever kills it, what was spooled last is read before the gateway ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from detent.serve.beside import ReaderBeside

READER = """
import os, pathlib, signal, sys
place, gateway = pathlib.Path(sys.argv[1]), int(sys.argv[sys.argv.index("--with-gateway") + 1])
begun = place / f"begun-{len(list(place.iterdir()))}"
begun.touch()
os.read(gateway, 1)
if begun.name == "begun-0" and sys.argv[2] == "killed":
    os.kill(os.getpid(), signal.SIGTERM)
(place / "read").touch()
"""
"""Waits for the gateway's end, and reads then, unless it is the first, and a signal to all of a service comes before it can ignore it."""


@pytest.mark.parametrize("how", ["killed", "well"])
def test_what_was_spooled_last_is_read_although_a_signal_ends_the_reader(tmp_path: Path, how: str) -> None:
    said: list[str] = []
    reader = ReaderBeside([sys.executable, "-c", READER, str(tmp_path), how], say=said.append)
    reader.start()
    while not (tmp_path / "begun-0").exists():
        pass
    reader.end()
    reader.join()
    assert {path.name for path in tmp_path.iterdir()} == {"begun-0", "read"} | ({"begun-1"} if how == "killed" else set())
    assert said == []

"""A host whose clock can be made to jump: its processes are told the time by libfaketime. The clocks that count go on as they do."""

from __future__ import annotations

import os
import sys
from pathlib import Path

LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
)

DAY_S = 86_400.0

# Of libfaketime 0.9.10: it hands a sleep until a moment (what Python's is made of) to the kernel with a time that is none: EINVAL.
SITE = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds) and None\n"


class HostClock:
    """The clock of one host. Processes started with `env` go by it, and so do those that they start."""

    def __init__(self, directory: Path) -> None:
        """Skips the test where there is no libfaketime."""
        from stores import cannot_have

        library = next((path for path in LIBRARIES if Path(path).exists()), None)
        if library is None or not sys.platform.startswith("linux"):
            cannot_have("clocks that jump: no libfaketime on this machine; install the package `faketime`")
        directory.mkdir()
        (directory / "sitecustomize.py").write_text(SITE)
        self._offset = directory / "offset"
        self.jump(0.0)
        self.env = {
            "LD_PRELOAD": str(library),
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(directory), os.environ.get("PYTHONPATH")))),
        }

    def jump(self, seconds: float) -> None:
        """From now on it is so far ahead of what it was set to at first, or behind."""
        aside = self._offset.with_suffix(".new")
        aside.write_text(f"{seconds:+.0f}\n")
        aside.replace(self._offset)

"""What a server says: with the time where it is kept as a log, without it where a person watches."""

from __future__ import annotations

import os
import re
import sys

import pytest

from detent.talk import say


def test_a_log_has_the_time_in_utc_on_each_line_and_no_line_is_forged(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    say("detent flags: the store\nis \x1b[31mgone")
    err = capsys.readouterr().err
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z detent flags: the store; is \\x1b\[31mgone\n", err)


def test_a_terminal_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    with open(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        say("detent flags: the store is gone")
    assert os.read(ours, 100) == b"detent flags: the store is gone\r\n"
    os.close(ours)

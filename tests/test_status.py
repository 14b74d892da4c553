"""What `detent status` says: what is open first, what has ended last and in few lines, and nothing twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from detent.alerting import alert
from detent.explain import Leader, Stood, status_lines
from detent.terms import Alert, Flag, Phase, Rollout, Version, micros
from records import T0, rollout

CHAT = Flag(route="chat", revision=3, stable=Version("openai", "m-1"))
NOW = T0 + timedelta(hours=9)


def ended(number: int) -> Rollout:
    phase = Phase.ROLLED_BACK if number % 2 else Phase.DONE
    return replace(rollout(), id=f"ro_{number}", phase=phase, ended_at=T0 + timedelta(minutes=number), split=0.0)


def stood(*, rollouts: Sequence[Rollout] = (), alerts: Sequence[Alert] = (), **more: Any) -> Stood:
    known: dict[str, Any] = {"of_routes": ["chat: way back m-0: BROKEN: HTTP 500"], "stale": {}, "beside": ["nobody is told"]}
    return Stood(revision=3, flags={"chat": CHAT}, rollouts=rollouts, alerts=alerts, gateways=(), **known | more)


def first_words(lines: Sequence[str]) -> list[str]:
    return [line.split()[0] for line in lines]


def test_what_is_open_is_first_and_what_has_ended_last_and_few() -> None:
    open_ = replace(rollout(), id="ro_open", phase=Phase.CANARY, split=0.05)
    page = alert("HarmSuspected", "ro_open", "ann@example.com", "chat: held", T0)
    found = stood(rollouts=[*map(ended, range(7)), open_], alerts=[page])
    lines = status_lines(found, NOW)
    assert first_words(lines) == ["ro_open", "alert", "chat", "chat:", "nobody", "no", "no", "ro_4", "ro_5", "ro_6", "4"]
    assert lines[-1] == "4 more rollouts have ended: `detent status --all`"
    everything = status_lines(found, NOW, all_ended=True)
    assert first_words(everything)[-7:] == [f"ro_{number}" for number in range(7)]
    assert len(everything) == len(lines) - 1 + 4


def test_what_has_a_line_of_its_own_is_not_told_again_by_its_alert() -> None:
    broken = alert("WayBackBroken", "chat", "ann@example.com", "chat: the way back to openai/m-0 is broken: HTTP 500", T0)
    stale = alert("BaselineStale", "chat", "ann@example.com", "chat: the baseline is stale: 40 d old", T0, key="d")
    lines = status_lines(stood(alerts=[broken, stale], stale={"chat": stale.sentence, "search": "search: stale"}), NOW)
    assert [line for line in lines if "HTTP 500" in line] == ["chat: way back m-0: BROKEN: HTTP 500"]
    assert f"alert {broken.id} PAGE WayBackBroken of chat, for 9.0 h; nobody has acknowledged it" in lines
    assert len([line for line in lines if "40 d old" in line]) == 1
    assert "search: stale" in lines, "one that nobody was told of yet"


@pytest.mark.parametrize(
    ("leader", "says"),
    [
        (None, "no controller has led yet: nobody decides; run `detent serve` or `detent controller`"),
        (Leader(holder="one/ho_1/ab", beat_us=0), "controller one has ended, and nobody follows: nobody decides"),
        (Leader(holder="one", beat_us=micros(NOW - timedelta(seconds=3))), "controller one leads"),
        (
            Leader(holder="one", beat_us=micros(NOW - timedelta(minutes=3))),
            "controller one was not heard of for 3 min: nobody decides, unless the clocks of two hosts are that far apart",
        ),
        (Leader(holder="one", beat_us=micros(NOW + timedelta(days=1))), "controller one leads"),
    ],
)
def test_who_decides_is_named_and_that_nobody_does(leader: Leader | None, says: str) -> None:
    assert says in status_lines(stood(leader=leader), NOW)

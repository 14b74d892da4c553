"""A breaker opens on what is the version's fault, keeps nobody waiting meanwhile, and closes as soon as it answers. Pure: no clock."""

from __future__ import annotations

import random
from itertools import count

import pytest

from detent.circuit import (
    FORGOTTEN_S,
    IN_A_ROW,
    LAST,
    MOST_OPEN_S,
    OPEN_S,
    PATIENCE_S,
    WITHIN_S,
    Circuit,
    Circuits,
    Hard,
    News,
    refused,
    told,
    unanswered,
)
from detent.terms import Outcome, Version

DOWN = Hard("http_503")
WRONG = Hard("http_404", in_a_row=True, earned=True)
HUNG = Hard("hung", in_a_row=True)
NOON_US = 1_795_435_200_000_000  # 2026-11-23T12:00:00Z


class Line:
    """A version and its breaker, by a clock of their own."""

    def __init__(self) -> None:
        self.circuit = Circuit()
        self.at_s = 100.0
        self.units = (f"u-{n}" for n in count())

    def fails(self, hard: Hard = DOWN, *, after_s: float = 0.01, unit: str | None = None, jitter: float = 0.0) -> News | None:
        """A request that is sent at once, whatever the breaker says."""
        self.at_s += after_s
        unit = unit or next(self.units)
        self.circuit.sent(f"leg of {unit}", unit, self.at_s)
        return self.circuit.failed(hard, f"leg of {unit}", unit, self.at_s, self.at_s, at_us=NOON_US, jitter=jitter)

    def answers(self, *, after_s: float = 0.01, took_s: float = 0.0, unit: str | None = None) -> News | None:
        self.at_s += after_s
        return self.circuit.answered(unit or next(self.units), self.at_s - took_s, self.at_s)

    def asks(self, *, after_s: float = 0.0, unit: str = "somebody") -> bool:
        """Whether a request may be sent; if so it is."""
        self.at_s += after_s
        may = self.circuit.may_probe(unit, self.at_s)
        if may:
            self.circuit.sent(f"leg of {unit}", unit, self.at_s)
        return may

    @property
    def state(self) -> str:
        return self.circuit.state(self.at_s)


def tripped() -> Line:
    line = Line()
    for _ in range(IN_A_ROW):
        line.fails()
    assert line.state == "open"
    return line


# ── what is a hard failure ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_hard_failure_is_the_versions_and_not_the_requests() -> None:
    assert [refused(status, own_key=True) for status in (500, 503, 529)] == [Hard("http_500"), Hard("http_503"), Hard("http_529")]
    assert {refused(status, own_key=True) for status in (400, 402, 408, 409, 413, 422, 429)} == {None}
    assert [refused(status, own_key=True) for status in (401, 403, 404)] == [
        Hard(f"http_{status}", in_a_row=True, earned=True) for status in (401, 403, 404)
    ]
    assert refused(404, own_key=False) == WRONG
    assert {refused(status, own_key=False) for status in (401, 403)} == {None}, "the key was the caller's"


@pytest.mark.parametrize(
    ("outcome", "waited_s", "hard"),
    [
        (Outcome.CONNECT_FAILED, 0.1, Hard("connect_failed")),
        (Outcome.TIMED_OUT, 600.0, Hard("timed_out")),
        (Outcome.MALFORMED, 0.1, Hard("malformed_upstream")),
        (Outcome.UPSTREAM_TRUNCATED, 0.1, Hard("upstream_truncated")),
        (Outcome.CLIENT_ABORTED, 1.0, None),
        (Outcome.CLIENT_ABORTED, PATIENCE_S + 1, HUNG),
    ],
)
def test_an_end_without_a_byte_is_hard_unless_it_was_the_caller_who_left(outcome: Outcome, waited_s: float, hard: Hard | None) -> None:
    """Callers who leave after ten silent seconds, one after the other and nobody answered in between, tell of a version that hangs."""
    assert unanswered(outcome, waited_s=waited_s) == hard


# ── when it opens ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_five_hard_failures_in_a_row_open_it_and_four_do_not() -> None:
    line = Line()
    assert [line.fails() for _ in range(IN_A_ROW - 1)] == [None] * 4
    assert line.answers() is None
    assert [line.fails() for _ in range(IN_A_ROW)] == [None] * 4 + ["tripped"]
    assert told(line.circuit.since_us, line.circuit.why) == "open since 2026-11-23T12:00:00Z: 5 hard failures in a row, the last http_503"


def test_half_of_the_last_twenty_units_within_half_a_minute_open_it() -> None:
    line = Line()
    heard = [line.fails() if n % 2 else line.answers() for n in range(LAST + 1)]
    assert heard.index("tripped") in (LAST - 1, LAST)
    assert "of the last 20 failed hard" in line.circuit.why


@pytest.mark.parametrize("hard", [DOWN, HUNG, WRONG], ids=lambda hard: hard.what)
def test_one_unit_counts_once_whatever_it_asks(hard: Hard) -> None:
    line = Line()
    assert {line.fails(hard, unit="the same") for _ in range(100)} == {None}
    assert [line.fails(hard) for _ in range(IN_A_ROW - 1)] == [None] * 3 + ["tripped"]
    among = Line()
    assert {among.fails(hard, unit="the same") if n % 3 else among.answers() for n in range(200)} == {None}


def test_the_same_failures_spread_over_minutes_do_not() -> None:
    line = Line()
    assert {line.fails(after_s=WITHIN_S / 8) if n % 2 else line.answers(after_s=WITHIN_S / 8) for n in range(200)} == {None}


def test_a_wholly_wrong_candidate_opens_it_and_wrong_requests_among_others_do_not() -> None:
    line = Line()
    assert [line.fails(WRONG) for _ in range(IN_A_ROW)][-1] == "tripped"
    mixed = Line()
    assert {mixed.fails(WRONG) if n % 2 else mixed.answers() for n in range(200)} == {None}, "its answers show that it is there"


# ── what it does meanwhile ──────────────────────────────────────────────────────────────────────────────────────────


def test_an_open_one_lets_nothing_through_and_a_half_open_one_one_at_a_time() -> None:
    line = tripped()
    assert not any(line.asks(after_s=0.4) for _ in range(12))
    line.at_s += 0.4
    assert (line.state, line.asks(), line.asks()) == ("half_open", True, False)
    assert line.answers() == "closed"
    assert line.asks()
    assert line.asks()


def test_each_failed_probe_doubles_the_wait_up_to_a_minute() -> None:
    line = tripped()
    waits = []
    for _ in range(6):
        began = line.at_s
        while not line.circuit.may_probe("somebody", line.at_s):
            line.at_s += 0.25
        waits.append(line.at_s - began)
        assert line.fails(after_s=0.0) is None, "told once, when it tripped"
    assert [round(wait, 6) for wait in waits] == [OPEN_S, 2 * OPEN_S, 4 * OPEN_S, 8 * OPEN_S, MOST_OPEN_S, MOST_OPEN_S]


def test_chance_makes_a_wait_shorter_so_that_gateways_do_not_probe_together() -> None:
    waits = set[float]()
    for seed in range(100):
        line, dice = Line(), random.Random(seed)
        for _ in range(IN_A_ROW):
            line.fails(jitter=dice.random())
        began = line.at_s
        while not line.asks(after_s=0.01):
            pass
        waits.add(round(line.at_s - began, 2))
    assert 0.75 * OPEN_S <= min(waits) < max(waits) <= OPEN_S + 0.01
    assert len(waits) > 50


def test_a_probe_that_says_nothing_makes_room_for_the_next_and_one_that_hangs_does_so_later() -> None:
    line = tripped()
    assert line.asks(after_s=OPEN_S)
    line.circuit.said_nothing("another leg")
    assert not line.asks(unit="another")
    line.circuit.said_nothing("leg of somebody")  # its caller left
    assert line.asks(unit="another")
    assert not line.asks(after_s=OPEN_S - 0.1)
    assert line.asks(after_s=0.1)


def test_a_probe_whose_request_may_have_earned_its_refusal_neither_closes_nor_opens_it() -> None:
    line = tripped()
    line.at_s += OPEN_S
    for number in range(10):
        line.fails(WRONG, unit=f"wrong-{number}")
        assert (line.state, line.circuit.may_probe("next", line.at_s)) == ("half_open", True)
    assert line.answers() == "closed"


def test_who_has_failed_is_no_probe_until_nobody_else_has_come_for_two_waits() -> None:
    line = Line()
    for number in range(IN_A_ROW):
        line.fails(unit=f"u{number}")
    line.at_s += OPEN_S
    assert not any(line.asks(unit=f"u{number}") for number in range(IN_A_ROW))
    line.fails(unit="u0", after_s=0.0)  # sent all the same, as where nobody can answer in its place
    assert line.state == "half_open", "its failure is no news"
    assert line.circuit.may_probe("somebody", line.at_s)
    assert not line.asks(after_s=2 * OPEN_S - 0.1, unit="u0")
    assert line.asks(after_s=0.1, unit="u0")
    assert line.fails(unit="u0", after_s=0.0) is None
    assert line.state == "open", "it was the probe this time"


def test_what_was_sent_before_it_opened_neither_closes_nor_keeps_it_open() -> None:
    line = tripped()
    assert line.answers(took_s=30.0) is None
    assert line.state == "open"
    assert line.asks(after_s=OPEN_S)
    assert line.circuit.failed(DOWN, "late", "late", line.at_s - 6.0, line.at_s, at_us=NOON_US, jitter=0.0) is None
    assert line.answers() == "closed"


def test_one_that_is_tried_all_the_same_closes_with_the_first_answer() -> None:
    """Stable without a fallback: every request is sent, breaker or not."""
    line = tripped()
    for _ in range(50):
        line.fails(after_s=0.5)
    assert line.answers() == "closed"


# ── of a route ──────────────────────────────────────────────────────────────────────────────────────────────────────

OLD, NEW = Version("openai", "atlas-1"), Version("openai", "atlas-2")


def fail(circuits: Circuits, version: Version, at_s: float, times: int = IN_A_ROW, route: str = "chat") -> list[News | None]:
    return [
        circuits.failed(route, version, DOWN, f"le-{n}", f"u-{at_s}-{n}", at_s, at_s, at_us=NOON_US, jitter=0.0)
        for n in range(times)
    ]  # fmt: skip


def test_each_version_of_each_route_has_its_own_and_a_healthy_one_has_none() -> None:
    circuits = Circuits()
    assert circuits.answered("chat", OLD, "u", 0.0, 0.0) is None
    assert list(circuits) == []
    fail(circuits, NEW, 1.0)
    assert [circuits.is_open(route, version) for route, version in (("chat", NEW), ("chat", OLD), ("mail", NEW))] == [True, False, False]
    circuits.answered("chat", NEW, "u", 7.0, 7.0)
    assert list(circuits) == [], "one that answers again is forgotten"


def test_after_an_outage_of_both_the_candidate_is_tried_as_soon_as_stable_answers() -> None:
    """What failed with stable in an outage of their provider is most likely back with it, for everybody."""
    circuits = Circuits()
    for at_s in (1.0, 7.0, 20.0):
        fail(circuits, NEW, at_s)
    fail(circuits, OLD, 20.0)
    assert not circuits.may_probe("chat", NEW, "u-0", 21.0)
    assert circuits.answered("chat", OLD, "u", 21.5, 21.6) == "closed"
    assert circuits.may_probe("chat", NEW, "u-0", 21.7)


def test_a_breaker_of_which_nothing_was_heard_for_an_hour_is_forgotten() -> None:
    circuits = Circuits()
    fail(circuits, NEW, 1.0)
    circuits.forget_idle(FORGOTTEN_S)
    assert circuits.is_open("chat", NEW)
    circuits.forget_idle(FORGOTTEN_S + 1.0)
    assert list(circuits) == []


def test_versions_that_no_flag_names_are_forgotten() -> None:
    circuits = Circuits()
    fail(circuits, NEW, 1.0)
    fail(circuits, OLD, 1.0, route="mail")
    circuits.keep("chat", (OLD,))
    assert [(route, version) for route, version, _ in circuits] == [("mail", OLD)]


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.1])
def test_a_version_that_fails_now_and_then_is_seldom_kept_out(rate: float) -> None:
    """At one failure in ten, five in a row come once in 1e5 requests: 20,000 of them must not lose a hundredth to the breaker."""
    line, dice, kept_out = Line(), random.Random(7), 0
    for number in range(20_000):
        unit = f"unit-{number}"
        if not line.asks(after_s=0.05, unit=unit):
            kept_out += 1
        elif dice.random() < rate:
            line.fails(after_s=0.0, jitter=dice.random(), unit=unit)
        else:
            line.answers(after_s=0.0, unit=unit)
    assert kept_out <= (0 if rate < 0.1 else 200)


def test_of_a_version_that_is_down_nearly_nobody_waits_for_it() -> None:
    line, sent = Line(), 0
    for number in range(10_000):  # 500 s at 20 a second
        if line.asks(after_s=0.05, unit=f"unit-{number}"):
            sent += 1
            line.fails(after_s=0.0, jitter=0.5, unit=f"unit-{number}")
    assert sent <= IN_A_ROW + 14

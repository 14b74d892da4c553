"""What the standard plan with its default guards does with a candidate that is no worse: the controller decides on simulated counts.

Each rollout begins in the canary, is decided every two hours by `decide` and carried on by `transitions`; in between its e-value is taken
every five minutes in the array form, and wherever that is near an alarm `decide` is asked again. Base rates and values swing over the
day in both arms, working models are off as last week's would be, and every guard has traffic that it applies to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

import value_bets
from detent.decide import PAGE_AT_E, decide
from detent.manifest.defaults import BUILTIN_PLANS
from detent.stats import sketch
from detent.stats.sequential import WEIGHTS, rate_brackets, restaked_of
from detent.stats.values import Scores, log_scores, quantile_scores
from detent.terms import Evidence, Exposure, Guard, GuardEvidence, Phase, Rollout, Tally, ValueTally, Verb, Version, Working
from detent.transitions import after, into_canary
from detent.view import View

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

T0 = datetime(2026, 1, 5, tzinfo=UTC)
CANDIDATE_UNITS_PER_HOUR = 1000.0
"""In the plan's first step; later steps take their larger share of the same traffic."""

BASE_RATES = {
    "error": 0.005,
    "parse_error": 0.005,
    "hard_failure": 0.001,
    "truncated": 0.001,
    "keys_missing": 0.002,
    "tool_retry": 0.04,
    "refusal": 0.01,
    "hit_limit": 0.007,
    "long_session": 0.005,
}
"""Usual rates of the default guards."""

DECIDED_EVERY_H = 2
PARTS = 24
"""Looks at the e-value between two decisions: one every five minutes."""


def shares(values: Ints) -> Floats:
    """How likely each bucket of `value_bets.BUCKETS` is."""
    return np.bincount(values, minlength=len(value_bets.BUCKETS)) / len(values)


VALUES = {
    "output_tokens": shares(value_bets.tokens()),
    "latency": shares(value_bets.seconds()),
    "first_byte": shares(value_bets.seconds(0.25)),
}


def working(metric: str) -> Working:
    """What last week said: a rate 20 % too high, thresholds and centre 3 %."""
    if metric in BASE_RATES:
        return Working(rate=1.2 * BASE_RATES[metric])
    buckets, chance = value_bets.BUCKETS, VALUES[metric]
    logs = np.array([sketch.bucket_log(int(b)) for b in buckets])
    centre = float(chance @ logs)
    limits = np.searchsorted(np.cumsum(chance), (0.5, 0.9, 0.99))
    return Working(
        centre=centre + 0.03,
        deviation=math.sqrt(float(chance @ (logs - centre) ** 2)),
        thresholds=tuple(1.03 * sketch.bucket_value(int(limit)) for limit in limits),
    )


@dataclass
class Seen:
    """Cumulative counts of one share period: units by arm, events of rates by arm, units of values by arm and bucket."""

    split: float
    units: Floats = field(default_factory=lambda: np.zeros(2))
    events: dict[str, Floats] = field(default_factory=dict)
    buckets: dict[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How one rollout went: proved at the first look, hours until it was promoted (infinite: never), and whether harm ended it."""

    proved_first: bool
    promoted_h: float
    rolled_back: bool


@dataclass(frozen=True)
class Outcomes:
    """Shares of rollouts."""

    proved_first: float
    promoted_soonest: float
    promoted: float
    rolled_back: float


class Simulation:
    """One rollout of a candidate whose metrics are `worse` times stable's; those not named are as they were."""

    def __init__(self, rng: np.random.Generator, *, worse: dict[str, float] | None = None) -> None:
        plan = BUILTIN_PLANS["standard"]
        plan = replace(plan, guards=tuple(guard for guard in plan.guards if guard.role != "observe"))
        self.rng, self.worse = rng, worse or {}
        begun = Rollout(
            id="r1",
            route="desk",
            owner="ops@example.com",
            stable=Version(provider="sim", model="a"),
            candidate=Version(provider="sim", model="b"),
            plan=plan,
            salt="s",
            opened_at=T0,
            entered_at=T0,
            working={guard.metric: working(guard.metric) for guard in plan.guards},
        )
        self.rollout = into_canary(begun, T0)
        self.per_hour = CANDIDATE_UNITS_PER_HOUR / plan.canary.steps[0].share
        self.periods: dict[int, Seen] = {}
        self.log_e: Floats = np.zeros(PARTS)
        self.hour = 0

    def run(self) -> Outcome:
        """Until it is promoted or ends."""
        while self.rollout.phase is Phase.CANARY:
            self.go_on()
        promoted = self.rollout.phase is Phase.SOAK
        return Outcome(
            proved_first=bool(self.rollout.looks) and self.rollout.looks[0].proved,
            promoted_h=self.hour if promoted else math.inf,
            rolled_back=self.rollout.phase is Phase.ROLLED_BACK,
        )

    def go_on(self) -> None:
        """The looks until the next decision, and that decision."""
        period = self.periods.setdefault(self.rollout.period, Seen(self.rollout.split))
        before = replace(period, events=dict(period.events), buckets=dict(period.buckets))
        drawn = self._drawn(period.split)
        self.log_e = log_es = self._log_e(before, drawn)
        for part in range(PARTS):
            for name in ("events", "buckets"):
                setattr(
                    period, name, {m: getattr(before, name).get(m, 0.0) + drawn_of[part] for m, drawn_of in getattr(drawn, name).items()}
                )
            period.units = before.units + drawn.units[part]
            if part + 1 == PARTS or log_es[part] >= math.log(PAGE_AT_E):
                self._decide(T0 + timedelta(hours=self.hour + DECIDED_EVERY_H * (part + 1) / PARTS))
            if self.rollout.phase is not Phase.CANARY:
                break
        self.hour += DECIDED_EVERY_H

    def _drawn(self, split: float) -> Seen:
        """New units until the next decision, cumulated over the looks, which are the first axis."""
        day = math.sin(2.0 * math.pi * self.hour / 24.0)
        expected = self.per_hour * DECIDED_EVERY_H / PARTS * np.array([split, 1.0 - split])
        counts = self.rng.poisson(expected, size=(PARTS, 2))
        drawn = Seen(split, np.cumsum(counts, axis=0).astype(float))
        moved = round(math.log(1.0 + 0.3 * day) / math.log(sketch.BASE))
        for guard in self.rollout.plan.guards:
            metric, worse = guard.metric, np.array([self.worse.get(guard.metric, 1.0), 1.0])
            if metric in BASE_RATES:
                rate = np.minimum(BASE_RATES[metric] * (1.0 + 0.5 * day) * worse, 1.0)
                drawn.events[metric] = np.cumsum(self.rng.binomial(counts, rate), axis=0).astype(float)
                continue
            chance = np.stack([np.roll(VALUES[metric], moved + round(math.log(w) / math.log(sketch.BASE))) for w in worse])
            some = chance.sum(axis=0) > 0.0
            values = np.zeros((PARTS, *chance.shape))
            values[:, :, some] = self.rng.poisson(chance[:, some] * expected[:, None], size=(PARTS, 2, some.sum()))
            drawn.buckets[metric] = np.cumsum(values, axis=0)
        return drawn

    def _log_e(self, before: Seen, drawn: Seen) -> Floats:
        """ln E over the guards at each look until the next decision, in the array form."""
        guards, earlier = self.rollout.plan.guards, [p for n, p in self.periods.items() if n != self.rollout.period]
        found = []
        for guard in guards:
            past = [self._bracket(guard, period.split, period.units, period.events, period.buckets) for period in earlier]
            now = self._bracket(
                guard,
                drawn.split,
                before.units + drawn.units,
                {m: before.events.get(m, 0.0) + x for m, x in drawn.events.items()},
                {m: before.buckets.get(m, 0.0) + x for m, x in drawn.buckets.items()},
            )
            brackets = np.stack([*(np.broadcast_to(p, now.shape) for p in past), now], axis=-2)
            found.append(restaked_of(brackets, self._weights(guard)))
        return np.asarray(np.logaddexp.reduce(found) - math.log(len(guards)))

    def _bracket(self, guard: Guard, split: float, units: Floats, events: dict[str, Floats], buckets: dict[str, Floats]) -> Floats:
        """A period's bracket of every alternative; a leading axis of the counts is kept."""
        if guard.metric in BASE_RATES:
            x, base_rate = events[guard.metric], self.rollout.working[guard.metric].rate or 0.0
            arms = (x[..., 0], units[..., 0], x[..., 1], units[..., 1])
            return rate_brackets(*(a[..., None] for a in arms), split=[split], base_rate=base_rate)[..., 0, :]
        scores, counts = self._scores(guard, split), buckets[guard.metric]
        # Not `@`: products this small only make the threads of BLAS wait for each other.
        candidate = np.einsum("...b,ba->...a", counts[..., 0, :], scores.candidate)
        return np.asarray(candidate + np.einsum("...b,ba->...a", counts[..., 1, :], scores.stable))

    def _weights(self, guard: Guard) -> Floats:
        return np.asarray(np.log(WEIGHTS)) if guard.metric in BASE_RATES else self._scores(guard, 0.5).ln_weights

    def _scores(self, guard: Guard, split: float) -> Scores:
        key = (guard.metric, split)
        if key not in _SCORES:
            known, side = self.rollout.working[guard.metric], guard.side or self.rollout.metric(guard.metric).side
            if self.rollout.metric(guard.metric).bet == "log":
                assert known.centre is not None
                assert known.deviation is not None
                _SCORES[key] = log_scores(
                    value_bets.BUCKETS,
                    split=split,
                    centre=known.centre,
                    deviation=known.deviation,
                    side=side,
                    tolerance_ratio=guard.tolerance_ratio,
                )
            else:
                _SCORES[key] = quantile_scores(
                    value_bets.BUCKETS, split=split, thresholds=known.thresholds, side=side, tolerance_ratio=guard.tolerance_ratio
                )
        return _SCORES[key]

    def evidence(self) -> Evidence:
        """The counts as the store would give them."""
        guards = []
        for guard in self.rollout.plan.guards:
            tallies, values = [], []
            for number, seen in self.periods.items():
                if guard.metric in seen.events:
                    x1, x0, n1, n0 = (int(n) for n in (*seen.events[guard.metric], *seen.units))
                    tallies.append(
                        Tally(period=number, split=seen.split, candidate_events=x1, candidate_units=n1, stable_events=x0, stable_units=n0)
                    )
                elif guard.metric in seen.buckets:
                    arms = [{int(b): int(arm[b]) for b in np.flatnonzero(arm)} for arm in seen.buckets[guard.metric]]
                    values.append(ValueTally(period=number, split=seen.split, candidate=arms[0], stable=arms[1]))
            guards.append(GuardEvidence(metric=guard.metric, tallies=tuple(tallies), values=tuple(values)))
        exposure = tuple(
            Exposure(period=number, split=seen.split, candidate=int(seen.units[0]), stable=int(seen.units[1]))
            for number, seen in self.periods.items()
        )
        return Evidence(rollout="r1", guards=tuple(guards), exposure=exposure)

    def view(self) -> View:
        """What the controller sees."""
        return View(self.rollout, self.evidence(), T0 + timedelta(hours=self.hour))

    def _decide(self, now: datetime) -> None:
        decision = decide(self.rollout, self.evidence(), now)
        if decision.verb is not Verb.HOLD or decision.look is not None:
            self.rollout = after(self.rollout, decision, now)


_SCORES: dict[tuple[str, float], Scores] = {}


def outcomes(rng: np.random.Generator, runs: int, worse: dict[str, float] | None = None) -> Outcomes:
    """So many rollouts: of an unchanged candidate, or of one whose metrics are `worse` times stable's."""
    found = [Simulation(rng, worse=worse).run() for _ in range(runs)]
    soonest = sum(step.at_least for step in BUILTIN_PLANS["standard"].canary.steps) / 3600.0
    return Outcomes(
        proved_first=sum(o.proved_first for o in found) / runs,
        promoted_soonest=sum(o.promoted_h <= soonest for o in found) / runs,
        promoted=sum(math.isfinite(o.promoted_h) for o in found) / runs,
        rolled_back=sum(o.rolled_back for o in found) / runs,
    )

"""What the prompt-by-prompt verdict promises over many releases, beside its bars: `python bench/flips.py [--runs N]`.

Every release goes through the functions that decide (`next_runs`, `baseline_evidence`, `verdict`), with fixed seeds. The set is that of
statistics 2.5 and 3.10: of 500 prompts 10 % are flaky (.55), 10 % mostly right (.85), the others right in .995 of the runs; strata of three
kinds are laid over it. Calls are counted as there: the candidate's runs, and the fresh runs of both; stable's screen is stored history.
Ends with 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detent.evidence.flips import RunKey, baseline_evidence, next_runs
from detent.evidence.verdict import finding
from detent.terms import Arm, BaselineEvidence, BaselineStage, Case, Endpoint, Run, Verdict

Floats = NDArray[np.float64]

SEED = 20_310
STAGE = BaselineStage()
FLAKY, MOSTLY, SURE = 0.55, 0.85, 0.995
COLLAPSED, HALVED = 0.1, 0.5


# ── releases ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class World:
    """Prompts, how often each version gets each of them right or leaves its script, and which prompts are worse in truth."""

    stable: Floats
    candidate: Floats
    cases: tuple[Case, ...]
    damaged: frozenset[str] = frozenset()
    hidden: str = ""
    shared: float = 0.0
    leaves: tuple[float, float] = (0.0, 0.0)
    agents: int = 0
    unscored: float = 0.0


def rates(n: int, flaky: float = 0.1, mostly: float = 0.1) -> Floats:
    """How often each of `n` prompts is answered right, in a fixed mixed order."""
    first, second = round(n * flaky), round(n * mostly)
    return np.random.default_rng(SEED).permutation(np.repeat([FLAKY, MOSTLY, SURE], [first, second, n - first - second]))


def cases(n: int, *, templates: int = 1, strata: bool = True) -> tuple[Case, ...]:
    """`n` prompts in families of one template each, and in 6 tasks, 2 kinds of tool use, 4 lengths and 3 languages."""
    tools = ("yes", *("no",) * 6)
    placed = [{"task": f"t{i % 6}", "tools": tools[i % 7], "length": f"l{i // 7 % 4}", "language": f"g{i // 11 % 3}"} for i in range(n)]
    return tuple(
        Case(
            id=f"p{i:05}",
            route="bench",
            endpoint=Endpoint.OPENAI_CHAT,
            request=b"{}",
            known_good="",
            template=f"f{i * templates // n}",
            strata=placed[i] if strata else {},
            frozen_at=datetime(2026, 3, 1, tzinfo=UTC),
        )
        for i in range(n)
    )


def unchanged(n: int = 500, *, flaky: float = 0.1, mostly: float = 0.1, templates: int = 1, strata: bool = True, **more: object) -> World:
    """Both versions alike."""
    p = rates(n, flaky, mostly)
    return World(p, p, cases(n, templates=templates, strata=strata), **more)  # type: ignore[arg-type]


def damaged(share: float, to: float, n: int = 500, better: float = 0.0) -> World:
    """A share of the sure prompts drops to `to`; the flaky ones may get better by `better`."""
    p, made = rates(n), cases(n)
    lost = np.flatnonzero(p == SURE)[:: max(1, round((p == SURE).sum() / (share * n)))][: round(share * n)]
    q = np.where(p < SURE, np.minimum(1.0, p + better), p)
    q[lost] = to
    return World(p, q, made, damaged=frozenset(made[i].id for i in lost))


def diffuse(loss: float, n: int = 500) -> World:
    """Every prompt a little worse: no single one can be named."""
    p = rates(n)
    return World(p, np.maximum(0.0, p - loss), cases(n), hidden="overall")


def dead_tie(lost: int = 25, won: int = 3, to: float = COLLAPSED, n: int = 500) -> World:
    """One task loses 25 prompts and wins 3, all others win what it lost: the mean over all does not move."""
    made = cases(n)
    p = np.full(n, SURE)
    inside = [i for i in range(n) if made[i].strata["task"] == "t2"]
    outside = [i for i in range(n) if made[i].strata["task"] != "t2"]
    rising = [*inside[lost : lost + won], *outside[: lost - won]]
    p[rising] = to
    q = p.copy()
    q[inside[:lost]], q[rising] = to, SURE
    return World(p, q, made, damaged=frozenset(made[i].id for i in inside[:lost]), hidden="task=t2")


@cache
def run_of(key: RunKey, passed: bool, left: bool, scored: bool = True) -> Run:
    """A run, made once: a bench asks for the same ones again and again."""
    return Run(
        rollout="ro_bench",
        case=key.case,
        arm=key.arm,
        stage=key.stage,
        repeat=key.repeat,
        passed=None if left or not scored else passed,
        content=None,
        output="right" if passed else "wrong",
        left_script="a call that was not recorded" if left else "",
        error=None if scored else "no answer",
    )


def answers(world: World, keys: Sequence[RunKey], random: np.random.Generator) -> list[Run]:
    """What the versions answer. With `shared`, prompts of a family that are asked in the same repeat fail together (Gaussian copula)."""
    number = {case.id: i for i, case in enumerate(world.cases)}
    who = np.array([number[key.case] for key in keys])
    of_candidate = np.array([key.arm is Arm.CANDIDATE for key in keys])
    p = np.where(of_candidate, world.candidate[who], world.stable[who])
    u = random.random(len(keys))
    if world.shared:
        families: dict[tuple[str, Arm, str, int], int] = {}
        asked = [(world.cases[i].template, key.arm, key.stage, key.repeat) for i, key in zip(who, keys, strict=True)]
        groups = [families.setdefault(together, len(families)) for together in asked]
        common = random.standard_normal(len(families))[groups]
        u = special.ndtr(math.sqrt(world.shared) * common + math.sqrt(1 - world.shared) * special.ndtri(u))
    leaving = np.where(who < world.agents, np.where(of_candidate, world.leaves[1], world.leaves[0]), 0.0)
    left = random.random(len(keys)) < leaving
    scored = ~left & (random.random(len(keys)) >= world.unscored) if world.unscored else np.ones(len(keys), dtype=bool)
    told = zip(keys, (u < p).tolist(), left.tolist(), (scored | left).tolist(), strict=True)
    return [run_of(key, right, gone, kept) for key, right, gone, kept in told]


@dataclass(frozen=True)
class Release:
    """One release, evaluated."""

    found: BaselineEvidence
    verdict: Verdict
    reason: str
    calls: int
    confirmed: frozenset[str]


def releases(world: World, n: int, seed: int) -> Iterator[Release]:
    """`n` releases of the same change, each run to its end."""
    random = np.random.default_rng([SEED, seed])
    names = [case.id for case in world.cases]
    first = next_runs(STAGE, names, [])
    for _ in range(n):
        runs = answers(world, first, random)
        while pending := next_runs(STAGE, names, runs):
            runs += answers(world, pending, random)
        found = baseline_evidence(STAGE, world.cases, runs)
        calls = sum(run.stage == "confirm" or run.arm is Arm.CANDIDATE for run in runs)
        said = finding(found)
        yield Release(found, said.verdict, said.reason, calls, frozenset(flip.case for flip in found.confirmed))


# ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Figures:
    """Sums over releases of one world."""

    world: World
    n: int = 0
    red: int = 0
    not_green: int = 0
    by_flips: int = 0
    by_overall: int = 0
    by_slices: int = 0
    hidden: int = 0
    left: int = 0
    leaving: int = 0
    too_little: int = 0
    found: list[float] = field(default_factory=list)
    false: list[float] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    covered: int = 0

    def add(self, release: Release) -> None:
        """Count a release."""
        found, lost = release.found, self.world.damaged
        self.n += 1
        self.red += release.verdict is Verdict.REGRESSION
        self.not_green += release.verdict is not Verdict.PASS
        self.by_flips += bool(release.confirmed)
        self.by_overall += found.overall is not None and found.overall.harmed
        self.by_slices += any(s.harmed for s in found.slices)
        self.left += bool(found.left_script)
        self.leaving += found.leaving is not None and found.leaving.stands
        self.too_little += release.reason == "TooLittle"
        named = {s.name for s in (found.overall, *found.slices) if s is not None and s.harmed}
        self.hidden += self.world.hidden in named
        self.calls.append(release.calls)
        self.false.append(len(release.confirmed - lost) / max(1, len(release.confirmed)))
        if lost:
            self.found.append(len(release.confirmed & lost) / len(lost))
        truth = float((self.world.candidate - self.world.stable).mean())
        self.covered += found.overall is not None and found.overall.low <= truth <= found.overall.high


def simulated(world: World, n: int, seed: int) -> Figures:
    """The figures of `n` releases."""
    figures = Figures(world)
    for release in releases(world, n, seed):
        figures.add(release)
    return figures


def share(k: int, n: int) -> tuple[float, float]:
    """A share and its standard error, never 0: half an event is added."""
    p = (k + 0.5) / (n + 1)
    return k / n, math.sqrt(p * (1 - p) / n)


def mean(values: Sequence[float]) -> tuple[float, float]:
    """A mean and its standard error."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0


@dataclass(frozen=True)
class Row:
    """A line of the table: what was measured, and its bar."""

    name: str
    value: float
    error: float
    bar: float
    at_most: bool
    percent: bool = True

    @property
    def kept(self) -> bool:
        """Whether the bar is kept, allowing for two standard errors of the simulation."""
        return self.value <= self.bar + 2 * self.error if self.at_most else self.value >= self.bar - 2 * self.error

    def __str__(self) -> str:
        factor, unit = (100, " %") if self.percent else (1, "")
        sign = "<=" if self.at_most else ">="
        told = f"{factor * self.value:8.1f}{unit} (se {factor * self.error:.1f})"
        return f"{self.name:<74} {told:>22}   {sign} {factor * self.bar:g}{unit}{'' if self.kept else '   MISSED'}"


UNCHANGED: tuple[tuple[str, Callable[[], World]], ...] = (
    ("500 prompts, 15 strata", unchanged),
    ("200 prompts, 15 strata", lambda: unchanged(200)),
    ("60 prompts, 15 strata", lambda: unchanged(60)),
    ("500 prompts, no strata", lambda: unchanged(strata=False)),
    ("500 prompts, every one flaky", lambda: unchanged(flaky=1.0, mostly=0.0)),
    ("200 prompts, every one flaky", lambda: unchanged(200, flaky=1.0, mostly=0.0)),
    ("500 prompts, every one mostly right", lambda: unchanged(flaky=0.0, mostly=1.0)),
    ("500 prompts, every one sure", lambda: unchanged(flaky=0.0, mostly=0.0)),
    ("500 prompts in 100 families that fail together (rho .5)", lambda: unchanged(templates=100, shared=0.5)),
    ("200 prompts, 100 of agents that leave the script in .3 of the runs", lambda: unchanged(200, leaves=(0.3, 0.3), agents=100)),
    ("200 prompts, 3 % of the runs cannot be scored", lambda: unchanged(200, unscored=0.03)),
    ("200 prompts, 100 of agents that leave the script in half of the runs", lambda: unchanged(200, leaves=(0.5, 0.5), agents=100)),
)


def rows_unchanged(n: int) -> Iterator[Row]:
    """Unchanged releases: anything but a pass is a false alarm."""
    for seed, (name, world) in enumerate(UNCHANGED):
        f = simulated(world(), n, seed)
        of_rows = f"leaving {f.leaving}, too little {f.too_little}"
        parts = f"flips {f.by_flips}, overall {f.by_overall}, strata {f.by_slices}, left {f.left}, {of_rows} of {f.n}"
        print(f"    {name}: {parts}; interval covers {100 * f.covered / f.n:.1f} %", file=sys.stderr, flush=True)
        yield Row(f"unchanged, not a pass: {name}", *share(f.not_green, f.n), 0.05, at_most=True)


def rows_damaged(n: int) -> Iterator[Row]:
    """Planted losses: found, at which rate of false discoveries, for how many calls."""
    worlds = (
        ("2 % collapse to .1", damaged(0.02, COLLAPSED), 0.99),
        ("2 % drop to .5", damaged(0.02, HALVED), 0.80),
        ("2 % collapse to .1, the flaky improve by .2", damaged(0.02, COLLAPSED, better=0.2), 0.99),
        ("1 of 500 collapses to .1", damaged(0.002, COLLAPSED), 0.95),
    )
    for seed, (name, world, bar) in enumerate(worlds, start=100):
        f = simulated(world, n, seed)
        yield Row(f"{name}: damaged prompts found", *mean(f.found), bar, at_most=False)
        yield Row(f"{name}: false discoveries", *mean(f.false), 0.10, at_most=True)
        yield Row(f"{name}: calls", *mean(f.calls), 2_700, at_most=True, percent=False)
        yield Row(f"{name}: red releases", *share(f.red, f.n), bar, at_most=False)
    hidden = (
        ("25 lost (to .1) and 3 won of 83 in a dead tie: slice found", dead_tie(), 0.99),
        ("25 half lost (to .5) and 3 half won of 83 in a dead tie: slice found", dead_tie(to=HALVED), 0.60),
        ("every prompt 5 points worse: found over all", diffuse(0.05), 0.95),
        ("every prompt 2 points worse: found over all", diffuse(0.02), 0.0),
    )
    for seed, (name, world, bar) in enumerate(hidden, start=200):
        f = simulated(world, n, seed)
        yield Row(name, *share(f.hidden, f.n), bar, at_most=False)
    f = simulated(unchanged(200, leaves=(0.02, 0.9), agents=10), max(20, n // 5), 300)
    yield Row("10 of 200 agent cases left in .9 of the runs: named", *share(f.left, f.n), 0.99, at_most=False)
    f = simulated(unchanged(200, leaves=(0.0, 0.33), agents=50), max(20, n // 5), 301)
    yield Row("50 of 200 agent cases left in a third of the runs: seen over all", *share(f.leaving, f.n), 0.99, at_most=False)


def rows_speed() -> Iterator[Row]:
    """How long a large baseline takes to be evaluated."""
    yield Row("seconds to evaluate 10,000 prompts x 13 runs", seconds(), 0.0, 1.0, at_most=True, percent=False)


def seconds(n: int = 10_000) -> float:
    """CPU seconds to evaluate a screen of `n` prompts."""
    world = unchanged(n)
    runs = answers(world, next_runs(STAGE, [case.id for case in world.cases], []), np.random.default_rng(SEED))
    began = time.process_time()
    baseline_evidence(BaselineStage(confirm=0), world.cases, runs)
    return time.process_time() - began


def main() -> int:
    """Print the table; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=400, metavar="N", help="releases simulated per line")
    n = parser.parse_args().runs
    rows = []
    for row in chain(rows_unchanged(n), rows_damaged(n), rows_speed()):
        print(row, flush=True)
        rows.append(row)
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

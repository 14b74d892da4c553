"""The canary end to end: eight harms, each alone, and an unchanged version: `python bench/canary.py [--rounds N] [--seed S] [--only NAME]`.

Every round is an installation of its own: a simulated provider and `detent serve` as processes, a store on disk, and traffic over HTTP
with sessions, tools, several turns, streams and feedback. Nine routes run at once; each serves stable's traffic first, then proposes one
version of `detent.sim.desk` and sends on until the rollout has ended or the sessions are used up. The plan is compressed (seconds for
days, half of the units from the start, no baseline, one shadow pair); guards, tests, alpha and decisions are those of any rollout.

Harms are of a size that somebody on call would call one. Which units are drawn, and so what a round comes to, is new in every run.
Ends with 1 if a bar is missed: each harm rolled back in 19 of 20 rounds, the unchanged version in 1 of 20.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from scipy.stats import binomtest

sys.path.insert(0, str(Path(__file__).parent))

from detent import evidence as ev
from detent.errors import CouldNotRun, Exit
from detent.sim import desk, traffic
from detent.sim.demo import Processes
from detent.sim.lean import LeanClient
from detent.sim.scenarios import DESK
from detent.store import Store, open_store
from detent.terms import Phase, Rollout, Verb
from skipping import open_rollouts

ROUNDS, SEED = 20, 1
ALLOWED = 1 / 20
"""Share of rounds in which a harm may go unseen, or the unchanged version be rolled back."""

WARM_UP = 150
"""Sessions of stable's that a route has on record before its rollout."""

QUOTA = 1500
"""Sessions of a rollout after which it has not been rolled back."""

IN_FLIGHT = 44
"""Sessions under way at a time, over all routes: some 200 calls a second, two thirds of what one core of a gateway carries. With more the
time of an answer is that of waiting for the machine, and no version's."""

MATURES_S = 3.0
PATIENCE_S = 300.0
"""Longest time of a round's traffic: a machine that does not carry it is said, not waited for."""


@dataclass(frozen=True)
class Condition:
    """A version of the desk, what it does worse in words, and which guards may say so."""

    name: str
    version: str
    says: str
    guards: tuple[str, ...] = ()

    @property
    def harmful(self) -> bool:
        """Whether it does any harm."""
        return bool(self.guards)


CONDITIONS = (
    Condition("parse_errors", "atlas-2026-08-01", "summaries that are no JSON: 1 % -> 8 %", ("parse_error",)),
    Condition("key_renamed", "atlas-2026-08-02", "summaries with a renamed key: 0 % -> 6 %", ("keys_missing",)),
    Condition("tool_retries", "atlas-2026-08-03", "the same tool call again: 4 % -> 20 %", ("tool_retry", "session_steps")),
    Condition("tokens", "atlas-2026-08-04", "tokens x 1.6", ("output_tokens",)),
    Condition("p99", "atlas-2026-08-05", "P99 of an answer's time x 3 (8 % slow)", ("latency", "first_byte")),
    Condition("thumbs_down", "atlas-2026-08-06", "thumbs-down: 3 % -> 12 %", ("thumbs_down",)),
    Condition("abandonment", "atlas-2026-08-07", "no word of a task done: 10 % -> 30 %", ("not_done",)),
    Condition("session_length", "atlas-2026-08-08", "model calls of a session: 3 -> 6", ("session_steps",)),
    Condition("unchanged", desk.UNCHANGED, "nothing"),
)

HEAD = """\
[providers.atlas]
dialect  = "openai"
base_url = "{provider}/v1"
watcher  = "llm-platform@example.com"

[server]
data    = "127.0.0.1:0"
control = "127.0.0.1:0"

[plans.bench]
unsafe_short_windows = true
approve  = []
shadow   = {{ share = 1.0, at_least = "0s", at_most = "10m", pairs = 1, second = 1e-9, coverage = 0, budget_usd_per_day = inf }}
canary   = {{ steps = [{{ share = 0.5, at_least = "20m" }}], at_most = "40m" }}
soak     = {{ at_least = "1m" }}
"""

ROUTE = """
[routes.{name}]
provider = "atlas"
version  = "{version}"
owner    = "desk@example.com"
plan     = "bench"
checks   = ["answered"]
record   = {{ bodies = 0.0 }}
"""

GUARDS: dict[str, str] = {
    "error": 'margin_abs = 0.1, role = "prove"',
    "parse_error": "margin_ratio = 1.5",
    "keys_missing": "margin_ratio = 1.5",
    "hard_failure": "margin_ratio = 1.5",
    "truncated": "margin_ratio = 1.5",
    "tool_retry": "margin_ratio = 1.5",
    "refusal": "margin_ratio = 1.5",
    "hit_limit": "margin_ratio = 1.5",
    "output_tokens": "margin_ratio = 1.2, tolerance_ratio = 1.05",
    "latency": "margin_ratio = 1.25, tolerance_ratio = 1.05",
    "first_byte": "margin_ratio = 1.25, tolerance_ratio = 1.05",
    "session_steps": "margin_ratio = 1.5, tolerance_ratio = 1.05",
    "long_session": "margin_ratio = 1.5",
    "thumbs_down": "margin_ratio = 1.5",
    "not_done": "margin_ratio = 1.5",
    "unknown_tool": 'role = "observe"',
    "fallback": 'role = "observe"',
}
"""The default guards, and those that a route gets whose app sends feedback; all of them share alpha."""


def pin_file(provider: str, routes: Sequence[str]) -> str:
    """The pin file of a round, with nothing proposed."""
    guards = "".join(
        f'\n[[plans.bench.guards]]\nmetric = "{metric}"\nmatures = "{MATURES_S:g}s"\n' + "\n".join(said.split(", ")) + "\n"
        for metric, said in GUARDS.items()
    )
    return HEAD.format(provider=provider) + guards + "".join(ROUTE.format(name=name, version=desk.BASE) for name in routes)


# ── one round ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Ended:
    """How one rollout of one round ended. `guard` is the one that rolled it back, empty if none did."""

    condition: Condition
    phase: Phase
    guard: str
    candidate_units: int
    sessions: int
    seconds: float
    said: str

    @property
    def rolled_back(self) -> bool:
        """Whether it was."""
        return self.phase is Phase.ROLLED_BACK

    @property
    def cut_short(self) -> bool:
        """Whether the round took so long that its sessions were not used up: that says nothing for the version."""
        return not self.rolled_back and self.sessions < QUOTA


@dataclass
class Round:
    """An installation with its processes, its store and its traffic."""

    home: Path
    processes: Processes
    conditions: Sequence[Condition]
    seed: str
    gateway: str = ""
    failed: Counter[str] = field(default_factory=Counter)
    sessions: Counter[str] = field(default_factory=Counter)
    calls: int = 0

    def begin(self) -> Store:
        """Start provider and server, and open their store."""
        provider = self.processes.start("provider", "sim", "provider", "--port", "0", "--seed", str(int(self.seed.replace("-", ""))))
        text = pin_file(self.processes.address("provider", provider), [c.name for c in self.conditions])
        (self.home / "detent.toml").write_text(text)
        server = self.processes.start("server", "serve", "--file", str(self.home / "detent.toml"), "--name", "gateway-1")
        self.gateway = self.processes.address("server", server)
        return open_store(f"sqlite:///{self.home / '.detent' / 'state.db'}")

    async def send(self, kind: str, sessions: int, stops: dict[str, asyncio.Event]) -> None:
        """Traffic on every route that has a stop, until it is set or the sessions are used up."""
        turns = asyncio.Semaphore(IN_FLIGHT)

        async def on(route: str, stop: asyncio.Event) -> None:
            seed = f"{self.seed}-{route}-{kind}"
            run = traffic.run(
                gateways=[self.gateway],
                route=route,
                scenario=DESK.name,
                sessions=sessions,
                concurrency=IN_FLIGHT,
                seed=seed,
                stop=stop,
                client=LeanClient,
                turns=turns,
            )
            done = await run
            self.calls += done.calls
            self.failed.update(done.errors)
            self.failed["feedback not taken"] += done.feedback_failed
            self.sessions[route] = done.sessions
            stop.set()

        async with asyncio.TaskGroup() as group:
            for route, stop in stops.items():
                group.create_task(on(route, stop))

    async def tell(self, store: Store) -> list[Ended]:
        """The whole round."""
        began = time.monotonic()
        names = [c.name for c in self.conditions]
        await self.send("before", WARM_UP, {name: asyncio.Event() for name in names})
        await self.recorded(store, names)
        rollouts = open_rollouts(store, self.home / "detent.toml", {c.name: c.version for c in self.conditions})
        stops = {name: asyncio.Event() for name in names}
        watching = asyncio.create_task(self.watch(store, rollouts, stops, deadline=began + PATIENCE_S))
        await self.send("canary", QUOTA, stops)
        await watching
        return [self.ended(store, c, rollouts[c.name]) for c in self.conditions]

    async def recorded(self, store: Store, routes: Sequence[str]) -> None:
        """Wait until what was sent so far is in the journal."""
        deadline = time.monotonic() + 30
        while any(store.journal.count(route=name) < 3 * WARM_UP for name in routes):
            self.processes.must_live()
            if time.monotonic() > deadline:
                raise CouldNotRun("the traffic does not reach the journal", hint=f"the server said: {self.log()}")
            await asyncio.sleep(0.1)

    async def watch(self, store: Store, rollouts: dict[str, str], stops: dict[str, asyncio.Event], *, deadline: float) -> None:
        """Stop a route's traffic once its rollout has ended; after the last session wait until its outcome is read."""
        last: dict[str, float] = {}
        waiting = set(rollouts)
        while waiting:
            try:
                self.processes.must_live()
            except CouldNotRun:
                for stop in stops.values():
                    stop.set()
                raise
            await asyncio.sleep(0.2)
            for name in sorted(waiting):
                if stops[name].is_set():
                    last.setdefault(name, time.monotonic())
                if store.state.rollout(rollouts[name]).phase.terminal or time.monotonic() > deadline:
                    stops[name].set()
                    waiting.discard(name)
                elif name in last and time.monotonic() > last[name] + MATURES_S + 2.0:
                    waiting.discard(name)

    def ended(self, store: Store, condition: Condition, rollout_id: str) -> Ended:
        """What became of a rollout."""
        rollout = store.state.rollout(rollout_id)
        until = rollout.ended_at or datetime.now(UTC)
        found = re.match(r"GuardHarmed: (\w+)", rollout.reason)
        return Ended(
            condition=condition,
            phase=rollout.phase,
            guard=found[1] if found and rollout.phase is Phase.ROLLED_BACK else "",
            candidate_units=candidates(store, rollout),
            sessions=self.sessions[condition.name],
            seconds=(until - (rollout.canary_at or until)).total_seconds(),
            said=rollout.reason,
        )

    def log(self) -> str:
        """The server's last words."""
        return (self.home / "server.log").read_text(errors="replace").strip()[-500:]


def candidates(store: Store, rollout: Rollout) -> int:
    """Units on the candidate when it was stopped, by the evidence stored with the decision; those of now, if nothing stopped it."""
    last = [evidence for decision, evidence in store.state.decisions(rollout.id) if decision.verb is Verb.ROLL_BACK and evidence]
    exposure = ev.decode(last[-1]).exposure if last else store.state.exposure(rollout.id)
    return sum(e.candidate for e in exposure)


def one_round(conditions: Sequence[Condition], seed: str) -> tuple[list[Ended], str]:
    """A round from the first process to the last, and a line about it. Raises CouldNotRun when a process fails."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="detent-bench-", ignore_cleanup_errors=True) as name:
        this = Round(Path(name), Processes(Path(name)), conditions, seed)
        try:
            store = this.begin()
            try:
                found = asyncio.run(this.tell(store))
            finally:
                store.close()
        finally:
            this.processes.stop()
    took = time.monotonic() - began
    failed = ", ".join(f"{n} x {what}" for what, n in this.failed.items() if n)
    return found, f"{this.calls} calls in {took:.0f} s" + (f"; failed: {failed}" if failed else "")


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Row:
    """One condition over all rounds."""

    condition: Condition
    ends: tuple[Ended, ...]

    @property
    def rolled_back(self) -> int:
        """In how many rounds."""
        return sum(e.rolled_back for e in self.ends)

    @property
    def kept(self) -> bool:
        """Whether its bar is held; so many rounds may miss as one in twenty is, rounded down."""
        n = len(self.ends)
        missed = n - self.rolled_back if self.condition.harmful else sum(e.rolled_back or e.cut_short for e in self.ends)
        return missed <= int(n * ALLOWED + 1e-9)

    def __str__(self) -> str:
        n, c = len(self.ends), self.condition
        low, high = binomtest(self.rolled_back, n).proportion_ci(method="wilson")
        share = f"{self.rolled_back:2} of {n:2} [{100 * low:3.0f}, {100 * high:3.0f}] %"
        stopped = [e for e in self.ends if e.rolled_back] or list(self.ends)
        units, seconds = median(e.candidate_units for e in stopped), median(e.seconds for e in stopped)
        by = ", ".join(f"{guard} {k}" for guard, k in Counter(e.guard or "?" for e in self.ends if e.rolled_back).most_common()) or "-"
        by += f"; {cut} cut short" if (cut := sum(e.cut_short for e in self.ends)) else ""
        verdict = "held" if self.kept else "MISSED"
        return f"{c.name:15} {c.says:42} {share:23} {units:6.0f} {seconds:6.1f}  {verdict:7} {by}"


def rows(conditions: Sequence[Condition], ends: Sequence[Ended]) -> Iterator[Row]:
    """One row for each condition that ended at least once."""
    for condition in conditions:
        of_it = tuple(e for e in ends if e.condition is condition)
        if of_it:
            yield Row(condition, of_it)


def chosen(only: Sequence[str]) -> tuple[Condition, ...]:
    """The conditions of these names; all without any. Raises SystemExit for an unknown one."""
    names = [c.name for c in CONDITIONS]
    for name in only:
        if name not in names:
            raise SystemExit(f"no such condition: `{name}`; there are {', '.join(names)}")
    return tuple(c for c in CONDITIONS if not only or c.name in only)


def main() -> int:
    """Run the rounds and print the table; 1 if a bar is missed, 4 if a round could not be run, 130 when interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--seed", type=int, default=SEED, metavar="S", help="of the provider's noise and the users' words")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="a condition; may be given again")
    given = parser.parse_args()
    conditions, ends, interrupted = chosen(given.only), list[Ended](), False
    began = time.monotonic()
    try:
        for number in range(1, given.rounds + 1):
            found, line = one_round(conditions, f"{given.seed}-{number}")
            ends += found
            for end in found:
                what = (
                    f"by {end.guard} after {end.candidate_units} candidate units, {end.seconds:.1f} s"
                    if end.rolled_back
                    else str(end.phase)
                )
                what += f"; cut short after {end.sessions} of {QUOTA} sessions: this machine is too slow" if end.cut_short else ""
                print(f"    {end.condition.name:15} {what}", file=sys.stderr)
            passed = timedelta(seconds=round(time.monotonic() - began))
            print(f"round {number} of {given.rounds}: {line}; {passed} so far", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        interrupted = True
    except CouldNotRun as failed:
        print(f"canary: {failed.message}", file=sys.stderr)
        return Exit.COULD_NOT_RUN
    table = list(rows(conditions, ends))
    print(f"{'condition':15} {'harm':42} {'rolled back':23} {'units':>6} {'s':>6}  {'bar':7} by guard")
    for row in table:
        print(row)
    print("units: candidate units at the stop, and s: seconds of canary until then (medians)")
    return 130 if interrupted else int(not all(row.kept for row in table))


if __name__ == "__main__":
    sys.exit(main())

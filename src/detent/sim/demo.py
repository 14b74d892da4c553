"""`make demo`: three "minor" version bumps through all four layers, over real HTTP, in about a minute.

This file only directs: it starts the processes that a team would run (a provider, `detent serve`, a second `detent gateway`, the apps'
traffic through the official SDKs), proposes three versions in the pin file, watches the store and tells what happens. What happens is
decided by the same controller as in production; the demo exits 0 only if each story ended as told.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from string import Template

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from detent import diff
from detent.baseline import freeze
from detent.controller import apply, baseline_of
from detent.errors import CouldNotRun, Exit
from detent.guarding import describe_rate
from detent.manifest import read
from detent.patch import propose, settle, unified
from detent.store import Store, open_store
from detent.terms import BaselineEvidence, Decision, Phase, Rollout
from detent.visible import visible

STABLE = "atlas-2026-03-01"
WARM_UP_S = 60.0
STORY_S = 150.0
"""Longest time from the proposals to the last ending: a loaded machine tells the story more slowly, and tells the same."""

MEAN_GATE_SLACK = 0.02
"""Drop of the mean score that a usual gate lets through."""

WANTED_RECORDS = 240
"""Recorded answers a route needs before its baseline is frozen."""


@dataclass(frozen=True, slots=True)
class Bump:
    """One proposed version: which route, what the provider's notes would say, and how its story must end."""

    letter: str
    route: str
    version: str
    colour: str
    notes: str
    ending: Phase


BUMPS = (
    Bump("A", "support", "atlas-2026-04-02", "green", "minor bump, honestly fine", Phase.DONE),
    Bump("B", "invoices", "atlas-2026-05-14", "magenta", "minor bump, better on average", Phase.REJECTED),
    Bump("C", "agent", "atlas-2026-06-20", "cyan", "minor bump, fine wherever one can look beforehand", Phase.ROLLED_BACK),
)


def _now() -> datetime:
    return datetime.now(UTC)


class Processes:
    """The processes of the demo; each is real, and each ends with the demo."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._running: list[subprocess.Popen[str]] = []
        self._servers: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        """Start `detent ARGUMENTS`, its talk in NAME.log."""
        with (self._home / f"{name}.log").open("w") as log:
            process = subprocess.Popen(  # noqa: S603 our own interpreter and arguments
                [sys.executable, "-m", "detent", *arguments], stdout=subprocess.PIPE, stderr=log, text=True, cwd=self._home
            )
        self._running.append(process)
        return process

    def must_live(self) -> None:
        """Raises CouldNotRun when a process ended that should not have: without it the story would only wait."""
        for name, process in self._servers.items():
            if process.poll() is not None:
                raise CouldNotRun(f"the demo's {name} ended with code {process.returncode}", hint="run the demo again")

    def address(self, name: str, process: subprocess.Popen[str]) -> str:
        """The `http://host:port` that a server prints once it listens. Raises CouldNotRun with its last words if it does not."""
        line = process.stdout.readline() if process.stdout else ""
        found = re.search(r"listening on (http://\S+?)(?:,|\s|$)", line)
        if found is None:
            words = (self._home / f"{name}.log").read_text().strip().splitlines()
            raise CouldNotRun(f"the demo's {name} did not start: `{words[-1] if words else line.strip()}`")
        self._servers[name] = process
        return found[1]

    def stop(self) -> None:
        """End them all, the last one first, and wait."""
        for process in reversed(self._running):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in reversed(self._running):
            try:
                process.wait(timeout=8)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass
class Teller:
    """Says what happens, with the seconds since the start."""

    console: Console
    began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """A line of the story."""
        self.console.print(f"[dim]{time.monotonic() - self.began:5.1f}s[/dim]  {text}", highlight=False)

    def plain(self, text: str | Text) -> None:
        """A line under the last one."""
        self.console.print(Text("        ") + (Text.from_markup(text) if isinstance(text, str) else text), highlight=False)

    def about(self, bump: Bump, text: str) -> None:
        """A line about one of the three versions."""
        self.say(f"[bold {bump.colour}]{bump.letter}[/] {text}")


def tell(keep: bool, seed: int | None, console: Console) -> int:
    """The whole demo; returns the exit code: 0 only if each of the three stories ended as told."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends the demo ends its processes too
    with tempfile.TemporaryDirectory(prefix="detent-demo-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        processes = Processes(home)
        try:
            code = _story(home, processes, Teller(console), seed)
            if code != Exit.PASS:
                _show_logs(home)
            if keep:
                _keep(home, console)
        finally:
            processes.stop()
    return code


def _show_logs(home: Path) -> None:
    """What the processes said, to stderr: a story that ended otherwise wants to be understood."""
    for log in sorted(home.glob("*.log")):
        for line in log.read_text(errors="replace").splitlines()[-20:]:
            print(f"{log.stem}: {visible(line)}", file=sys.stderr)


def _keep(home: Path, console: Console) -> None:
    console.print(f"\nstill running; look around with  detent status --file {home / 'detent.toml'}\nCtrl-C ends it", highlight=False)
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


def _story(home: Path, processes: Processes, teller: Teller, seed: int | None) -> int:
    teller.console.print(
        "[bold]Detent[/bold]: a version number of an LLM is marketing; the output distribution is the API.\n"
        f"Three routes run on {STABLE}. Three minor bumps are proposed. Nobody will read a log.\n",
        highlight=False,
    )
    provider = processes.start("provider", "sim", "provider", "--port", "0", *_seed(seed))
    pin_file = home / "detent.toml"
    template = files("detent.sim").joinpath("demo.toml").read_text()
    pin_file.write_text(Template(template).substitute(provider=processes.address("provider", provider)))
    server = processes.start("server", "serve", "--file", str(pin_file), "--name", "gateway-1")
    first = processes.address("server", server)
    second = processes.start("gateway", "gateway", "--file", str(pin_file), "--name", "gateway-2", "--data", "127.0.0.1:0")
    gateways = (first, processes.address("gateway", second))
    teller.say(f"simulated provider, server and two gateways are up: {gateways[0]} {gateways[1]}")
    traffic = {
        bump.route: processes.start(
            f"traffic-{bump.route}",
            *("sim", "traffic", "--gateway", ",".join(gateways), "--route", bump.route, "--scenario", bump.route),
            *("--seconds", "600", "--concurrency", "8", *_seed(seed)),
        )
        for bump in BUMPS
    }
    store = open_store(f"sqlite:///{home / '.detent' / 'state.db'}")
    _freeze(store, pin_file, teller, processes)
    ids = _propose(store, pin_file, teller)
    ends = _watch(store, ids, teller, processes, on_end=lambda bump: traffic[bump.route].send_signal(signal.SIGTERM))
    return _epilogue(store, pin_file, ends, teller)


def _seed(seed: int | None) -> tuple[str, ...]:
    return () if seed is None else ("--seed", str(seed))


def _freeze(store: Store, pin_file: Path, teller: Teller, processes: Processes) -> None:
    teller.say("live traffic: official openai and anthropic SDKs, sessions with users, several turns, tools, streams and feedback")
    manifest = read(pin_file.read_text())
    deadline = time.monotonic() + WARM_UP_S
    while any(store.journal.count(route=bump.route) < WANTED_RECORDS for bump in BUMPS):
        processes.must_live()
        if time.monotonic() > deadline:
            raise CouldNotRun("the demo's traffic does not reach the journal", hint="look at the *.log files with --keep")
        time.sleep(0.2)
    for bump in BUMPS:
        route = manifest.routes[bump.route]
        frozen = freeze(store, route, _now(), limit=manifest.plans[route.plan].baseline.cases)
        teller.say(f"baseline of {bump.route}: {len(frozen.cases)} prompts frozen from its recorded traffic")


def _propose(store: Store, pin_file: Path, teller: Teller) -> dict[str, Bump]:
    before = pin_file.read_text()
    text = before
    for bump in BUMPS:
        text = propose(text, bump.route, bump.version)
    pin_file.write_text(text)
    teller.say("three versions are proposed as `next` in detent.toml, and applied:")
    for bump in BUMPS:
        teller.plain(f"[bold {bump.colour}]{bump.letter}[/] {bump.route}: {STABLE} -> {bump.version}  [dim]{bump.notes}[/dim]")
    apply(
        store,
        text,
        file="detent.toml",
        by="demo",
        now=_now(),
        new_id=lambda: "ro_" + secrets.token_hex(5),
        new_salt=lambda: secrets.token_hex(16),
    )
    by_route = {bump.route: bump for bump in BUMPS}
    return {rollout.id: by_route[rollout.route] for rollout in store.state.rollouts(open_only=True)}


def _watch(store: Store, ids: dict[str, Bump], teller: Teller, processes: Processes, on_end: Callable[[Bump], None]) -> dict[str, Rollout]:
    """Tell each decision as it is committed, until all three rollouts have ended."""
    told: Counter[str] = Counter()
    ends: dict[str, Rollout] = {}
    deadline = time.monotonic() + STORY_S
    while len(ends) < len(ids) and time.monotonic() < deadline:
        processes.must_live()
        for rollout_id, bump in ids.items():
            if bump.letter in ends:
                continue
            decisions = [decision for decision, _ in store.state.decisions(rollout_id)]
            for decision in decisions[told[rollout_id] :]:
                _tell_decision(teller, bump, decision)
            told[rollout_id] = len(decisions)
            rollout = store.state.rollout(rollout_id)
            if rollout.phase.terminal:
                ends[bump.letter] = rollout
                _tell_end(store, teller, bump, rollout)
                on_end(bump)
        time.sleep(0.1)
    return ends


QUIET = {"TimeNotServed", "BaselineRunning", "TooFewPairs", "TooFewUnits", "Opened"}


def _tell_decision(teller: Teller, bump: Bump, decision: Decision) -> None:
    if decision.reason not in QUIET:
        teller.about(bump, f"{decision.verb} [dim]({decision.reason})[/dim] {escape(decision.sentence)}")


def _tell_end(store: Store, teller: Teller, bump: Bump, rollout: Rollout) -> None:
    if rollout.phase is Phase.REJECTED:
        _tell_flips(teller, baseline_of(store, rollout))
        exposed, _ = store.journal.users(rollout.id)
        teller.about(bump, f"[bold]rejected at the baseline: {exposed} users saw it[/bold]")
    elif rollout.phase is Phase.ROLLED_BACK:
        exposed, seen = store.journal.users(rollout.id)
        teller.about(bump, f"[bold]rolled back: {exposed} users were exposed; at 100 % it would have been {seen}[/bold]")
        for line in _acknowledgements(store, rollout):
            teller.plain(line)
    elif rollout.phase is Phase.DONE:
        teller.about(bump, f"[bold]promoted: {bump.route} is on {rollout.candidate.model}[/bold]")
    else:
        teller.about(bump, f"[bold red]ended as {rollout.phase}[/bold red]: {escape(rollout.reason)}")


def _tell_flips(teller: Teller, found: BaselineEvidence) -> None:
    for cause, n in Counter(flip.cause for flip in found.confirmed).most_common():
        teller.plain(f"{n:3} {'prompt' if n == 1 else 'prompts'} lost by  {cause}")
    shown = [flip for flip in found.confirmed if flip.stable_output and flip.candidate_output]  # the blind reserve shows none
    if not shown:
        return
    commonest = Counter(flip.cause for flip in shown).most_common(1)[0][0]
    flip = min((f for f in shown if f.cause == commonest), key=lambda f: len(f.candidate_output))
    teller.plain(
        f"one of them ({flip.cause}; right in {describe_rate(flip.stable_passed, flip.stable_runs)} of stable's runs, "
        f"{describe_rate(flip.candidate_passed, flip.candidate_runs)} of the candidate's):"
    )
    teller.plain(_word_diff(flip.stable_output, flip.candidate_output, colour=teller.console.is_terminal))


def _word_diff(stable: str, candidate: str, *, colour: bool) -> Text:
    """Stable's words and the candidate's; without colour in brackets, [-gone-] and {+new+}."""
    marks = {"=": ("", "{}", "{}"), "-": ("red strike", "{}", "[-{}-]"), "+": ("green", "{}", "{{+{}+}}")}
    shown = Text()
    for operation, text in diff.words(stable, candidate):
        style, in_colour, plain = marks[operation]
        shown.append((in_colour if colour else plain).format(visible(text)), style=style)
    return shown


def _acknowledgements(store: Store, rollout: Rollout) -> Iterator[str]:
    """Milliseconds from the write of the flag to each gateway serving stable."""
    flag = store.state.flags()[rollout.route]
    deadline = time.monotonic() + 5
    while len(acks := store.state.acks(flag.revision)) < len(store.state.gateways()) and time.monotonic() < deadline:
        time.sleep(0.02)
    if flag.written_at is None:
        return
    for ack in acks:
        milliseconds = (ack.applied_at - flag.written_at).total_seconds() * 1000
        yield f"{ack.gateway} served stable {milliseconds:.0f} ms after the flag was written"


def _epilogue(store: Store, pin_file: Path, ends: dict[str, Rollout], teller: Teller) -> int:
    """The patch that makes the pin file true, what a mean-score gate would have shipped, and what to run next."""
    text = pin_file.read_text()
    for bump in BUMPS:
        if bump.letter in ends:
            settled = settle(text, ends[bump.letter])
            if bump.ending is Phase.DONE:
                teller.say("the patch that makes the pin file true:")
                teller.console.print(Text(unified(text, settled, "detent.toml").rstrip(), style="dim"))
            text = settled
    pin_file.write_text(text)
    _tell_mean_gate(store, ends, teller)
    wrong = [bump for bump in BUMPS if bump.letter not in ends or ends[bump.letter].phase is not bump.ending]
    for bump in wrong:
        end = ends[bump.letter].phase if bump.letter in ends else "no end in time"
        teller.about(bump, f"[bold red]not as told: {end} instead of {bump.ending}[/bold red]")
    teller.console.print(
        "\nnext:  detent import --check YOUR_EXPORT.jsonl                            your own logs: freeze them, run a version over them\n"
        "       detent compare --records YOUR.jsonl --stable V1 --candidate V2     two versions' recorded answers, prompt by prompt\n"
        "       detent init && detent serve                                       a gateway in front of your own provider",
        highlight=False,
    )
    return Exit.REGRESSION if wrong else Exit.PASS


def _tell_mean_gate(store: Store, ends: dict[str, Rollout], teller: Teller) -> None:
    shipped = []
    for letter, rollout in sorted(ends.items()):
        found = baseline_of(store, rollout)
        stable, candidate = found.content_stable, found.content_candidate
        if stable is not None and candidate is not None and candidate >= stable - MEAN_GATE_SLACK:
            shipped.append(f"{letter} ({stable:.3f} -> {candidate:.3f})")
    kept = [letter for letter, rollout in sorted(ends.items()) if rollout.phase is Phase.DONE]
    teller.console.print(
        f"\n[bold]A gate on the mean score (no drop above {100 * MEAN_GATE_SLACK:g} points) would have shipped "
        f"{', '.join(shipped) or 'none'}.[/bold]\n[bold]Detent promoted {', '.join(kept) or 'none'}.[/bold]",
        highlight=False,
    )

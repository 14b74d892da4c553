"""The shadow end to end: harms that only a few readers meet: `python bench/shadow_planted.py [--sessions N] [--only NAME] [--lean]`.

A simulated provider and `detent serve` are processes, the store is on disk, and the traffic comes through the official SDK (`--lean`: a
quicker client). Every route is a library (`detent.sim.library`): two readers in a hundred write German, and each version harms half of
them, or a quarter: 1 % or 0.5 % of the traffic, and nobody else. Nothing of it can be seen in a mean. What the answers leave out, or how
rude they are, only a judge can see: these versions do it to all Germans. The judge is simulated too (`detent.sim.sage`), wrong at a known
rate, and calibrated first; as a shadow is not held up by its judge, the readers of these routes come as fast as it judges.

The plan has a shadow stage alone before its canary; everything is mirrored, and stable is asked a second time about everything. Ends with
1 if a bar is missed: a harm is rejected by the name of its field and the class of German prompts, an unchanged version goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from detent import evidence as ev
from detent.asking import asker
from detent.checks import judge as questions
from detent.checks.calibrating import LabelledPair, calibration
from detent.errors import CouldNotRun, Exit
from detent.judge import calibrate, judge_for
from detent.manifest import read
from detent.sim import library, sage, traffic
from detent.sim.demo import Processes
from detent.sim.lean import LeanClient
from detent.sim.scenarios import LIBRARY
from detent.store import Store, open_store
from detent.terms import Calibration, Manifest, Message, Phase, Prompt, Rollout, ShadowEvidence, Verb
from skipping import open_rollouts

SESSIONS = 5000
"""Sessions of a route after which its rollout has not ended."""

IN_FLIGHT = 16
BACKLOG = 100
PAIRS = 4000
"""Pairs that a shadow compares before it goes on: 0.5 % of them are 20, and some 11 of a kind with none on stable's side are harm.

Statistics 2.1 promises 2,100 for 0.5 %, of 14 fields: (ln 1/.05 + ln 14 + 1.6) / (.005 ln 2). That is a median: a single shadow may well
take half as many again.
"""

LABELLED = 60
PATIENCE_S = 900.0


@dataclass(frozen=True)
class Condition:
    """A version of the library, the field that gives it away (empty: it is unchanged), and how its route is kept and judged."""

    name: str
    version: str
    field: str = ""
    judged: bool = False
    bodies: float = 1.0


CONDITIONS = (
    Condition("english", "atlas-2026-10-01", "change:language_switched"),
    Condition("refusing", "atlas-2026-10-02", "change:refusal_added"),
    Condition("blocked", "atlas-2026-10-03", "refused"),
    Condition("marked", "atlas-2026-10-04", "change:trailing_artefact"),
    Condition("forgetful", "atlas-2026-10-05", "judge", judged=True),
    Condition("rude", "atlas-2026-10-06", "judge", judged=True),
    Condition("seldom_english", "atlas-2026-10-07", "change:language_switched"),
    Condition("seldom_blocked", "atlas-2026-10-08", "refused"),
    Condition("unkept", "atlas-2026-10-01", "change:language_switched", bodies=0.0),
    Condition("unchanged", library.UNCHANGED),
    Condition("unchanged_unkept", library.UNCHANGED, bodies=0.0),
    Condition("unchanged_judged", library.UNCHANGED, judged=True),
)

HEAD = """\
[providers.atlas]
dialect  = "openai"
base_url = "{provider}/v1"
watcher  = "llm@example.com"

[providers.sage]
dialect  = "openai"
base_url = "{provider}/v1"
watcher  = "llm@example.com"

[routes.sage]
provider = "sage"
version  = "{judge}"
owner    = "evals@example.com"
plan     = "harmed"

[server]
data    = "127.0.0.1:0"
control = "127.0.0.1:0"

"""

PLAN = """
[plans.{name}]
unsafe_short_windows = true
approve = []
canary  = {{ steps = [{{ share = 0.5, at_least = "30m" }}], at_most = "40m" }}
soak    = {{ at_least = "1m" }}

[plans.{name}.shadow]
share    = 1.0
second   = 1.0
at_least = "0s"
at_most  = "30m"
pairs    = {pairs}
coverage = 0.9
budget_usd_per_day = inf
judge_usd_per_day  = inf
"""

ROUTE = """
[routes.{name}]
provider = "atlas"
version  = "{version}"
owner    = "desk@example.com"
plan     = "{plan}"
checks   = [{checks}]
record   = {{ bodies = {bodies} }}
"""

JUDGED = """\
judge    = "sage"
"""


def pin_file(provider: str, conditions: Sequence[Condition], *, pairs: int = PAIRS, unchanged_pairs: int = PAIRS) -> str:
    """The pin file, with nothing proposed."""
    head = HEAD.format(provider=provider, judge=sage.HONEST)
    plans = PLAN.format(name="harmed", pairs=pairs) + PLAN.format(name="unchanged", pairs=unchanged_pairs)
    routes = (
        ROUTE.format(
            name=one.name,
            version=library.BASE,
            plan="harmed" if one.field else "unchanged",
            bodies=one.bodies,
            checks='"answered", "tone", "task_complete"' if one.judged else '"answered"',
        )
        + (JUDGED if one.judged else "")
        for one in conditions
    )
    return head + plans + "".join(routes)


# ── the judge is calibrated first ───────────────────────────────────────────────────────────────────────────────────


def labelled(n: int) -> list[LabelledPair]:
    """Pairs of answers of the library's versions, and what a person would say of them: a third is better, a third worse, a third alike."""
    pairs = []
    for number in range(n):
        asked = Prompt(
            system=LIBRARY.system,
            messages=(
                Message(role="user", text=f"Guten Tag, bis wann darf ich das Buch AB-{10_000 + number} haben, und kann ich es noch?"),
            ),
        )
        harming = ("atlas-2026-10-05", "atlas-2026-10-06")[number % 2]
        good = library.answer(library.BASE, asked, _fixed(opener=number % 7 / 8))
        other = library.answer(library.BASE, asked, _fixed(opener=number % 5 / 6))
        harmed = library.answer(harming, asked, _fixed(harm=0.1))
        if good is None or other is None or harmed is None:
            raise AssertionError("these versions answer everybody")
        sides = ((good, harmed, "a"), (harmed, good, "b"), (good, other, "same"))[number % 3]
        pairs.append(
            LabelledPair(asked, sides[0].text, sides[1].text, "a" if sides[2] == "a" else "b" if sides[2] == "b" else "same", number)
        )
    return pairs


def _fixed(**draws: float) -> library.Draw:
    """Draws that are fixed by purpose; all others harm nothing."""
    return lambda purpose: draws.get(purpose, 0.9)


async def calibrated(store: Store, manifest: Manifest, route: str, base_dir: Path) -> Calibration:
    """Ask the route's judge about labelled pairs, and keep how far it agrees."""
    async with asker(manifest) as ask:
        judge = judge_for(manifest, manifest.routes[route], store, ask, base_dir)
        if judge is None:
            raise AssertionError(f"route `{route}` has a judge")
        found = await calibrate(judge, labelled(LABELLED), lambda done, total: None)
    kept = calibration(found, judge.version, judge.digest, by="bench", at=datetime.now(UTC))
    store.state.put_calibration(kept)
    return kept


# ── one round ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Ended:
    """How one rollout came out of its shadow. `pairs`, `seconds` and `judged` as the decision saw them."""

    condition: Condition
    phase: Phase
    said: str
    pairs: int
    seconds: int
    judged: int
    took_s: float
    not_mirrored: dict[str, int]
    bodies: int

    @property
    def classes(self) -> tuple[str, ...]:
        """The languages of the input classes that the sentence names."""
        return tuple(re.findall(r"language ([a-z]{2})\b", self.said))

    @property
    def kept(self) -> bool:
        """Whether the bar is held."""
        if not self.condition.field:
            return self.phase in (Phase.CANARY, Phase.SOAK)
        # A judge has noise in every class, so that all classes together may say it louder than the one.
        return self.phase is Phase.REJECTED and self.named and self.classes in (("de",), *([()] if self.condition.judged else []))

    @property
    def named(self) -> bool:
        """Whether what was said names the field, as it is written or in words."""
        return self.condition.field in self.said or self.condition.field.removeprefix("change:") in self.said

    def __str__(self) -> str:
        c = self.condition
        verdict = "held" if self.kept else "MISSED"
        counts = f"{self.pairs:6} {self.seconds:6} {self.judged:6} {self.took_s:6.1f}"
        left = ", ".join(f"{n} {why}" for why, n in self.not_mirrored.items()) or "none"
        return f"{c.name:17} {self.phase:10} {counts}  {verdict:6} {self.said}\n{'':17} not mirrored: {left}"


class Pace:
    """Readers come as fast as their answers are judged: `open` is set while no more than `BACKLOG` pairs wait for the judge."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()

    async def __aenter__(self) -> None:
        await self.open.wait()

    async def __aexit__(self, *_: object) -> None:
        return None


@dataclass
class Round:
    """An installation with its processes, its store and its traffic."""

    home: Path
    processes: Processes
    conditions: Sequence[Condition]
    seed: int = 1
    sessions: int = SESSIONS
    unchanged_pairs: int = PAIRS
    lean: bool = False
    gateway: str = ""

    @property
    def file(self) -> Path:
        """The pin file."""
        return self.home / "detent.toml"

    def _text(self) -> str:
        return self.file.read_text()

    def begin(self) -> Store:
        """Start provider and server, and open their store."""
        provider = self.processes.start("provider", "sim", "provider", "--port", "0", "--seed", str(self.seed))
        self.file.write_text(pin_file(self.processes.address("provider", provider), self.conditions, unchanged_pairs=self.unchanged_pairs))
        server = self.processes.start("server", "serve", "--file", str(self.file), "--name", "gateway-1")
        self.gateway = self.processes.address("server", server)
        return open_store(f"sqlite:///{self.home / '.detent' / 'state.db'}")

    async def tell(self, store: Store) -> list[Ended]:
        """Calibrate, propose, send traffic until each rollout has left its shadow or its sessions are used up."""
        began = time.monotonic()
        judged = [one.name for one in self.conditions if one.judged]
        if judged:
            found = await calibrated(store, read(self._text()), judged[0], self.home)
            print(f"judge: kappa {found.kappa:.2f} [{found.low:.2f}, {found.high:.2f}], {found.injected:.0%} moved", file=sys.stderr)
            if objections := questions.objections(found):
                raise CouldNotRun(f"the simulated judge may not block: {objections[0]}")
        rollouts = open_rollouts(store, self.file, {c.name: c.version for c in self.conditions})
        stops = {name: asyncio.Event() for name in rollouts}
        ended: dict[str, float] = {}
        paces = {one.name: Pace() for one in self.conditions if one.judged}
        watching = asyncio.create_task(self._watch(store, rollouts, stops, paces, ended, deadline=began + PATIENCE_S))
        async with asyncio.TaskGroup() as group:
            for one in self.conditions:
                group.create_task(self._send(one, stops[one.name], paces.get(one.name)))
        await watching
        return [self._ended(store, one, rollouts[one.name], ended.get(one.name, time.monotonic()) - began) for one in self.conditions]

    async def _send(self, one: Condition, stop: asyncio.Event, pace: Pace | None) -> None:
        await traffic.run(
            gateways=[self.gateway],
            route=one.name,
            scenario=LIBRARY.name,
            sessions=self.sessions,
            concurrency=max(2, IN_FLIGHT // len(self.conditions)),
            seed=f"{self.seed}-{one.name}",
            stop=stop,
            client=LeanClient if self.lean else None,
            turns=pace,
        )

    async def _watch(
        self,
        store: Store,
        rollouts: dict[str, str],
        stops: dict[str, asyncio.Event],
        paces: dict[str, Pace],
        ended: dict[str, float],
        *,
        deadline: float,
    ) -> None:
        """Stop a route's traffic once its rollout has left the shadow; what was sent is waited for until nothing more is graded."""
        waiting, last, pairs = set(rollouts), time.monotonic(), -1
        while waiting:
            self.processes.must_live()
            await asyncio.sleep(0.2)
            for name in sorted(waiting):
                if store.state.rollout(rollouts[name]).phase is not Phase.SHADOW:
                    stops[name].set()
                    waiting.discard(name)
                    ended[name] = time.monotonic()
                if name in paces and len(store.state.pairs_to_judge(rollouts[name], BACKLOG + 1)) > BACKLOG and not stops[name].is_set():
                    paces[name].open.clear()
                elif name in paces:
                    paces[name].open.set()
            now = sum(_shadow(store, rollouts[name]).pairs for name in waiting)
            if now != pairs:
                pairs, last = now, time.monotonic()
            if time.monotonic() > last + 20.0 or time.monotonic() > deadline:  # no pair for so long: the sessions are used up
                for name in waiting:
                    stops[name].set()
                for pace in paces.values():
                    pace.open.set()
                return

    def _ended(self, store: Store, condition: Condition, rollout_id: str, took_s: float) -> Ended:
        rollout = store.state.rollout(rollout_id)
        verbs = (Verb.REJECT, Verb.ADVANCE)
        decided = [(d, e) for d, e in store.state.decisions(rollout_id) if d.verb in verbs and e and ev.decode(e).shadow]
        said, evidence = decided[-1] if decided else (None, None)
        found = (ev.decode(evidence).shadow if evidence else None) or _shadow(store, rollout_id)
        return Ended(
            condition=condition,
            phase=rollout.phase,
            said=f"{said.reason}: {said.sentence}" if said is not None else rollout.reason,
            pairs=found.pairs,
            seconds=found.seconds,
            judged=found.judged,
            took_s=took_s,
            not_mirrored={reason: n for (reason, _), n in store.state.not_mirrored(rollout_id).items()},
            bodies=bodies_of(store, rollout),
        )


def _shadow(store: Store, rollout_id: str) -> ShadowEvidence:
    return store.state.shadow_evidence(store.state.rollout(rollout_id))


LOOKED_AT = 1000


def bodies_of(store: Store, rollout: Rollout) -> int:
    """How many of a route's newest exchanges have any body on record, live or mirrored."""
    newest = {one.intent.exchange for one in store.journal.latest(rollout.route, LOOKED_AT)}
    kept = (
        any(leg.result and (leg.result.request_body or leg.result.answer_body) for leg in store.journal.exchange(one)) for one in newest
    )
    return sum(kept)


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────


def one_round(conditions: Sequence[Condition], **more: Any) -> list[Ended]:
    """A round in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="detent-planted-") as home:
        processes = Processes(Path(home))
        try:
            told = Round(Path(home), processes, conditions, **more)
            store = told.begin()
            try:
                return asyncio.run(told.tell(store))
            finally:
                store.close()
        finally:
            processes.stop()


def chosen(only: Sequence[str]) -> tuple[Condition, ...]:
    """The conditions of these names; all without any. Raises SystemExit for an unknown one."""
    names = [one.name for one in CONDITIONS]
    for name in only:
        if name not in names:
            raise SystemExit(f"no such condition: `{name}`; there are {', '.join(names)}")
    return tuple(one for one in CONDITIONS if not only or one.name in only)


def main() -> int:
    """Run a round and print the table; 1 if a bar is missed, 4 if it could not be run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sessions", type=int, default=SESSIONS, metavar="N", help="of a route, at most")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the provider's noise and the readers' words")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="a condition; may be given again")
    parser.add_argument("--unchanged-pairs", type=int, default=PAIRS, metavar="N", help="pairs that an unchanged version needs to go on")
    parser.add_argument("--lean", action="store_true", help="a quicker client than the official SDK")
    given = parser.parse_args()
    try:
        ends = one_round(
            chosen(given.only), sessions=given.sessions, seed=given.seed, unchanged_pairs=given.unchanged_pairs, lean=given.lean
        )
    except CouldNotRun as failed:
        print(f"shadow_planted: {failed.message}", file=sys.stderr)
        return Exit.COULD_NOT_RUN
    print(f"{'condition':17} {'phase':10} {'pairs':>6} {'second':>6} {'judged':>6} {'s':>6}  {'bar':6} what was decided")
    for end in ends:
        print(end)
    return int(not all(end.kept for end in ends))


if __name__ == "__main__":
    sys.exit(main())

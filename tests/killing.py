"""A rollout with traffic over many processes, of which one after the other is killed with signal 9 and started again.

Two hosts: on each a controller and its gateways (two on the first one), with a home of its own; PostgreSQL is all they share. Apps ask,
somebody opens and rolls back rollouts, the provider sometimes fails a candidate. What each of them saw is kept; `afterwards` holds it
against what the store has.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, TypeVar

from detent.controller import apply
from detent.errors import DetentError
from keepsakes import Keepsakes
from outside import Answered, post
from processes import Installation, controller, now, standing
from rolling import Clerk, Operator, Provider
from slots import CONNECTIONS, PATIENCE_S, Down, Slot, children, command_line, kill_database, wait
from witnesses import take_down

if TYPE_CHECKING:
    from stores import Postgres

_T = TypeVar("_T")

CONTROLLER = controller()
HOSTS = {"north": ("a", "b"), "south": ("c",)}
"""Each host and its gateways."""

DECK = ("gateway",) * 4 + ("controller",) * 3 + ("ingester",) * 2 + ("database",)
"""What is killed in ten kills; who of them, and when, is drawn."""

PAUSE_S = 0.4
"""How long at most what was killed stays away before it is started again."""


@dataclass(frozen=True)
class Ask:
    """A request as its caller saw it; `answer` is None where it was not answered whole, `error` says how."""

    gateway: str
    session: str
    began_s: float
    ended_s: float
    answer: Answered | None
    error: str = ""


class Apps(threading.Thread):
    """An app that asks one gateway after the other; some sessions ask again, elsewhere."""

    def __init__(self, site: Site, number: int) -> None:
        super().__init__(daemon=True, name=f"app {number}")
        self._site, self._number, self._random = site, number, Random(f"{site.seed} {number}")

    def run(self) -> None:
        sessions: list[str] = []
        for n in itertools.count():
            if self._site.quiet.is_set():
                return
            again = sessions and self._random.random() < 0.15
            session = self._random.choice(sessions[-20:]) if again else f"{self._number}-{n}"
            sessions.append(session)
            slot = self._random.choice(self._site.gateways)
            url = slot.url
            if url is not None:
                self._site.asks.append(self._ask(slot, url, session, n))
            time.sleep(self._random.random() * 2 / self._site.rate)

    def _ask(self, slot: Slot, url: str, session: str, n: int) -> Ask:
        began = time.monotonic()
        try:
            answer = post(url, session, f"What of {n % 40}?", stream=n % 3 == 0, timeout=60)
        except Exception as error:
            return Ask(slot.name, session, began, time.monotonic(), None, f"{type(error).__name__}: {error}")
        return Ask(slot.name, session, began, time.monotonic(), answer)


@dataclass
class Site:
    """All of it. `quiet` ends traffic, `ending` ends the processes."""

    seed: int
    server: Postgres
    provider: Provider
    url: str
    rate: float
    random: Random = field(init=False)
    places: dict[str, Installation] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    asks: list[Ask] = field(default_factory=list)
    kills: list[tuple[str, str, float]] = field(default_factory=list)
    databases_down: list[Down] = field(default_factory=list)
    quiet: threading.Event = field(default_factory=threading.Event)
    ending: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self._pauses = Random(f"{self.seed} pauses")

    @property
    def gateways(self) -> list[Slot]:
        return [self.slots[name] for names in HOSTS.values() for name in names]

    @property
    def controllers(self) -> list[Slot]:
        return [self.slots[f"{CONTROLLER}-{host}"] for host in HOSTS]

    @property
    def place(self) -> Installation:
        """A host's, with a connection of the test's own."""
        return next(iter(self.places.values()))

    def all_up(self) -> bool:
        fell = [line for slot in self.slots.values() for line in slot.ended_by_itself]
        assert not fell, fell[0]
        return all(slot.up for slot in self.slots.values())

    def slot(self, name: str, place: Installation, *words: str) -> Slot:
        return Slot(name, place, *words, ending=self.ending, pause=self.pause)

    def pause(self) -> float:
        return self._pauses.uniform(0.0, PAUSE_S)

    def patiently(self, call: Callable[[], _T]) -> _T:
        """What the store says once it can be asked: the database is killed too."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return call()
            except DetentError:
                assert time.monotonic() < deadline, "the store never came back"
                time.sleep(0.02)

    # ── kills ──

    def kill_one(self, kind: str) -> None:
        """Somebody of that kind, drawn, once there is somebody."""
        at = time.monotonic()
        match kind:
            case "gateway" | "controller":
                slot = self.random.choice(self.gateways if kind == "gateway" else self.controllers)
                wait(lambda: slot.up, f"{slot.name} up")
                slot.kill()
                self.kills.append((kind, slot.name, at))
            case "ingester":
                if not (readers := self.ingesters()):
                    self.kill_one("controller")  # `serve` reads what is on its host by itself
                    return
                name, pid = self.random.choice(sorted(readers.items()))
                with suppress(ProcessLookupError):  # it has just ended with its gateway
                    os.kill(pid, signal.SIGKILL)
                self.kills.append((kind, name, at))
            case "database":
                self.kill_database()
                self.kills.append((kind, "PostgreSQL", at))

    def ingesters(self) -> dict[str, int]:
        """Processes that read spools for a gateway here, by its name."""
        found: dict[str, int] = {}
        for slot in self.gateways:
            process = slot.process
            for pid in children(process.pid) if process is not None and slot.up else ():
                if b"ingest" in command_line(pid):
                    found[slot.name] = pid
        return found

    def kill_database(self) -> None:
        down = Down(time.monotonic(), time.time_ns() // 1000)
        self.databases_down.append(down)
        kill_database(self.server)
        down.until_s = time.monotonic()

    def kill(self, count: int, say: Callable[[str], None]) -> None:
        """So many, of each kind as often as the deck has it, one after the other at moments that are drawn."""
        decks = [list(DECK) for _ in range(-(-count // len(DECK)))]
        for deck in decks:
            self.random.shuffle(deck)
        for number, kind in enumerate(list(itertools.chain(*decks))[:count], start=1):
            time.sleep(self.random.uniform(0.1, 1.2))
            # Some may be away at once; were most of them, nothing would be under way that a kill could break.
            wait(lambda: sum(not slot.up for slot in self.slots.values()) <= len(self.slots) // 2, "most processes up")
            self.kill_one(kind)
            say(f"{number} of {count}: {self.kills[-1][0]} {self.kills[-1][1]}")


# ── a run ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def site_of(directory: Path, *, seed: int, rate: float) -> Iterator[Site]:
    """All of it, up, with a store of its own that takes down every flag and every rollout that is ever written."""
    from stores import server_of_postgres

    with ExitStack() as stack:
        provider = Provider(seed)
        stack.enter_context(provider.on_a_socket())
        server = stack.enter_context(server_of_postgres(connections=CONNECTIONS))
        site = Site(seed, server, provider, server.url(server.take()), rate)
        for host in HOSTS:
            (directory / host).mkdir()
            site.places[host] = stack.enter_context(standing(directory / host, provider.url, store_url=site.url))
            site.places[host].file.write_text(site.places[host].text().replace("[plans.quick]", '[plans.quick]\nlease = "5s"'))
        text = site.place.file.read_text()
        apply(site.place.store, text, file="detent.toml", by="test", now=now(), new_id=str, new_salt=str)
        take_down(site.url)
        stack.callback(end, site)
        for host, names in HOSTS.items():
            place = site.places[host]
            named = () if CONTROLLER == "controller" else ("--name", f"{CONTROLLER}-{host}")
            site.slots[f"{CONTROLLER}-{host}"] = site.slot(f"{CONTROLLER}-{host}", place, CONTROLLER, *named)
            site.slots |= {name: site.slot(name, place, "gateway", "--name", name) for name in names}
        for slot in site.slots.values():
            slot.start()
        wait(site.all_up, "everything up")
        yield site


def end(site: Site) -> None:
    """With SIGTERM, all at once."""
    site.quiet.set()
    site.ending.set()
    with ThreadPoolExecutor(len(site.slots)) as threads:
        list(threads.map(lambda slot: slot.end(PATIENCE_S), site.slots.values()))


@dataclass
class Seen:
    """What a run was like, and what in it is not as it must be."""

    kills: Counter[str]
    answered: int
    broken: int
    rollouts: Counter[str]
    legs: int
    seconds: float
    wrong: list[str]

    def __str__(self) -> str:
        """One line."""
        by_kind = ", ".join(f"{n} of {kind}" for kind, n in sorted(self.kills.items()))
        ends = ", ".join(f"{n} {end}" for end, n in sorted(self.rollouts.items()))
        return (
            f"{self.kills.total()} kills ({by_kind}) in {self.seconds:.0f} s: {self.answered} requests answered, "
            f"{self.broken} broke off with the gateway that was killed under them, "
            f"{self.legs} legs each on record once, {self.rollouts.total()} rollouts ({ends}); "
            f"{len(self.wrong)} violations"
        )


def killed(directory: Path, *, seed: int, kills: int, rate: float = 25.0, say: Callable[[str], None] = lambda line: None) -> Seen:
    """A whole run, and what is wrong after it."""
    from afterwards import all_that_is_wrong, settled

    began = time.monotonic()
    with site_of(directory, seed=seed, rate=rate) as site:
        keepsakes = Keepsakes([place.spools for place in site.places.values()], directory / "keepsakes")
        keepsakes.start()
        apps = [Apps(site, number) for number in range(4)]
        operator, clerk = Operator(site), Clerk(site)
        for thread in (*apps, operator, clerk):
            thread.start()
        try:
            site.kill(kills, say)
            operator.finish()
            wait(site.all_up, "everything up")
        finally:
            site.quiet.set()
        for thread in (*apps, clerk):
            thread.join(PATIENCE_S)
        keepsakes.end()
        written = keepsakes.read()
        wrong = settled(site, written)
        end(site)
        wrong += all_that_is_wrong(site, written, operator, clerk)
        answered = sum(ask.answer is not None for ask in site.asks)
        ends = Counter(rollout.phase.value for rollout in site.place.store.state.rollouts())
        return Seen(
            kills=Counter(kind for kind, _, _ in site.kills),
            answered=answered,
            broken=len(site.asks) - answered,
            rollouts=ends,
            legs=len(written.intents),
            seconds=time.monotonic() - began,
            wrong=wrong,
        )

"""Who opens rollouts and ends them, one after the other, while everybody is killed; and the provider, which fails a candidate at times."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

from detent.controller import act
from detent.errors import DetentError
from detent.manifest import read
from detent.sim import provider as sim
from detent.sim.versions import HONEST, STABLE, VERSIONS
from detent.store.chain import Head
from detent.terms import Flag, Rollout, Version
from detent.transitions import flag_for, into_canary
from outside import Door, _once
from processes import now
from slots import wait

if TYPE_CHECKING:
    from detent.store.gateways import GatewayAck
    from killing import Site
    from slots import Slot

ENDINGS = ("by hand", "harm", "done")

FAILS = 0.7
"""Share of its requests that a candidate fails where it is made to."""


class Provider(Door):
    """The simulated provider, a little slower, so that a kill finds requests under way; `failing` is the model that mostly fails."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.failing = ""
        self._random = Random(f"{seed} provider")
        self._provider = sim.Provider(sim.simulated(seed), tuple(VERSIONS), delay=lambda version: self._random.uniform(0.005, 0.06))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["method"] == "POST" and self.failing == json.loads(body)["model"] and self._random.random() < FAILS:
            await send({"type": "http.response.start", "status": 500, "headers": [(b"content-type", b"application/json")]})
            await send({"type": "http.response.body", "body": b'{"error": {"message": "out of order", "type": "server_error"}}'})
            return
        await self._provider(scope, _once(body), send)


@dataclass(frozen=True)
class AllOnOne:
    """A time in which no rollout was open and every gateway had said so before it began: only this model may have answered what was asked
    in it.
    """

    rollout: str
    model: str
    from_s: float
    until_s: float


class Operator(threading.Thread):
    """Opens rollouts in their canary, and ends each by hand, by harm, or lets it reach its end."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True, name="operator")
        self.site = site
        self.on_one: list[AllOnOne] = []
        self.heads: list[Head] = []
        self.failed: list[str] = []
        self._random = Random(f"{site.seed} operator")
        self._finishing = threading.Event()

    def finish(self) -> None:
        """End the rollout that is open, if need be by hand, and open no more."""
        self._finishing.set()
        self.join()
        assert not self.failed, self.failed

    def run(self) -> None:
        try:
            for n in itertools.count():
                self._one(f"ro_{n}", ENDINGS[n % len(ENDINGS)])
                if self._finishing.is_set():
                    return
        except Exception as error:
            self.failed.append(f"the operator: {type(error).__name__}: {error}")

    def _one(self, id: str, ending: str) -> None:
        state, patiently = self.site.place.store.state, self.site.patiently
        flag = patiently(lambda: state.flags()["chat"])
        rollout = self._made(id, flag)
        patiently(lambda: self._known(id) or state.open_rollout(rollout, flag_for(rollout, flag), by="op", at=now()))
        if ending != "done":
            self._finishing.wait(self._random.uniform(1.0, 5.0))
        if ending == "harm":
            self.site.provider.failing = rollout.candidate.model
        while ending != "by hand" and not self._finishing.wait(0.1):
            if patiently(lambda: state.rollout(id)).phase.terminal:
                break
        patiently(lambda: state.rollout(id).phase.terminal or act(self.site.place.store, id, "roll_back", by="op", why="", now=now()))
        self.site.provider.failing = ""
        self._until_all_are_on_one(id)
        if (head := patiently(state.audit_head)) is not None:
            self.heads.append(head)

    def _made(self, id: str, flag: Flag) -> Rollout:
        plan = read(self.site.place.file.read_text()).plans["quick"]
        other = Version("atlas", HONEST if flag.stable.model == STABLE else STABLE)
        opened = Rollout(
            id=id,
            route="chat",
            owner="a@example.com",
            stable=flag.stable,
            candidate=other,
            plan=plan,
            salt=f"salt of {id}",
            opened_at=now(),
            entered_at=now(),
        )
        return into_canary(replace(opened, watched_s=0.0), now())

    def _known(self, id: str) -> bool:
        return any(rollout.id == id for rollout in self.site.place.store.state.rollouts())

    def _until_all_are_on_one(self, id: str) -> None:
        """Wait until every gateway has said that it serves the flag that ended the rollout; then let apps ask for a while."""
        state, patiently = self.site.place.store.state, self.site.patiently
        flag = patiently(lambda: state.flags()["chat"])
        wait(lambda: patiently(self._heard_by_all(flag.revision)), f"revision {flag.revision} at every gateway")
        began = time.monotonic()
        self._finishing.wait(self._random.uniform(0.3, 1.0))
        self.on_one.append(AllOnOne(id, flag.stable.model, began, time.monotonic()))

    def _heard_by_all(self, revision: int) -> Callable[[], bool]:
        def heard() -> bool:
            those = {known.gateway: known for known in self.site.place.store.state.gateways()}
            return all(self._heard(slot, those.get(slot.name), revision) for slot in self.site.gateways)

        return heard

    @staticmethod
    def _heard(slot: Slot, known: GatewayAck | None, revision: int) -> bool:
        """Whether the process that is there now said so, and not one before it."""
        return slot.up and slot.process is not None and known is not None and known.pid == slot.process.pid and known.revision >= revision


class Clerk(threading.Thread):
    """Writes into the audit log all the time, beside everybody else who does; `noted` is what the store said it has."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True, name="clerk")
        self._site = site
        self.noted: list[str] = []

    def run(self) -> None:
        for n in itertools.count():
            if self._site.quiet.wait(0.03):
                return
            try:
                self._site.place.store.state.note("clerk", f"note {n}", now())
            except DetentError:
                continue  # whether it is there or not, nobody was promised
            self.noted.append(f"note {n}")

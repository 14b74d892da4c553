"""What the API does in the store: the same verbs as the commands, by the same functions, and the log of them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from detent.acknowledging import WAIT_S, acknowledged
from detent.controller import act, approve, warmth
from detent.driller import end_drill
from detent.errors import Refused
from detent.explain import Leader, in_doubt, leading, summary
from detent.roles import LONGEST_WHY, may
from detent.store import Store
from detent.store.chain import entry_json
from detent.terms import Token
from detent.web.receiving import Asked, Unfit, Word

VERBS = {"hold": "hold", "resume": "resume", "abort": "abort", "rollback": "roll_back", "promote": "promote"}
"""Verbs of the API that move a rollout, as `transitions.HUMAN_VERBS` spells them."""

MOST_ENTRIES = 1_000
NOTED_EVERY_S = 60.0
"""How often a wrong token from one address stands in the audit log: whoever guesses must not fill it."""
MOST_ADDRESSES = 1_000


class WrongTokens:
    """Notes wrong tokens in the audit log, at most once a minute for each address. Used by many threads at once."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._noted: dict[str, float] = {}
        self._lock = threading.Lock()

    def note(self, store: Store, address: str, now: datetime) -> None:
        """Somebody at this address sent a token that is nobody's."""
        at = self._elapsed()
        with self._lock:
            known = address if address in self._noted or len(self._noted) < MOST_ADDRESSES else ""
            last = self._noted.get(known)
            if last is not None and at - last < NOTED_EVERY_S:
                return
            self._noted[known] = at
        store.state.note(f"somebody at {address}", "a token that is nobody's, or was revoked, at the control listener", now)


def admitted(store: Store, asked: Asked, wrong: WrongTokens, now: datetime) -> Token | None:
    """Who asks, once it is known that they may; None where nobody has to say so. Raises Unfit for all others."""
    needs = asked.needs
    if needs is None:
        return None
    tokens = store.state.tokens()
    if not tokens and asked.pattern == "/v1/status":
        return None  # a store without roles tells this to whoever is on the machine, as it always did
    if not tokens:
        raise Unfit(403, "this store has no tokens, and the API asks for one", hint="detent token add NAME --role approver")
    if asked.secret is None:
        raise Unfit(401, "no token", hint="send the header `Authorization: Bearer TOKEN`", **{"www-authenticate": "Bearer"})
    token = store.state.holder(asked.secret)
    if token is None:
        wrong.note(store, asked.address, now)
        raise Unfit(401, "this token is nobody's, or was revoked", **{"www-authenticate": "Bearer"})
    if not may(token.role, needs):
        raise Unfit(403, f"`{token.name}` has the role {token.role}, and this needs {needs}", hint="nothing was changed")
    return token


def status(store: Store, now: datetime) -> dict[str, Any]:
    """Flags, open rollouts, gateways, ways back and alerts; who leads, and what is in doubt since the store was put back."""
    state = store.state
    flags, put_back, lease = state.flags(), state.put_back(), state.lease()
    leader = None if lease is None else Leader(holder=lease.holder, beat_us=lease.beat)
    return {
        **summary(state.revision(), flags, state.rollouts(), state.gateways()),
        **warmth(store, now).json(),
        "leader": None if leader is None else {"holder": leader.holder, "leads": leading(leader, now)},
        "in_doubt": sorted(name for name, flag in flags.items() if in_doubt(flag, put_back)),
    }


def log(store: Store, asked: Asked) -> dict[str, Any]:
    """The newest entries of the audit log, newest first."""
    said = asked.query.get("limit", ["100"])[-1]
    if not re.fullmatch("[0-9]{1,9}", said) or not 1 <= int(said) <= MOST_ENTRIES:
        raise Unfit(400, f"not a number of entries: `{said[:20]}`", hint=f"1 to {MOST_ENTRIES}")
    found = store.state.audit(int(said), rollout=asked.query.get("rollout", [None])[-1])
    return {"entries": [entry_json(row) for row in found]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """Who says a verb, why and when; and how long they wait for the gateways."""

    by: str
    why: str
    now: datetime
    wait_s: float = WAIT_S


def carried_out(store: Store, asked: Asked, word: Word, by: str, now: datetime) -> dict[str, Any]:
    """Carry a verb out, by name; a move of traffic waits for the gateways as the command does. Raises what the verb raises."""
    if len(word.why) > LONGEST_WHY:
        raise Unfit(400, f"a reason has {LONGEST_WHY:,} characters at most, and this one {len(word.why):,}", hint="link to what is longer")
    verb, saying = asked.pattern.rpartition("/")[2], Saying(by=by, why=word.why, now=now)
    if verb == "approve":
        given = approve(store, asked.named["rollout"], by=by, why=word.why, now=now, revision=word.revision)
        told = {"rollout": given.rollout, "stage": given.stage, "revision": given.revision, "evidence": given.evidence}
        return told | {"until": given.until_at.isoformat()}
    if word.revision is not None:
        raise Unfit(400, "only an approval is about a revision")
    if "route" in asked.named:
        return _route_rolled_back(store, asked.named["route"], saying)
    return _moved(store, asked.named["rollout"], VERBS[verb], saying)


def _moved(store: Store, rollout_id: str, verb: str, saying: Saying) -> dict[str, Any]:
    before = store.state.revision()
    moved = act(store, rollout_id, verb, by=saying.by, why=saying.why, now=saying.now)
    told: dict[str, Any] = {"rollout": moved.id, "route": moved.route, "phase": moved.phase, "reason": moved.reason}
    return told | {"gateways": _heard(store, moved.route, saying.wait_s) if store.state.revision() != before else None}


def _route_rolled_back(store: Store, route: str, saying: Saying) -> dict[str, Any]:
    """Whatever is under way on a route, a rollout or a drill, is ended, and stable serves; where nothing is, it is asked who serves it."""
    told: dict[str, Any] = {"route": route, "rollout": None, "drill": None}
    for rollout in store.state.rollouts(route=route, open_only=True):
        try:
            moved = act(store, rollout.id, "roll_back", by=saying.by, why=saying.why, now=saying.now)
        except Refused:
            if not store.state.rollout(rollout.id).phase.terminal:
                raise
            continue  # it ended meanwhile: what is left is done below
        told |= {"rollout": moved.id, "phase": moved.phase, "reason": moved.reason}
    flag = store.state.flags().get(route)
    if flag is None:
        raise Unfit(404, f"no such route in force: `{route}`")
    ended = end_drill(store, route, by=saying.by, why=saying.why or "rolled back", now=saying.now)  # one whose page waits, too
    told["drill"] = None if ended is None else ended.id
    return told | {"stable": str(flag.stable), "gateways": _heard(store, route, saying.wait_s)}


def _heard(store: Store, route: str, wait_s: float) -> list[dict[str, Any]]:
    return [one.as_json() for one in acknowledged(store, route, wait_s=wait_s)]

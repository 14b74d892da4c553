"""Unit + flag -> arm, by keyed hashes: the same answer in every process that knows the same flag.

An arm is a threshold on a number that the salt and the unit fix for good. Raising the split only moves the threshold up, so a
unit that is on the candidate stays there while a split widens; a new rollout has a new salt, and shuffles anew.

    0 ........... split ........................ 1 - control ........ 1
    |  candidate   |            stable                 |   control   |

What a hash can't know is whether a run of an agent is under way: `InFlight` remembers that, so that a split that widens changes no
version in the middle of one.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from dataclasses import replace
from typing import Literal

from detent.terms import Arm, Assignment, Flag, Head, Unit, UnitKind

Purpose = Literal["arm", "shadow", "bodies"]

_BITS = 53  # a float holds 53 bits exactly: every draw is below 1, and no two hashes meet by rounding

IDLE_S = 30 * 60.0
"""A run without a request for so long is no longer in flight."""

MOST_IN_FLIGHT = 100_000
"""How many runs a gateway remembers: 22 MB of them."""


def hash_identity(key: str, value: str) -> str:
    """HMAC-SHA256 of an identity under the installation's key, as 32 hex digits: what is stored in place of the identity."""
    return hmac.digest(key.encode(), value.encode("utf-8", "surrogatepass"), "sha256")[:16].hex()


_MARK = 8


def signed_id(key: str, raw: str) -> str:
    """An id for an answer, with 8 hex digits behind it that only this installation can give it. Without a key it stays as it is."""
    return raw + hash_identity(key, f"answer:{raw}")[:_MARK] if key else raw


def is_signed(key: str, id: str) -> bool:
    """Whether an id was signed with this key; always, where there is no key. Compared in constant time."""
    expected = signed_id(key, id[:-_MARK])
    return not key or hmac.compare_digest(id.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))


def unit_of(head: Head, preference: tuple[str, ...], key: str, body: bytes) -> Unit:
    """The unit that a split sticks to: what the route prefers (`session`, `user`), else the conversation's opening, else the request.

    Never a constant: a request that says nothing about itself is told apart by its bytes, which an SDK's retry repeats, so that a
    retry stays on its arm. Without a key (no store was ever reached) nothing that identifies anyone is hashed: a digest without a
    secret can be guessed.
    """
    if key:
        for kind in preference:
            identity = head.session if kind == "session" else head.user
            if identity:
                return Unit(UnitKind(kind), hash_identity(key, identity))
        if head.opening:
            return Unit(UnitKind.OPENING, hash_identity(key, f"opening:{head.opening}"))
    return Unit(UnitKind.REQUEST, hmac.digest(key.encode() or b"detent", body, "sha256")[:16].hex())


def draw(salt: str, purpose: Purpose, subject: str) -> float:
    """A number in [0, 1) that salt, purpose and subject fix for good; uniform over subjects, independent between purposes and salts."""
    digest = hmac.digest(salt.encode(), f"{purpose}:{subject}".encode(), "sha256")
    return (int.from_bytes(digest[:8], "big") >> (64 - _BITS)) / (1 << _BITS)


def assign(unit: Unit, flag: Flag) -> Assignment:
    """The arm of a unit under a flag. Randomised only while a rollout splits for real: a share of 0 or 1 is no experiment.

    The control slice is drawn from the far end, so that it widens with a split and no unit of it was ever on the candidate.
    """
    if flag.candidate is None:
        return Assignment(arm=Arm.STABLE, unit=unit, randomised=False)
    drawn = draw(flag.salt, "arm", unit.id)
    candidate = drawn < flag.split
    randomised = flag.rollout is not None and 0.0 < flag.split < 1.0
    return Assignment(
        arm=Arm.CANDIDATE if candidate else Arm.STABLE,
        unit=unit,
        randomised=randomised,
        control=randomised and not candidate and drawn >= 1.0 - flag.control,
    )


class InFlight:
    """Runs on stable that are under way, for as long as the gateway lives; one on the candidate needs no memory to stay.

    A run is a conversation of a session (or alone, where there is none): its first request goes where it is drawn, and what continues it,
    or is an SDK's retry, stays there until it has been idle for 30 minutes or its rollout has ended. That holds for `randomised` too: a
    run that was under way before a split began never counts, whichever arm its draw is on. Were only those left out that are held on
    stable against their draw, stable would have more units than its share.
    """

    def __init__(self, most: int = MOST_IN_FLIGHT, idle_s: float = IDLE_S) -> None:
        self._most = most
        self._idle_s = idle_s
        # By a hash of rollout, unit and run: two in 2^64 that meet share a stay on stable, no more. Oldest first.
        self._kept: OrderedDict[int, tuple[float, bool, bool]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, drawn: Assignment, flag: Flag, head: Head, at_s: float) -> Assignment:
        """The assignment that a request is served by: what its run was given, or what was drawn. `at_s` never goes backwards."""
        if flag.rollout is None or not (head.session or head.opening):
            return drawn
        key = hash((flag.rollout, drawn.unit.id, head.session, head.opening))
        kept = self._kept.get(key) if head.continues or head.attempt else None
        if kept is not None and at_s - kept[0] < self._idle_s:
            randomised, control = kept[1] and drawn.randomised, kept[2] and drawn.randomised
            as_drawn = drawn.arm is Arm.STABLE and (drawn.randomised, drawn.control) == (randomised, control)
            given = drawn if as_drawn else replace(drawn, arm=Arm.STABLE, randomised=randomised, control=control)
            self._kept[key] = (at_s, kept[1], kept[2])
        elif drawn.arm is Arm.CANDIDATE:
            self._kept.pop(key, None)
            return drawn
        else:
            given = drawn
            self._kept[key] = (at_s, drawn.randomised, drawn.control)
        self._kept.move_to_end(key)
        self._forget(at_s)
        return given

    def _forget(self, at_s: float) -> None:
        """A few of those that are idle, and the oldest beyond the bound: no request pays for a burst that has passed."""
        for _ in range(2):
            oldest = next(iter(self._kept.values()))
            if len(self._kept) <= self._most and at_s - oldest[0] < self._idle_s:
                return
            self._kept.popitem(last=False)

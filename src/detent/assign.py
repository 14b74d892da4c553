"""Unit + flag -> arm, by keyed hashes: the same answer in every process that knows the same flag.

An arm is a threshold on a number that the salt and the unit fix for good. Raising the split only moves the threshold up, so a
unit that is on the candidate stays there while a split widens; a new rollout has a new salt, and shuffles anew.

    0 ........... split ........................ 1 - control ........ 1
    |  candidate   |            stable                 |   control   |

What a hash can't know is whether a run of an agent is under way: `InFlight` remembers that, so that a split that widens changes no
version in the middle of one. Nor does it know what is rare: `Mirrored` remembers of which prompt templates the shadow has seen little.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from dataclasses import replace
from typing import Literal

from detent.terms import Arm, Assignment, Flag, Head, Unit, UnitKind

Purpose = Literal["arm", "shadow", "second", "judge", "bodies"]
Taken = Literal["drawn", "rare"]

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


# ── the shadow ──────────────────────────────────────────────────────────────────────────────────────────────────────

RARE_CONVERSATIONS = 20
"""A prompt template of which fewer conversations than these were mirrored is rare."""

MOST_FOLLOWED = 10_000
"""How many conversations, and how many templates, a gateway remembers for the shadow."""

RARE_AT_FIRST = 200
"""So many requests are taken for being rare before any was drawn, those that follow a first one among them. A template may hold a date or
a name, so that every one is rare, and a conversation may have no end: beyond these requests are taken for that only while they are fewer
than those that were drawn. So the share is at most doubled."""


class Mirrored:
    """Which units a gateway mirrors: those that are drawn, and conversations of rare templates from their first request on.

    It lives as long as the gateway. A conversation that was taken for being rare is followed, so that it is mirrored as a whole; one that
    had to be left once is not taken up again, since what comes after a gap is not comparable. A unit is no conversation: it may be a whole
    app under one name.
    """

    def __init__(self, most: int = MOST_FOLLOWED) -> None:
        self._most = most
        self._followed: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._of_template: OrderedDict[tuple[str, str], set[int]] = OrderedDict()
        self._taken: dict[tuple[str, bool], int] = {}

    def takes(self, unit: Unit, flag: Flag, head: Head) -> Taken | None:
        """Why a request is mirrored; None where it is not. `took` is told of those that were."""
        if flag.rollout is None or flag.mirror is None or flag.mirror.share <= 0.0:
            return None
        if draw(flag.salt, "shadow", unit.id) < flag.mirror.share:
            return "drawn"
        conversation = hash((unit.id, head.opening))
        full = self._taken.get((flag.rollout, False), 0) >= RARE_AT_FIRST + self._taken.get((flag.rollout, True), 0)
        if head.continues:
            if full:
                self._followed.pop((flag.rollout, conversation), None)
            return "rare" if (flag.rollout, conversation) in self._followed else None
        known = self._of_template.get((flag.rollout, head.template), set())
        return None if full or conversation in known or len(known) >= RARE_CONVERSATIONS else "rare"

    def took(self, unit: Unit, flag: Flag, head: Head, why: Taken) -> None:
        """Counts a request that is on its way to the candidate."""
        if flag.rollout is None:
            return
        taken = (flag.rollout, why == "drawn")
        self._taken[taken] = self._taken.get(taken, 0) + 1
        conversation = hash((unit.id, head.opening))
        known = self._of_template.setdefault((flag.rollout, head.template), set())
        self._of_template.move_to_end((flag.rollout, head.template))
        if len(known) < RARE_CONVERSATIONS:
            known.add(conversation)
        if why == "rare":
            self._followed[flag.rollout, conversation] = None
            self._followed.move_to_end((flag.rollout, conversation))
        for memory in (self._followed, self._of_template):
            if len(memory) > self._most:
                memory.popitem(last=False)

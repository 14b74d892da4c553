"""Unit + flag -> arm, by keyed hashes: the same answer in every process that knows the same flag.

An arm is a threshold on a number that the salt and the unit fix for good. Raising the split only moves the threshold up, so a
unit that is on the candidate stays there while a split widens; a new rollout has a new salt, and shuffles anew.

    0 ........... split ........................ 1 - control ........ 1
    |  candidate   |            stable                 |   control   |

What a hash can't know is whether a run of an agent is under way: `runs` remembers that, so that a split that widens changes no version in
the middle of one. Nor does it know what is rare: `rare` remembers of which prompt templates the shadow has seen little.
"""

from __future__ import annotations

import hmac
from typing import Literal

from detent.terms import Arm, Assignment, Flag, Head, Unit, UnitKind

Purpose = Literal["arm", "shadow", "second", "judge", "bodies", "drill", "warm"]

_BITS = 53  # a float holds 53 bits exactly: every draw is below 1, and no two hashes meet by rounding


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

    The control slice is drawn from the far end, so that it widens with a split and no unit of it was ever on the candidate. A flag that has
    `lapsed` is of a gateway that may not know of a rollback: everyone is on stable there, and no experiment.
    """
    if flag.lapsed:
        return Assignment(arm=Arm.STABLE, unit=unit, randomised=False, why="lapsed")
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

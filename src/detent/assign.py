"""Unit + flag -> arm, by keyed hashes: no state, no memory, the same answer in every process that knows the same flag.

An arm is a threshold on a number that the salt and the unit fix for good. Raising the split only moves the threshold up, so a
unit that is on the candidate stays there while a split widens; a new rollout has a new salt, and shuffles anew.
"""

from __future__ import annotations

import hmac
from typing import Literal

from detent.terms import Arm, Assignment, Flag, Head, Unit, UnitKind

Purpose = Literal["arm", "shadow", "bodies"]

_BITS = 53  # a float holds 53 bits exactly: every draw is below 1, and no two hashes meet by rounding


def hash_identity(key: str, value: str) -> str:
    """HMAC-SHA256 of an identity under the installation's key, as 32 hex digits: what is stored in place of the identity."""
    return hmac.digest(key.encode(), value.encode("utf-8", "surrogatepass"), "sha256")[:16].hex()


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
    """The arm of a unit under a flag. Randomised only while a rollout splits for real: a share of 0 or 1 is no experiment."""
    candidate = flag.candidate is not None and draw(flag.salt, "arm", unit.id) < flag.split
    return Assignment(
        arm=Arm.CANDIDATE if candidate else Arm.STABLE,
        unit=unit,
        randomised=flag.rollout is not None and flag.candidate is not None and 0.0 < flag.split < 1.0,
    )

"""What a gateway hands to the process that mirrors: one drawn exchange with the calls to make for it. Travels as MessagePack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from detent import trickle
from detent.reading import Heard
from detent.terms import WARM, Intent, Mirror
from detent.upstream import Outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorCall:
    """A mirrored leg to send: what to write down before, and the request as it goes out."""

    intent: Intent
    outgoing: Outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A live exchange that stable has answered in full, and its mirrored legs: the candidate's, and maybe a second one of stable's.

    `request` is the client's body and `heard` the live answer as it came. `drawn` is False where a rare stratum brought it in. With `keeps`
    bodies are stored, redacted by the policy `redact`; without, the answers are compared in memory, and only their scores and the kind of
    request are written (see Scoring).

    Outside a rollout the one call is to the way back, in the candidate's place, and `keeps` is False: nothing is compared, no text kept.
    """

    mirror: Mirror
    route: str
    live: Intent
    request: bytes
    heard: Heard
    candidate: MirrorCall
    second: MirrorCall | None = None
    drawn: bool = True
    keeps: bool = True
    redact: Literal["all", "secrets", "none"] = "all"

    @property
    def warms(self) -> bool:
        """Whether it keeps a way back warm, and is no part of a shadow."""
        return self.candidate.intent.why == WARM

    @property
    def payer(self) -> str:
        """Whose budget its calls are taken from."""
        return trickle.payer(self.live)

    @property
    def counter(self) -> str:
        """Under which name it is counted if it is not sent."""
        return trickle.counter(self.live)

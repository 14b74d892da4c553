"""What gateways obey: arms, phases, one flag a route."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from detent.terms.pinfile import Manifest, Price, Version
from detent.terms.plans import LEASE_S


class Arm(StrEnum):
    """The two arms of a rollout."""

    STABLE = "stable"
    CANDIDATE = "candidate"


class Phase(StrEnum):
    """Where a rollout is. `held` is a property with a reason, not a phase."""

    PROPOSED = "proposed"
    BASELINE = "baseline"
    SHADOW = "shadow"
    CANARY = "canary"
    SOAK = "soak"
    DONE = "done"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"
    NOT_PROVED = "not_proved"
    ABORTED = "aborted"
    VOID = "void"

    @property
    def terminal(self) -> bool:
        """Whether a rollout ends here."""
        return self not in OPEN_PHASES


OPEN_PHASES = (Phase.PROPOSED, Phase.BASELINE, Phase.SHADOW, Phase.CANARY, Phase.SOAK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """What a gateway mirrors, in a flag: the share of units, and of those the share that stable is asked a second time.

    The limits are of a UTC day and of all gateways together, but for `per_second`, which is each gateway's own; None is no limit. The
    prices are as frozen with the rollout; with a limit in USD both are known.
    """

    share: float
    second: float = 0.0
    usd_per_day: float | None = None
    tokens_per_day: int | None = None
    per_second: float | None = None
    stable_price: Price | None = None
    candidate_price: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillShare:
    """What a drill moves to the way back: `share` of the units, by a salt of its own, at most for `lasts_s` seconds from when its flag was
    written, by each gateway's own clock (`leasing.heard_of`). So it ends by itself where nobody is left to end it.
    """

    drill: str
    version: Version
    share: float
    salt: str
    lasts_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Draining:
    """Runs that were under way on the candidate as it was rolled back and finish there: for `lasts_s` seconds at most, timed as a drill is.
    Nothing new begins on it.
    """

    rollout: str
    candidate: Version
    split: float
    salt: str
    lasts_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """The candidate that some units were on until just now, and the draw by which they were: for `lasts_s` seconds, timed as a drill is, a
    gateway takes the history of a run that it did not see for that candidate's, where the draw says so. Nothing is sent there.
    """

    rollout: str
    candidate: Version
    split: float
    salt: str
    lasts_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """What every gateway obeys for one route. `revision` is the store-wide counter at which this flag last changed.

    `split` is the share of units assigned to the candidate; `period` counts the share periods of the rollout (it grows with each change of
    the split); `salt` is the rollout's secret; `control` is the share of units on stable that are compared with the candidate under a cache
    of their own; `mirror` is what the shadow copies. Without a rollout all of them are empty and every unit is on stable.

    A split is leased: a gateway that has not reached the store for `lease_s` seconds serves stable until it has, and its flag is then
    `lapsed` (which no store ever holds). `drill` moves units without a rollout; `draining` lets runs finish after one, and `rolled_back`
    says whose the runs are that do not.
    """

    route: str
    revision: int
    stable: Version
    candidate: Version | None = None
    rollout: str | None = None
    split: float = 0.0
    control: float = 0.0
    period: int = 0
    salt: str = ""
    mirror: Mirror | None = None
    written_at: datetime | None = None
    lease_s: float = LEASE_S
    lapsed: bool = False
    drill: DrillShare | None = None
    draining: Draining | None = None
    rolled_back: RolledBack | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trickle:
    """What gateways copy of a route's traffic outside a rollout, to keep its way back warm: the requests of a `share` of its units, for
    `usd_per_day` at most on a UTC day, of all gateways together; `price` is the version's.
    """

    version: Version
    share: float
    usd_per_day: float
    price: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagSet:
    """All flags at one revision, with what a gateway needs to obey them: the manifest, the installation's identity key (secret), and by
    route what is copied to its way back while no rollout is open.

    Flags of revision `doubted` and before are from a store that was put back to an older state: a split in them is not obeyed.
    """

    revision: int
    manifest: Manifest
    flags: dict[str, Flag] = field(default_factory=dict)
    identity_key: str = ""
    doubted: int = 0
    trickles: dict[str, Trickle] = field(default_factory=dict)

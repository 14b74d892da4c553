"""Shadow: what is not mirrored, what a pair of answers came to, how much of the traffic was compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from detent.terms.baseline import Judged

# ── what is not mirrored ─────────────────────────────────────────────────────────────────────────────────────────────

NotMirrored = Literal[
    "effects",
    "bound",
    "no_shadow",
    "too_large",
    "processor",
    "no_key",
    "pressure",
    "budget",
    "rate",
    "paused",
    "lost",
]
"""Why a request that was drawn was not sent: the shadow's to the candidate, or a trickle's to the way back.

    effects      it does more than ask: a server-side tool, a stored conversation, a file, a container
    bound        its history is bound to the version that wrote it, in the middle of a turn: nothing could be left out for another one
    no_shadow    the client forbade it (x-detent-no-shadow, x-detent-no-record)
    too_large    its body is larger than is kept
    processor    the route's `processors` do not name the provider it would go to
    no_key       the variable that the provider's `shadow_key_env` names is not set: the live key is never taken in its place
    pressure     too much was waiting already
    budget       it might have cost more than is left of the day's budget
    rate         more requests a second than the plan allows
    paused       the provider asked to slow down a moment ago (429, 529, or 503 again and again), the shadow or live traffic
    lost         the process that sends them ended before it was sent
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmirrored:
    """A spool entry: so many requests were drawn for a rollout's shadow and not sent. `why` says more of the reason, like which tool.

    Of a trickle, which has no rollout, `rollout` is the route and the day (`trickle.counted_under`).
    """

    rollout: str
    at_us: int
    reason: NotMirrored
    why: str = ""
    n: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A spool entry: the bodies of a live leg that were kept for its pair, redacted; written once its mirrored legs have ended."""

    leg: str
    at_us: int
    request_body: bytes
    answer_body: bytes


# ── a pair ──────────────────────────────────────────────────────────────────────────────────────────────────────────

DIMENSIONS = ("tools", "schema", "language", "length", "season", "template")
"""What an input class is told by, beside its cluster of near-duplicates."""

SHAPE = ("tools", "schema", "language", "length")
"""The dimensions whose values together are a pair's input class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A mirrored exchange, scored: stable's live answer, the candidate's, and maybe a second one of stable's, to the same request.

    A *field* is what answers are compared by, written `check:NAME`, `change:NAME`, `refused`, `failed` or `judge`. An absolute field is
    scored on each answer alone: of those in `scored`, which every answer that there is was scored by, `stable_failed`, `candidate_failed`
    and `second_failed` say where an answer failed. `second_failed` is None where there are no two answers to copies, of the candidate and
    of stable's second call. A relative field holds an answer against the live one: `candidate_differs` and `second_differs`, which is None
    where nothing is known of a second call. `compared` names the relative checks that could be scored on both, and, where it is known how
    both calls ended, `refused` (the provider refuses the request itself) and `failed` (no answer came of it); a named change always can.

    `note` says why a pair could not be scored; all else is then empty. `conversation` is a hash that turns of one conversation share, and
    `turn` how many answers stand in the request's history. `drawn` is False where a rare stratum brought it in and not its unit's draw.
    `dimensions` are the values of `DIMENSIONS`; `signature` is the MinHash of its prompt, empty where it was not worked out. `chars` is how
    long request and both answers are together.
    """

    rollout: str
    exchange: str
    at_us: int = 0
    note: str = ""
    scored: tuple[str, ...] = ()
    stable_failed: tuple[str, ...] = ()
    candidate_failed: tuple[str, ...] = ()
    second_failed: tuple[str, ...] | None = None
    compared: tuple[str, ...] = ()
    candidate_differs: tuple[str, ...] = ()
    second_differs: tuple[str, ...] | None = None
    diverges: bool = False
    conversation: str = ""
    turn: int = 0
    drawn: bool = True
    dimensions: dict[str, str] = field(default_factory=dict)
    signature: bytes = b""
    chars: int = 0

    @property
    def input_class(self) -> str:
        """The values of `SHAPE` as one label."""
        return " · ".join(self.dimensions.get(name, "unknown") for name in SHAPE) if self.dimensions else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairJudgement:
    """What the judge said of a pair's answers against the live one: the candidate's, and the second one of stable's.

    `planted` is what came of an injection planted into a copy of the live answer, where one was: whether it moved the verdict. `unread`:
    there was nothing that the judge could be shown, and it was not asked.
    """

    rollout: str
    exchange: str
    at_us: int
    candidate: Judged
    second: Judged | None = None
    planted: Literal["moved", "resisted"] | None = None
    dimensions: dict[str, Judged] = field(default_factory=dict)
    usd: float | None = None
    unread: bool = False


# ── evidence ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTally:
    """Pairs of one input class ("" for all together) in which exactly one side has a field: the candidate, or stable's second answer."""

    input_class: str
    candidate_only: int
    stable_only: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldEvidence:
    """One field over the pairs on which it was scored on both sides. `harms`: more of it on the candidate ends the rollout.

    `tallies` begin with the one over all input classes; the others are the first classes that were met, in that order.
    """

    field: str
    harms: bool
    pairs: int
    candidate: int
    stable: int
    tallies: tuple[ClassTally, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of a dimension was met among the pairs that were drawn, each class counted once in each conversation: `pairs` in all.

    Of these `once` are of a class that no other conversation was compared in; `twice` are the classes that two were. Of `classes` in all.
    The dimension `class` is `SHAPE` taken together, `cluster` near-duplicates of prompts.
    """

    dimension: str
    pairs: int
    classes: int
    once: int
    twice: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A class of disagreement: one field x one input class, how often, and the clearest examples.

    `pairs` is of comparable pairs in which the candidate has it and the live answer has not, `second` in how many second answers of stable
    the same was seen, among `seconds`: of these `candidate` and `stable` have it at all, the live answer or not, and are rates within this
    kind of request. `share` is the part of the mirrored traffic that it is. `named`: beyond the noise floor, by the class's own bet.
    """

    field: str
    input_class: str
    pairs: int
    second: int
    seconds: int
    share: float
    first_us: int
    log_e: float
    named: bool
    examples: tuple[str, ...] = ()
    candidate: int = 0
    stable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfPairs:
    """One UTC day of the shadow: the pairs, and how many input classes and clusters were met for the first time."""

    day_us: int
    pairs: int
    new_classes: int
    new_clusters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a shadow has cost on one UTC day: `mirrors` or the `judge`. `held` is reserved by gateways and not yet spent, or never told."""

    day_us: int
    purse: Literal["mirrors", "judge"]
    usd: float
    tokens: int
    held_usd: float = 0.0
    held_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowEvidence:
    """Pairs scored so far; `*_only` are those in which exactly that arm failed an absolute check, stable with its second answer.

    `not_comparable` came after the first turn at which the two versions went apart, or after one that was not compared: the latter are
    `not_followed`. `seconds` are the pairs with a second answer of stable's. `planted` injections were shown to the judge, of which `moved`
    moved its verdict. `late` are harming fields that began to differ only after a while, in that order: they bet a stake that was kept for
    them. None: a shadow that an older Detent began, which stakes by that one's rule to its end.
    """

    pairs: int = 0
    unscored: int = 0
    not_comparable: int = 0
    not_followed: int = 0
    candidate_only: int = 0
    stable_only: int = 0
    changes: dict[str, int] = field(default_factory=dict)
    seconds: int = 0
    fields: tuple[FieldEvidence, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    judged: int = 0
    planted: int = 0
    moved: int = 0
    late: tuple[str, ...] | None = None

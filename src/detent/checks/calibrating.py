"""How far a judge agrees with people: labelled pairs read, planted injections dealt out, verdicts counted. Pure; `detent.judge` asks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from detent.checks.injections import INJECTIONS, Injection
from detent.checks.judge import settle
from detent.errors import InvalidInput
from detent.stats.agreement import Agreement, kappa
from detent.terms import Calibration, Judged, Message, Prompt, Version

Label = Literal["a", "b", "same"]
LABELS: tuple[Label, ...] = ("a", "b", "same")
KEYS = frozenset({"id", "system", "prompt", "messages", "a", "b", "label", "by", "note"})

INJECTED_PAIRS = 4
"""Pairs that each injection is planted into: 18 of them make 72 trials, of which one in twenty, 3, may move a verdict."""

_LABEL_OF: dict[Judged, Label] = {"worse": "a", "better": "b", "same": "same"}
_LONGEST_LINE = 4_000_000


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """Two answers to a request, and which of them a person found better. `line` is where it stands in the file."""

    prompt: Prompt
    a: str
    b: str
    label: Label
    line: int


@dataclass(frozen=True, slots=True)
class BadLabel:
    """A row that cannot be used, and why."""

    line: int
    why: str


def read_labels(lines: Iterable[str]) -> tuple[list[LabelledPair], list[BadLabel]]:
    """The labelled pairs of a JSONL file, and the rows that are none; empty lines are passed over.

    A row is an object with `prompt` (a text) or `messages` (role and content), `a`, `b` and `label`; it may have the other `KEYS`.
    """
    pairs: list[LabelledPair] = []
    bad: list[BadLabel] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            pairs.append(_pair(line, number))
        except InvalidInput as error:
            bad.append(BadLabel(number, error.message))
    return pairs, bad


def _pair(line: str, number: int) -> LabelledPair:
    if len(line) > _LONGEST_LINE:
        raise InvalidInput(f"longer than {_LONGEST_LINE:,} characters")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("not JSON" if isinstance(error, ValueError) else "JSON nested too deeply") from error
    if not isinstance(row, dict):
        raise InvalidInput("no JSON object")
    if unknown := sorted(row.keys() - KEYS):
        raise InvalidInput(f"unknown key: `{unknown[0][:40]}`")
    for key in ("a", "b"):
        if not isinstance(row.get(key), str):
            raise InvalidInput(f"`{key}` is no text")
    if row.get("label") not in LABELS:
        raise InvalidInput(f"`label` must be a, b or same: `{str(row.get('label'))[:40]}`")
    return LabelledPair(_prompt(row), row["a"], row["b"], row["label"], number)


def _prompt(row: Mapping[str, Any]) -> Prompt:
    if ("prompt" in row) == ("messages" in row):
        raise InvalidInput("needs either `prompt` or `messages`")
    system = row.get("system", "")
    if not isinstance(system, str):
        raise InvalidInput("`system` is no text")
    if "prompt" in row:
        if not isinstance(row["prompt"], str):
            raise InvalidInput("`prompt` is no text")
        return Prompt(system=system, messages=(Message(role="user", text=row["prompt"]),))
    messages = row["messages"]
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        raise InvalidInput("`messages` is no list of messages")
    if not all(isinstance(m.get("role"), str) and isinstance(m.get("content"), str) for m in messages):
        raise InvalidInput("a message needs `role` and `content` as texts")
    said = tuple(Message(role=m["role"], text=m["content"]) for m in messages if m["role"] != "system")
    systems = [m["content"] for m in messages if m["role"] == "system"]
    return Prompt(system="\n".join(filter(None, [system, *systems])), messages=said)


# ── planting ────────────────────────────────────────────────────────────────────────────────────────────────────────

_RANK: dict[Judged, int] = {"worse": 0, "same": 1, "better": 2}


@dataclass(frozen=True, slots=True)
class Trial:
    """An injection planted into one side of a pair: the one that the judge did not prefer without it."""

    pair: int
    side: Literal["a", "b"]
    injection: Injection
    a: str
    b: str

    def moved(self, before: Judged, after: Judged) -> bool:
        """Whether the injected side fared better for it. An abstention is no gain."""
        if after == "abstained":
            return False
        gain = _RANK[after] - _RANK[before]
        return (gain if self.side == "b" else -gain) > 0


def trials(pairs: Sequence[LabelledPair], said: Sequence[Judged]) -> list[Trial]:
    """Every injection into `INJECTED_PAIRS` pairs, in turn, of those that have a verdict. `said` is of b against a, pair by pair."""
    usable = [n for n, one in enumerate(said) if one != "abstained"]
    dealt: list[Trial] = []
    each = min(INJECTED_PAIRS, len(usable))
    for row, injection in enumerate(INJECTIONS):
        for turn in range(each):
            n = usable[(row * each + turn) % len(usable)]
            pair = pairs[n]
            if said[n] == "better":
                dealt.append(Trial(n, "a", injection, injection.plant(pair.a), pair.b))
            else:
                dealt.append(Trial(n, "b", injection, pair.a, injection.plant(pair.b)))
    return dealt


# ── counting ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Found:
    """What a calibration found. `table` counts pairs by person's label (row) and judge's (column), in the order of `LABELS`.

    `turned` counts the pairs on which the two orders gave different verdicts, `first_preferred` those of them in which the answer shown
    first won more often than the one shown second. `moved` counts the trials that an injection won, by its name; `planted` all trials.
    """

    pairs: int
    table: tuple[tuple[int, ...], ...]
    abstained: int
    turned: int
    first_preferred: int
    planted: int
    moved: dict[str, int]
    agreement: Agreement | None

    @property
    def judged(self) -> int:
        """Pairs with a verdict."""
        return self.pairs - self.abstained


def count(pairs: Sequence[LabelledPair], orders: Sequence[tuple[Judged, Judged]], outcomes: Sequence[tuple[Trial, Judged]]) -> Found:
    """Count verdicts: `orders` holds what was said of b shown second, and of a shown second; `outcomes` what was said with injections."""
    said = [settle(*both) for both in orders]
    cells = Counter((pair.label, _LABEL_OF[one]) for pair, one in zip(pairs, said, strict=True) if one != "abstained")
    table = tuple(tuple(cells[row, column] for column in LABELS) for row in LABELS)
    leanings = [_leaning(*both) for both, one in zip(orders, said, strict=True) if one != "abstained"]
    moved = Counter(trial.injection.name for trial, after in outcomes if trial.moved(said[trial.pair], after))
    return Found(
        pairs=len(pairs),
        table=table,
        abstained=said.count("abstained"),
        turned=sum(lean != 0 for lean in leanings),
        first_preferred=sum(lean > 0 for lean in leanings),
        planted=len(outcomes),
        moved=dict(moved),
        agreement=kappa(table),
    )


def _leaning(b_second: Judged, a_second: Judged) -> int:
    """How much more the first place won than the second, over both orders; 0 where both orders say the same of the answers."""
    return -(_RANK[b_second] - 1) - (_RANK[a_second] - 1)


def calibration(found: Found, judge: Version, digest: str, by: str, at: datetime) -> Calibration:
    """What is kept of it. Where kappa cannot be said, because nothing was judged or everybody used one label only, its interval is all that
    there is, from -1 to 1: such a judge informs only, whatever an earlier calibration found.
    """
    agreed = found.agreement
    return Calibration(
        judge=judge,
        digest=digest,
        pairs=found.judged,
        kappa=agreed.kappa if agreed is not None else 0.0,
        low=agreed.low if agreed is not None else -1.0,
        high=agreed.high if agreed is not None else 1.0,
        abstained=found.abstained / found.pairs,
        injected=sum(found.moved.values()) / found.planted if found.planted else 1.0,
        by=by,
        at=at,
    )

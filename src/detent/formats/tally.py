"""What a reading came to: counts of what is usable, what is not and why, and what the usable exchanges are like."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from detent import wire
from detent.formats.reasons import BROKEN, REASONS
from detent.terms import CUT_OFF, RecordedExchange, RefusedRow

EXAMPLES = 3
"""Refused rows that are named for each reason."""
MOST_MODELS = 200
"""Names of models that are kept apart; a file may hold a new one in every row."""
OTHERS = "(others)"
CUT = CUT_OFF | {"content_filter"}
"""Finish reasons of answers that are not whole, though the provider sent all there was: their prompts are of use, and no more."""


@dataclass(slots=True)
class Tally:
    """Counts over one reading. `redacted` is by kind; `redacted_in` are the exchanges in which anything was."""

    rows: int = 0
    usable: int = 0
    other_models: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[RefusedRow]] = field(default_factory=dict)
    models: Counter[str] = field(default_factory=Counter)
    since: datetime | None = None
    until: datetime | None = None
    undated: int = 0
    with_tools: int = 0
    multi_turn: int = 0
    json_asked: int = 0
    unanswered: int = 0
    cut: int = 0
    labelled: int = 0
    redacted_in: int = 0
    redacted: Counter[str] = field(default_factory=Counter)

    @property
    def broken(self) -> int:
        """Rows that a freeze would stop at."""
        return sum(n for reason, n in self.refused.items() if reason in BROKEN)

    def refuse(self, row: RefusedRow) -> None:
        """Count a row that is no use."""
        self.rows += 1
        self.refused[row.reason] += 1
        named = self.examples.setdefault(row.reason, [])
        if len(named) < EXAMPLES:
            named.append(row)

    def use(self, exchange: RecordedExchange, *, wanted: bool = True) -> None:
        """Count a usable exchange; one of a model that is not wanted is only counted as that."""
        self.rows += 1
        known = exchange.model in self.models or len(self.models) < MOST_MODELS
        self.models[exchange.model if known else OTHERS] += 1
        if not wanted:
            self.other_models += 1
            return
        self.usable += 1
        prompt = wire.read_prompt(exchange.endpoint, exchange.request)
        self.with_tools += bool(prompt.tools or exchange.answer.tool_calls)
        self.multi_turn += prompt.step > 1
        self.json_asked += prompt.json_asked
        self.unanswered += not exchange.answered
        self.cut += exchange.answer.finish_reason in CUT
        self.labelled += exchange.correct is not None or exchange.reference is not None
        self.redacted_in += bool(exchange.redacted)
        self.redacted.update(exchange.redacted)
        if exchange.at is None:
            self.undated += 1
            return
        self.since = exchange.at if self.since is None else min(self.since, exchange.at)
        self.until = exchange.at if self.until is None else max(self.until, exchange.at)

    def to_json(self) -> dict[str, Any]:
        """The counts as `detent import --check --json` prints them."""
        return {
            "rows": self.rows,
            "usable": self.usable,
            "other_models": self.other_models,
            "broken": self.broken,
            "refused": {
                reason.name: {
                    "rows": self.refused[reason.name],
                    "broken": reason.broken,
                    "first": [{"where": row.where, "detail": row.detail} for row in self.examples[reason.name]],
                }
                for reason in REASONS
                if self.refused[reason.name]
            },
            "models": dict(self.models.most_common()),
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "undated": self.undated,
            "with_tools": self.with_tools,
            "multi_turn": self.multi_turn,
            "json_asked": self.json_asked,
            "unanswered": self.unanswered,
            "cut": self.cut,
            "labelled": self.labelled,
            "redacted": {"exchanges": self.redacted_in, "kinds": dict(self.redacted.most_common())},
        }

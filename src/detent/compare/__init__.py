"""Two versions compared prompt by prompt from recorded answers: records -> comparison -> verdict, JSON and text. Pure.

One run of each version is a signal and not a confirmed regression: nothing here repeats a call. That is the baseline's work.
"""

from __future__ import annotations

from detent.compare.records import Row, answered, in_common, read_rows
from detent.compare.tables import ALPHA, FEWEST, Comparison, PromptFlip, Table, compare, verdict
from detent.compare.telling import notes, rest, summary
from detent.compare.written import schema, to_json

__all__ = [
    "ALPHA",
    "FEWEST",
    "Comparison",
    "PromptFlip",
    "Row",
    "Table",
    "answered",
    "compare",
    "in_common",
    "notes",
    "read_rows",
    "rest",
    "schema",
    "summary",
    "to_json",
    "verdict",
]

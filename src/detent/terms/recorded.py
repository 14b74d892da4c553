"""What a baseline is drawn from: exchanges as the journal or another tool's file recorded them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from detent.terms.requests import Answer, Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedExchange:
    """A request that can be sent again as it stands, and the whole answer that came, wherever the two were recorded.

    `request` is a JSON object in the endpoint's dialect, not streamed. `model` is the one that was asked, `""` where the source does not
    say. `id` is the exchange's own (`ex_...`), or the file and line it was read from. `correct` labels the recorded answer, `reference` is
    the right one, `rating` what users said of it in [0, 1]: None where nobody said. `redacted` counts what was taken out, by kind.
    """

    id: str
    endpoint: Endpoint
    request: bytes
    answer: Answer
    model: str = ""
    at: datetime | None = None
    api_version: str | None = None
    betas: tuple[str, ...] = ()
    task: str = ""
    session: str | None = None
    template: str = ""
    correct: bool | None = None
    reference: str | None = None
    rating: float | None = None
    redacted: dict[str, int] = field(default_factory=dict)

    @property
    def answered(self) -> bool:
        """Whether an answer was recorded. A test file has none: such an exchange is one by its `reference`, and its answer is empty."""
        return bool(self.answer.text or self.answer.tool_calls)


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row of a file that is no usable exchange: where it stands (`file:line`), the reason as a few fixed words, and what was seen."""

    where: str
    reason: str
    detail: str = ""

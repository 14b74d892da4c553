"""One call of a baseline run, and what came back for it: the seam between deciding what to ask and asking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from detent.terms import Endpoint, Version


@dataclass(frozen=True, slots=True)
class Call:
    """One request body for a version, not streamed. `api_version` and `betas` are Anthropic's headers as recorded; None: not known."""

    version: Version
    endpoint: Endpoint
    body: bytes
    api_version: str | None = None
    betas: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one call: HTTP status and whole body, and how long that took.

    `headers` are the answer's, names in lower case. `retry_after_s` is how long the provider asks to be left alone, and `retry` what it
    says about trying again: None where it said nothing.
    """

    status: int
    body: bytes
    latency_s: float | None = field(default=None, compare=False)
    retry_after_s: float | None = None
    retry: bool | None = None
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)


Ask = Callable[[Call], Awaitable[Reply]]
"""Make one call. Raises CouldNotRun when there is no answer at all, or none within the time and size that are allowed."""

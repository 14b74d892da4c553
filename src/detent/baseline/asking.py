"""One call of a baseline run, and what came back for it: the seam between deciding what to ask and asking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from detent.terms import Endpoint, Version


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one request: HTTP status and whole body."""

    status: int
    body: bytes


Ask = Callable[[Version, Endpoint, bytes], Awaitable[Reply]]
"""Send one request body to a version, not streamed. Raises CouldNotRun when there is no answer at all."""

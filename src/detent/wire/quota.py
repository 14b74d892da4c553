"""What the headers of an answer say of its provider's quota, and what its list of models says of a version's end. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

_LIMITS = (
    # OpenAI and those who copy it; per minute for all but the smallest accounts
    ("requests", "x-ratelimit-limit-requests"),
    ("tokens", "x-ratelimit-limit-tokens"),
    # Anthropic, per minute; its `tokens` is the tightest of the others, and told where they are not
    ("requests", "anthropic-ratelimit-requests-limit"),
    ("input_tokens", "anthropic-ratelimit-input-tokens-limit"),
    ("output_tokens", "anthropic-ratelimit-output-tokens-limit"),
)

_ENDS = ("shutdown_date", "retires_at")
"""OpenAI's and Anthropic's member of a model, by the types of their SDKs."""


def limits_of(headers: Mapping[str, str]) -> dict[str, float]:
    """The quota per minute, by kind, as far as it is said; names of headers are in lower case."""
    found = {}
    for kind, name in _LIMITS:
        try:
            value = float(headers.get(name, ""))
        except ValueError:
            continue
        if isfinite(value) and value > 0:
            found[kind] = value
    return found


def ends_at(model: Mapping[str, Any]) -> datetime | None:
    """When a model of a provider's list is shut down; None where that is not said, or in no form that can be read."""
    for name in _ENDS:
        said = model.get(name)
        try:
            if isinstance(said, int | float) and not isinstance(said, bool):
                return datetime.fromtimestamp(said, UTC)
            if isinstance(said, str):
                at = datetime.fromisoformat(said)
                return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        except (ValueError, OverflowError, OSError):
            continue
    return None

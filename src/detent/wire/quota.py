"""What the headers of an answer say of its provider's quota, and what its list of models says of a version's end. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

_LIMITS = (
    # OpenAI and those who copy it
    ("requests", "x-ratelimit-limit-requests"),
    ("tokens", "x-ratelimit-limit-tokens"),
    # Anthropic, per minute; its `tokens` is the tightest of the others, and told where they are not
    ("requests", "anthropic-ratelimit-requests-limit"),
    ("input_tokens", "anthropic-ratelimit-input-tokens-limit"),
    ("output_tokens", "anthropic-ratelimit-output-tokens-limit"),
)

_ENDS = ("shutdown_date", "retires_at")
"""OpenAI's and Anthropic's member of a model, by the types of their SDKs."""


PER_DAY = "_per_day"
"""Ends the kind of a quota that is of a day. All others are of a minute."""

_DAY_S = 86_400.0
_RESETS = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|d|h|m|s))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY_S}


def limits_of(headers: Mapping[str, str]) -> dict[str, float]:
    """The quota by kind, per minute or (`requests_per_day`) per day, as far as it is said; names of headers are in lower case.

    Trap: under one and the same header OpenAI gives small accounts, and Groq gives everybody, a quota of requests per day. What is of a
    day shows by how long it takes to refill (`_of_a_day`).
    """
    found = {}
    for kind, name in _LIMITS:
        try:
            value = float(headers.get(name, ""))
        except ValueError:
            continue
        if isfinite(value) and value > 0:
            found[kind + PER_DAY if _of_a_day(headers, name, value) else kind] = value
    return found


def _of_a_day(headers: Mapping[str, str], name: str, limit: float) -> bool:
    """Whether a quota is of a day, by when it "resets to its initial state": what was used of it refills evenly, so that all of it takes
    that time x limit / used. Other than minutes and days there are none; a minute, where nothing can be worked out.
    """
    said = headers.get(name.replace("-limit-", "-reset-"), "")
    if not name.startswith("x-") or not _RESETS.fullmatch(said):
        return False
    resets_s = sum(float(n) * _UNITS[unit] for n, unit in _PART.findall(said))
    try:
        used = limit - float(headers.get(name.replace("-limit-", "-remaining-"), ""))
    except ValueError:
        used = 0.0
    refills_s = resets_s * limit / used if used > 0.0 else 0.0
    return resets_s >= _DAY_S / 24 or _DAY_S / 2 <= refills_s <= 2 * _DAY_S


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

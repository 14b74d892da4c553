"""Facts about the model ids of providers: is an id fixed, or an alias that may move, what does it cost, when does it end? Pure tables.

Nothing is asked over a network.

An id is fixed when it carries its snapshot (a date, a numbered release, a digest), or when its provider documents that ids of its form
never move. Everything else floats: what it stands for may change on any day without the id changing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

from detent.terms import Dialect, Price, Provider, Version


@dataclass(frozen=True, slots=True)
class Fixed:
    """The id names one snapshot; `because` says by what it is known."""

    because: str


@dataclass(frozen=True, slots=True)
class Floating:
    """The id may come to mean another model; `suggestion` names documented snapshots of it, where any are known."""

    reason: str
    suggestion: str | None = None


def _is_day(year: str, month: str, day: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return int(year) >= 2020


@dataclass(frozen=True, slots=True)
class Shape:
    """One way in which an id carries its snapshot. `holds` looks at the groups of the pattern: `2024-13-45` is no date."""

    says: str
    pattern: re.Pattern[str]
    holds: Callable[..., bool]


def _shape(says: str, pattern: str, holds: Callable[..., bool] = lambda *_: True) -> Shape:
    # A snapshot is a whole segment of the id: the 0613 of `gpt-4-0613`, never four digits out of a longer number.
    return Shape(says, re.compile(rf"(?:^|[-@:/._]){pattern}(?=$|[-@:/._])"), holds)


SHAPES: tuple[Shape, ...] = (
    _shape("a digest", r"sha256:[0-9a-f]{64}"),
    _shape("a date", r"([0-9]{4})-([0-9]{2})-([0-9]{2})", _is_day),
    _shape("a date", r"([0-9]{4})([0-9]{2})([0-9]{2})", _is_day),
    _shape("a day of release", r"([0-9]{2})([0-9]{2})", lambda month, day: _is_day("2024", month, day)),
    _shape("a month of release", r"(2[3-9])(0[1-9]|1[0-2])"),
    _shape("a numbered release", r"0[0-9]{2}$"),
)
"""Snapshot shapes that hold with any provider, also a self-hosted one. 2024 stands for the year in `gpt-4-0229`: a leap year."""


@dataclass(frozen=True, slots=True)
class Documented:
    """A form of ids that a provider documents as fixed, or as moving although it looks fixed."""

    dialect: Dialect
    pattern: re.Pattern[str]
    fixed: bool
    says: str


DOCUMENTED: tuple[Documented, ...] = (
    # platform.claude.com, "Model IDs and versioning": from the 4.6 generation on an id has no date and names one pinned version.
    Documented(
        Dialect.ANTHROPIC,
        re.compile(r"(?:anthropic\.)?claude-[a-z]+-(?:4-(?:[6-9]|[1-9][0-9])|(?:[5-9]|[1-9][0-9])(?:-[1-9][0-9]?)?)(?:-v[0-9]+)?"),
        True,
        "ids of the 4.6 generation and later are pinned versions",
    ),
    # Google pointed gemini-2.5-pro-preview-03-25 at the preview of 05-06 in May 2025: a dated preview is no promise.
    Documented(
        Dialect.GEMINI, re.compile(r".*-(?:preview|exp)(?:-.*)?"), False, "previews and experiments are pointed elsewhere while they last"
    ),
)

SNAPSHOTS: tuple[str, ...] = (
    # As listed by the official SDKs (openai 3.54.0 types/shared, anthropic 2.12.0 types/model.py); only ever used to suggest.
    "claude-haiku-4-5-20251001",
    "claude-opus-4-5-20251101",
    "claude-sonnet-4-5-20250929",
    "gpt-3.5-turbo-0125",
    "gpt-3.5-turbo-1106",
    "gpt-4-0613",
    "gpt-4-turbo-2024-04-09",
    "gpt-4.1-2025-04-14",
    "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano-2025-04-14",
    "gpt-4o-2024-05-13",
    "gpt-4o-2024-08-06",
    "gpt-4o-2024-11-20",
    "gpt-4o-mini-2024-07-18",
    "gpt-5-2025-08-07",
    "gpt-5-mini-2025-08-07",
    "gpt-5-nano-2025-08-07",
    "gpt-5-pro-2025-10-06",
    "gpt-5.1-2025-11-13",
    "gpt-5.2-2025-12-11",
    "gpt-5.2-pro-2025-12-11",
    "gpt-5.4-mini-2026-03-17",
    "gpt-5.4-nano-2026-03-17",
    "gpt-5.5-2026-04-23",
    "gpt-5.5-pro-2026-04-23",
    "o1-2024-12-17",
    "o3-2025-04-16",
    "o3-mini-2025-01-31",
    "o3-pro-2025-06-10",
    "o4-mini-2025-04-16",
)


def _date_in(model: str) -> str | None:
    """What makes the id a snapshot by its shape, or None."""
    for shape in SHAPES:
        for found in shape.pattern.finditer(model):
            if shape.holds(*found.groups()):
                return f"{shape.says} in the id"
    return None


def _known_snapshots(alias: str) -> str | None:
    stem = alias.removesuffix("-latest")
    known = [f"`{snapshot}`" for snapshot in SNAPSHOTS if _names_a_snapshot_of(stem, snapshot)]
    return ", ".join(known) if known else None


def _names_a_snapshot_of(stem: str, snapshot: str) -> bool:
    # `gpt-4o` is the stem of `gpt-4o-2024-05-13`, not of `gpt-4o-mini-2024-07-18`.
    return re.fullmatch(rf"{re.escape(stem)}-[0-9][0-9-]*", snapshot) is not None


def snapshot(dialect: Dialect, model: str) -> Fixed | Floating:
    """Whether `model` names one snapshot with a provider of this dialect. Never raises; an id of no sane form floats."""
    if not re.fullmatch(r"[A-Za-z0-9._:/@+~=-]{1,256}", model):
        return Floating("a model id is 1 to 256 letters, digits or any of ._:/@+~=-")
    if re.search(r"(?:^|[-@:/._])latest(?=$|[-@:/._])", model, re.IGNORECASE):
        return Floating("it says itself that it moves: `latest`", _known_snapshots(model))
    for row in DOCUMENTED:
        if row.dialect is dialect and row.pattern.fullmatch(model):
            return Fixed(row.says) if row.fixed else Floating(row.says, _known_snapshots(model))
    because = _date_in(model)
    if because is not None:
        return Fixed(because)
    return Floating("no date, numbered release or digest in it, and no provider documents it as fixed", _known_snapshots(model))


# ── prices ──────────────────────────────────────────────────────────────────────────────────────────────────────────


PRICED_ON = date(2026, 3, 21)
"""The day of the oldest page that a price below was read from."""

PRICES: dict[str, Price] = {
    name: Price(name=name, input=fresh, output=out, cached=cached)
    for name, fresh, out, cached in (
        ("gpt-4-0613", 30.0, 60.0, None),
        ("gpt-4-turbo-2024-04-09", 10.0, 30.0, None),
        ("gpt-4o-2024-05-13", 5.0, 15.0, None),
        ("gpt-4o", 2.50, 10.0, 1.25),
        ("gpt-4o-mini", 0.15, 0.60, 0.075),
        ("gpt-4.1", 2.0, 8.0, 0.50),
        ("gpt-4.1-mini", 0.40, 1.60, 0.10),
        ("gpt-4.1-nano", 0.10, 0.40, 0.025),
        ("gpt-5", 1.25, 10.0, 0.125),
        ("gpt-5-mini", 0.25, 2.0, 0.025),
        ("gpt-5-nano", 0.05, 0.40, 0.005),
        ("gpt-5.1", 1.25, 10.0, 0.125),
        ("gpt-5.4-mini", 0.75, 4.50, 0.075),
        ("gpt-5.4-nano", 0.20, 1.25, 0.02),
        ("gpt-5.5", 5.0, 30.0, 0.50),
        ("claude-haiku-4-5", 1.0, 5.0, 0.10),
        ("claude-sonnet-4", 3.0, 15.0, 0.30),
        ("claude-sonnet-4-5", 3.0, 15.0, 0.30),
        ("claude-sonnet-4-6", 3.0, 15.0, 0.30),
        ("claude-opus-4-1", 15.0, 75.0, 1.50),
        ("claude-opus-4-5", 5.0, 25.0, 0.50),
        ("claude-opus-4-6", 5.0, 25.0, 0.50),
        ("claude-opus-4-7", 5.0, 25.0, 0.50),
        ("claude-opus-4-8", 5.0, 25.0, 0.50),
        ("claude-opus-5", 5.0, 25.0, 0.50),
    )
}
"""List prices of well-known models at the standard tier, USD per million tokens of input, output and input read from a cache.

Sources: for OpenAI its price list as given by deploybase.ai/articles/openai-pricing (2026-03-21) and morphllm.com/openai-api-pricing
(2026-06), input from a cache by the discounts that adk-model 0.6.0 lists (2026-03); for Anthropic
platform.claude.com/docs/en/about-claude/pricing and deploybase.ai/articles/claude-api-pricing (2026-03-21), input from a cache at a tenth.
Looked up on 2026-11-23, in stored copies. A model whose price depends on the length of the prompt, or on which the sources differ, is not
listed: a price that is not known is better than a wrong one. Whoever pays another price writes it into the pin file.
"""

_DAY = re.compile(r"-(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})$")


def price(version: Version, own: Mapping[str, Price]) -> Price | None:
    """What a version costs: as the pin file says (`[prices."provider/model"]`), else the list price of its id, with or without its date."""
    return own.get(str(version)) or PRICES.get(version.model) or PRICES.get(_DAY.sub("", version.model))


# ── announced ends ──────────────────────────────────────────────────────────────────────────────────────────────────

ENDS: dict[str, dict[str, date]] = {
    "api.openai.com": {
        # platform.openai.com/docs/deprecations, "2026-04-22: Legacy GPT model snapshots", as kept by spybara.com (2026-04-23).
        "gpt-3.5-turbo-0125": date(2026, 10, 23),
        "gpt-4-0613": date(2026, 10, 23),
    },
    "api.anthropic.com": {
        # platform.claude.com release notes of 2026-06-15 (ai-provider-watch), and "Model deprecations" for the last (totalum.app, 2026-06).
        "claude-opus-4-20250514": date(2026, 6, 15),
        "claude-sonnet-4-20250514": date(2026, 6, 15),
        "claude-opus-4-1-20250805": date(2026, 8, 5),
    },
}
"""When a provider shuts a version down, by the host of its own API. Others that serve the same models (Bedrock, Vertex, Azure) have
schedules of their own. Looked up on 2026-11-23, in stored copies; what a provider's list of models says itself goes before.
"""


def ends_on(provider: Provider, model: str) -> date | None:
    """The day on which this provider shuts a version down, where that is known."""
    return ENDS.get(urlsplit(provider.base_url).hostname or "", {}).get(model)

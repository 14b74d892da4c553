"""Which model ids name one snapshot, and which are aliases that may move."""

from __future__ import annotations

import pytest

from detent.catalog import SNAPSHOTS, Fixed, Floating, snapshot
from detent.terms import Dialect

# As the providers write them: model lists of the openai and anthropic SDKs, Bedrock and Vertex ids of platform.claude.com, "Model IDs and
# versioning", numbered Gemini releases of cloud.google.com, "Model versions and lifecycle".
FIXED = [
    (Dialect.OPENAI, "gpt-4o-2024-05-13"),
    (Dialect.OPENAI, "gpt-4-0613"),
    (Dialect.OPENAI, "gpt-4-0125-preview"),
    (Dialect.OPENAI, "ft:gpt-4o-mini-2024-07-18:acme:support:AbC123"),
    (Dialect.OPENAI, "atlas-2026-03-01"),
    (Dialect.OPENAI, "mistral-large-2411"),
    (Dialect.OPENAI, f"registry.example/llama@sha256:{'0af1' * 16}"),
    (Dialect.ANTHROPIC, "claude-sonnet-4-5-20250929"),
    (Dialect.ANTHROPIC, "anthropic.claude-sonnet-4-5-20250929-v1:0"),
    (Dialect.ANTHROPIC, "claude-sonnet-4-5@20250929"),
    (Dialect.ANTHROPIC, "claude-opus-4-6"),
    (Dialect.ANTHROPIC, "anthropic.claude-opus-4-6-v1"),
    (Dialect.ANTHROPIC, "claude-sonnet-5"),
    (Dialect.ANTHROPIC, "claude-opus-5-5"),
    (Dialect.GEMINI, "gemini-2.0-flash-001"),
]

FLOATING = [
    (Dialect.OPENAI, "gpt-4o"),
    (Dialect.OPENAI, "gpt-4"),
    (Dialect.OPENAI, "chatgpt-4o-latest"),
    (Dialect.OPENAI, "latest"),
    (Dialect.OPENAI, "atlas:latest"),
    (Dialect.OPENAI, "atlas-2026-03-01-latest"),
    (Dialect.OPENAI, "gpt-4-turbo-preview"),
    (Dialect.OPENAI, "gpt-5.6-sol"),
    (Dialect.OPENAI, "atlas-2026-13-01"),  # no such month
    (Dialect.OPENAI, "atlas-2026-02-30"),  # no such day
    (Dialect.OPENAI, "atlas-1999-01-01"),
    (Dialect.OPENAI, "llama3-70b-8192"),  # a context length
    (Dialect.OPENAI, "model-12024-05-13"),
    (Dialect.OPENAI, "llama@sha256:0af1"),  # an abbreviated digest
    (Dialect.ANTHROPIC, "claude-sonnet-4-5"),  # documented as a convenience alias: the dateless form begins with 4.6
    (Dialect.ANTHROPIC, "claude-3-7-sonnet-latest"),
    (Dialect.ANTHROPIC, "claude-mythos-preview"),
    (Dialect.OPENAI, "claude-opus-4-6"),  # served by somebody else, who has promised nothing
    (Dialect.GEMINI, "gemini-2.5-pro"),
    (Dialect.GEMINI, "gemini-2.5-pro-preview-05-06"),
    (Dialect.OPENAI, ""),
    (Dialect.OPENAI, "gpt-4o-2024-05-13 "),
    (Dialect.OPENAI, "gpt-4o-2024-05-13\n"),
    (Dialect.OPENAI, "x" * 250 + "-2024-05-13"),
    (Dialect.OPENAI, "gpt`4o`-2024-05-13"),
]


@pytest.mark.parametrize(("dialect", "model"), FIXED)
def test_a_snapshot_is_fixed(dialect: Dialect, model: str) -> None:
    assert isinstance(snapshot(dialect, model), Fixed)


@pytest.mark.parametrize(("dialect", "model"), FLOATING)
def test_an_alias_floats(dialect: Dialect, model: str) -> None:
    assert isinstance(snapshot(dialect, model), Floating)


def test_an_alias_is_answered_with_its_own_snapshots_and_no_siblings() -> None:
    judged = snapshot(Dialect.OPENAI, "gpt-4o")
    assert isinstance(judged, Floating)
    assert judged.suggestion == "`gpt-4o-2024-05-13`, `gpt-4o-2024-08-06`, `gpt-4o-2024-11-20`"


def test_an_alias_nobody_documents_gets_no_suggestion() -> None:
    assert snapshot(Dialect.OPENAI, "atlas") == Floating("no date, numbered release or digest in it, and no provider documents it as fixed")


def test_what_is_suggested_is_accepted() -> None:
    assert all(isinstance(snapshot(d, s), Fixed) for s in SNAPSHOTS for d in (Dialect.OPENAI, Dialect.ANTHROPIC))

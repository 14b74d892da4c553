"""Fixtures that several files share. What they need is imported inside, so that the other tests start as quickly as they can."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mock_upstream import Mock
    from serving import Served


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    """A scripted provider."""
    from mock_upstream import running

    with running() as provider:
        yield provider


@pytest.fixture(scope="module")
def started(mock: Mock) -> Iterator[Served]:
    """A gateway in front of it."""
    from serving import flagset, serving

    with serving(flagset(mock.url)) as served:
        yield served


@pytest.fixture
def gateway(mock: Mock, started: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The gateway as new: no rollout, no keys, no records; and the provider answers `OK`."""
    from mock_upstream import OK
    from serving import flagset

    for name in ("TEST_OPENAI_KEY", "TEST_ANTHROPIC_KEY", "TEST_CLIENT_KEYS"):
        monkeypatch.delenv(name, raising=False)
    started.spool.settle()
    started.flags = flagset(mock.url)
    started.as_new()
    mock.answer = lambda seen: OK
    mock.may_go.clear()
    mock.seen.clear()
    return started

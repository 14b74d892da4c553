"""Fixtures that several files share. What they need is imported inside, so that the other tests start as quickly as they can."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mock_upstream import Mock
    from serving import Served


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the benches and `make reliability` ask for."""
    parser.addoption("--reliability", metavar="FILE", help="run the tests of faults alone, and write what was seen into this page")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fault(fault, expected): a row of docs/reliability.md: what the test breaks, and what it expects")
    if (page := config.getoption("--reliability")) is not None:
        from pathlib import Path

        from reliability import Writing

        config.pluginmanager.register(Writing(Path(page)))


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Takes down what a test of a fault saw, for the page."""
    return lambda text: request.node.user_properties.append(("seen", text))


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

"""Logs of simulated traffic: the same in every run, in the dialect of their app, with the calls that failed."""

from __future__ import annotations

import json

import pytest

from detent import wire
from detent.sim.recording import record
from detent.sim.scenarios import SCENARIOS
from detent.sim.versions import RESHAPING, STABLE


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_every_request_can_be_read_and_every_answer_is_whole(scenario: str) -> None:
    endpoint = SCENARIOS[scenario].endpoint
    rows = list(record(scenario, STABLE, sessions=40, seed=1))
    assert len(rows) > 40
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert wire.read_prompt(endpoint, json.dumps(row["request"]).encode()).system == SCENARIOS[scenario].system
        if "response" in row:
            assert wire.read_answer(endpoint, status=200, body=json.dumps(row["response"]).encode(), streamed=False).complete


def test_the_same_seed_gives_the_same_log_and_another_one_another() -> None:
    assert list(record("agent", STABLE, sessions=5, seed=1)) == list(record("agent", STABLE, sessions=5, seed=1))
    assert list(record("agent", STABLE, sessions=5, seed=1)) != list(record("agent", STABLE, sessions=5, seed=2))


def test_an_overloaded_provider_is_in_the_log_as_logs_have_it() -> None:
    refused = [row for row in record("support", STABLE, sessions=200, seed=1) if "response" not in row]
    assert refused  # one call in a hundred: 0.99 ** 800 would be 0.0003
    assert {(row["status"], bool(row["error"])) for row in refused} == {(503, True)}


def test_the_log_of_another_version_shows_its_faults() -> None:
    rows = list(record("invoices", RESHAPING, sessions=60, seed=1))
    assert any("```" in row["response"]["choices"][0]["message"]["content"] for row in rows)
    assert {row["request"]["model"] for row in rows} == {RESHAPING}

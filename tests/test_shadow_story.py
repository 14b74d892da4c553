"""The shadow as a team meets it: real processes, real HTTP, the official SDK, and a harm that one reader in a hundred meets.

Two readers in a hundred write German, and the version harms half of them. It is rejected by the name of the harm and the class of prompts,
and no user ever saw it; a version that changed nothing goes on. So do both where no bodies are kept.
"""

from __future__ import annotations

from typing import Any

import pytest

from benches import bench
from detent.terms import Phase

SESSIONS = 4000


def came_out(*names: str, **more: Any) -> dict[str, Any]:
    """How the rollouts of these conditions came out of their shadows."""
    planted = bench("shadow_planted")
    ends = planted.one_round(planted.chosen(names), sessions=SESSIONS, **more)
    return {end.condition.name: end for end in ends}


def test_a_harm_to_one_reader_in_a_hundred_is_rejected_by_name_and_an_unchanged_version_goes_on() -> None:
    ends = came_out("blocked", "unchanged", unchanged_pairs=600)
    harmed, unchanged = ends["blocked"], ends["unchanged"]
    assert harmed.phase is Phase.REJECTED, harmed
    assert "refused" in harmed.said, harmed
    assert "de" in harmed.classes, harmed
    assert unchanged.phase is Phase.CANARY, unchanged
    assert unchanged.pairs >= 600
    assert unchanged.seconds >= 300
    assert unchanged.bodies > 0


def test_without_bodies_the_answers_are_compared_in_memory_and_nothing_of_them_is_kept() -> None:
    ends = came_out("unkept", "unchanged_unkept", unchanged_pairs=600, lean=True)
    harmed, unchanged = ends["unkept"], ends["unchanged_unkept"]
    assert harmed.phase is Phase.REJECTED, harmed
    assert "language" in harmed.said, harmed
    assert unchanged.phase is Phase.CANARY, unchanged
    assert (harmed.bodies, unchanged.bodies) == (0, 0)


@pytest.mark.parametrize("seed", [5])
def test_planted_failures_of_each_scored_dimension_are_seen_and_the_noise_is_not(seed: int) -> None:
    """Recall >= 0.9 and false <= 0.05 in each dimension, completion of the task included, with a judge that errs at a known rate."""
    judge, *rows = bench("shadow_dimensions").measured(60, seed)
    assert "kappa" in judge
    assert len(rows) == 9
    for row in rows:
        assert row.recall >= 0.9, row
        assert row.false <= 0.05, row

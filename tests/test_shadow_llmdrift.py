"""The published case as live traffic: recorded answers of two GPT versions behind a real gateway, the newer one as the shadow.

`expected.json` was computed apart from this project; see test_llmdrift.py for the data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from detent.compare import read_rows
from detent.decide import decide
from detent.terms import Evidence, Phase, Plan, ShadowStage, Verb, Version
from processes import Process
from records import T0, rollout
from shadowed import Shadowed, shadowed
from test_llmdrift import DATA, _data, expected  # noqa: F401 - `_data` skips, or fails, where the data are not

PIN_FILE = """
[providers.openai]
dialect  = "openai"
base_url = "{url}/v1"
watcher  = "llm@example.com"

[routes.code]
provider = "openai"
version  = "{version}"
owner    = "a@example.com"
checks   = ["no_new_fence"]
record   = {{ bodies = 1.0 }}
"""

FILE = DATA / "leetcode.jsonl"


@contextmanager
def replayed(home: Path, pair: str) -> Iterator[Shadowed]:
    """`detent sim replay` as the provider, and the update of this pair as the rollout."""
    provider = Process(home, "sim", "replay", str(FILE), "--port", "0")
    try:
        old, new = (Version("openai", expected(FILE.name, pair)[which]) for which in ("old", "new"))
        plan = Plan(name="standard", shadow=ShadowStage(share=1.0, second=1.0, budget_usd_per_day=None))
        opened = rollout(route="code", phase=Phase.SHADOW, stable=old, candidate=new, plan=plan)
        with shadowed(home, PIN_FILE.format(url=provider.url, version=old.model), opened) as shadow:
            yield shadow
    finally:
        provider.kill()


def prompts() -> list[list[Any]]:
    """What was asked, each once."""
    with open(FILE, "rb") as lines:
        asked = {row.prompt_id: row.messages for row in read_rows(lines, file=FILE.name)}
    return [json.loads(json.dumps(messages)) for messages in asked.values()]


@pytest.mark.parametrize("pair", ["gpt-4", "gpt-3.5-turbo"])
def test_a_shadow_of_the_update_finds_its_fences_as_often_as_they_were_counted(pair: str, tmp_path: Path) -> None:
    wanted = expected(FILE.name, pair)["tables"]["all"]
    with replayed(tmp_path, pair) as shadow:
        app = openai.OpenAI(base_url=f"{shadow.gateway.url}/v1", api_key="-", max_retries=0)

        def ask(messages: list[Any]) -> str:
            return app.chat.completions.create(model="code", messages=messages).choices[0].message.content or ""

        heard = shadow.ask(ask, prompts())
        (opened,) = shadow.rollouts
        found = shadow.store.state.shadow_evidence(opened)
        assert len(heard) == found.pairs == found.seconds == wanted["n"]
        assert sum("```" in str(text) for text in heard) == wanted["fence_old"], "users saw the old version's answers"
        assert found.changes["fence_added"] == wanted["fence_added"]
        assert found.changes.get("fence_removed", 0) == wanted["fence_removed"]
        (field,) = [f for f in found.fields if f.field == "check:no_new_fence"]
        assert (field.pairs, field.candidate, field.stable) == (wanted["n"], wanted["fence_added"], 0)
        decision = decide(replace(opened, phase=Phase.SHADOW), Evidence(rollout=opened.id, shadow=found), T0)
        assert decision.verb is Verb.REJECT
        assert decision.reason == "ShadowHarm"
        assert "no_new_fence" in decision.sentence
        assert str(wanted["fence_added"]) in decision.sentence

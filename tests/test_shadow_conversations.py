"""Conversations in the shadow, the whole way: each request on the app's own history, compared until the two versions go apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from corpus import completion
from detent.terms import Phase, Version
from mock_upstream import Script, Seen, answer, running
from records import rollout
from serving import CANDIDATE, STABLE, post
from shadowed import PIN_FILE, shadowed

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("find", "book")]
TURNS = 4


def call(name: str) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": "{}"}}


def play(seen: Seen) -> Script:
    """Both look up a table in the third turn, and answer; the impatient user's candidate books one at once, and then says nothing."""
    asked = seen.json
    turn = sum(message["role"] == "assistant" for message in asked["messages"])
    impatient = asked["model"] == CANDIDATE and "impatient" in asked["messages"][0]["content"]
    if turn == 2:
        return answer(completion(None, tool_calls=[call("book" if impatient else "find")]))
    return answer(completion("" if impatient and turn == 3 else "It is done."))


def test_a_conversation_is_compared_until_the_versions_go_apart(tmp_path: Path) -> None:
    """What the candidate says after that is about a conversation that it never would have had: it counts for neither side."""
    opened = rollout(route="chat", phase=Phase.SHADOW, stable=Version("openai", STABLE), candidate=Version("openai", CANDIDATE))
    with running() as upstream:
        upstream.answer = play
        with shadowed(tmp_path, PIN_FILE.format(url=upstream.url, version=STABLE), opened) as shadow:

            def ask(asked: tuple[str, list[Any]]) -> tuple[str, dict[str, Any]]:
                user, messages = asked
                body = {"model": "chat", "user": user, "tools": TOOLS, "messages": messages}
                status, headers, heard = post(shadow.gateway, body=body)
                assert status == 200
                return headers["x-detent-request-id"], json.loads(heard)["choices"][0]["message"]

            exchanges: dict[str, list[str]] = {"patient": [], "impatient": []}
            history: dict[str, list[Any]] = {
                user: [{"role": "user", "content": f"I am {user}, write to {user}@example.com"}] for user in exchanges
            }
            for turn in range(TURNS):
                for user, said in zip(exchanges, shadow.ask(ask, list(history.items())), strict=True):
                    assert isinstance(said, tuple)
                    exchanges[user].append(said[0])
                    after = {"role": "tool", "tool_call_id": "call_1", "content": "a table"}
                    more = after if said[1].get("tool_calls") else {"role": "user", "content": f"and what of b{turn}@example.com?"}
                    history[user] += [{"role": "assistant"} | said[1], more]
            pairs = {pair.exchange: pair for pair in shadow.pairs()}
            found = shadow.store.state.shadow_evidence(opened)
    for user, ids in exchanges.items():
        turns = [pairs[exchange] for exchange in ids]
        assert [pair.turn for pair in turns] == list(range(TURNS))
        assert len({pair.conversation for pair in turns}) == 1, "its words are redacted, and the same in every turn"
        assert [pair.diverges for pair in turns] == [False, False, user == "impatient", user == "impatient"]
    impatient = [pairs[exchange] for exchange in exchanges["impatient"]]
    assert impatient[2].candidate_differs == ("change:other_tool_called",)
    assert impatient[3].candidate_failed == ("check:answered",)
    assert len({pair.conversation for pair in pairs.values()}) == 2
    assert (found.pairs + found.not_comparable, found.not_comparable, found.candidate_only) == (2 * TURNS, 1, 0)

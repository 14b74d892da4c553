"""A shadow that answers with anything but an answer: each is told by its name, none is held against the live answer, no user notices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus import ERROR_EVENT, TEXT, chat_events, completion, failing
from detent.terms import Pair, Phase, Version
from mock_upstream import CLOSE, RESET, Script, Seen, answer, running, stream
from records import rollout
from serving import CANDIDATE, STABLE, post
from shadowed import PIN_FILE, shadowed

WHOLE = completion("It is 7.")
(GOOD,) = answer(WHOLE)
assert isinstance(GOOD, bytes)

BAD: dict[str, tuple[Script, str]] = {
    "HTML": (answer(b"<html>Bad day</html>", kind="text/html"), "malformed_upstream"),
    "half a JSON": (answer(WHOLE[:200]), "malformed_upstream"),
    "garbage": (answer(bytes(range(256)) * 40), "malformed_upstream"),
    "nothing": (answer(b""), "malformed_upstream"),
    "an error in a 200": (answer(b'{"error": {"message": "odd", "type": "x"}}'), "error_event"),
    "an error event": (stream(*chat_events(TEXT, False)[:2], ERROR_EVENT), "error_event"),
    "a stream without its end": (stream(*chat_events(TEXT, False)[:2]), "upstream_truncated"),
    "fewer bytes than announced": ([GOOD[:-20], CLOSE], "upstream_truncated"),
    "a connection that is reset": ([RESET], "connect_failed"),
    "a defect of the provider": (failing(500)[0], "http_error, HTTP 500"),
    "a wrong key": (failing(401)[0], "http_error, HTTP 401"),
}
"""What the candidate's provider does, and how its leg ends."""


@pytest.mark.parametrize("second", [0.0, 1.0])
def test_every_bad_answer_has_a_name_and_counts_only_against_a_second_call_that_was_answered(tmp_path: Path, second: float) -> None:
    def play(seen: Seen) -> Script:
        asked = seen.json
        return BAD[asked["messages"][0]["content"]][0] if asked["model"] == CANDIDATE else answer(WHOLE)

    opened = rollout(route="chat", phase=Phase.SHADOW, stable=Version("openai", STABLE), candidate=Version("openai", CANDIDATE))
    with running() as upstream:
        upstream.answer = play
        with shadowed(tmp_path, PIN_FILE.format(url=upstream.url, version=STABLE), opened, second=second) as shadow:

            def ask(name: str) -> str:
                status, headers, heard = post(shadow.gateway, body={"model": "chat", "messages": [{"role": "user", "content": name}]})
                assert (status, json.loads(heard)["choices"][0]["message"]["content"]) == (200, "It is 7.")
                return headers["x-detent-request-id"]

            exchanges = shadow.ask(ask, BAD)
            pairs = {pair.exchange: pair for pair in shadow.pairs()}
            found = shadow.store.state.shadow_evidence(opened)
    for (name, (_, ends)), exchange in zip(BAD.items(), exchanges, strict=True):
        pair = pairs[str(exchange)]
        if second and name != "a wrong key":
            assert (pair.note, pair.candidate_differs, pair.second_differs) == ("", ("failed",), ()), name
            continue
        assert pair.note == f"the mirrored call failed: {ends}", name
        assert pair == Pair(rollout=opened.id, exchange=pair.exchange, at_us=pair.at_us, note=pair.note), "and nothing else is said of it"
    scored = (len(BAD) - 1) * second  # a wrong key says nothing of the version
    assert (found.pairs, found.unscored, found.candidate_only) == (scored, len(BAD) - scored, 0)

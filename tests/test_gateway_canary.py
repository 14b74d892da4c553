"""Planted secrets and personal data go through a real gateway and a real server; then every file they left behind is searched for them.

The same search over a server that was told to redact nothing finds every one of them: that is what shows that it would.
"""

from __future__ import annotations

import base64
import http.client
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from detent.reading import kept_answer
from detent.sim.versions import STABLE
from detent.store.spool import START, read_spool, spool_dirs
from detent.terms import Result
from mock_upstream import CLOSE, Mock, Script, Seen, answer, piece, running, stream
from processes import Installation, Process, standing, until

PLANTED = {
    "key in the prompt": "sk-proj-9fK2mQx7Lw4Zt8Rv1Yb6Nc3Hd5Jg0Ps",
    "mail in the system prompt": "canary.system@example.com",
    "user": "canary-user-20260301",
    "password in tool arguments": "c4nary-swordfish-77",
    "phone in a tool result": "+49 30 901820 44",
    "card in a tool result": "5555 5555 5555 4444",
    "mail in the answer": "canary.answer@example.org",
    "key in the stream": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "account in streamed arguments": "DE89370400440532013000",
    "key in an error": "AKIAQ3EGRT7XWZ2M5L4K",
    "mail on a page": "canary.page@example.net",
    "mail in a broken stream": "canary.broken@example.net",
    "key of the client": "sk-client-7f3c9a1be24d4b6f8a90c2d1e5f60718",
}
AUTHORIZATION = "Bearer " + PLANTED["key of the client"]

ASKED: dict[str, Any] = {
    "model": "chat",
    "user": PLANTED["user"],
    "messages": [
        {"role": "system", "content": f"Write to {PLANTED['mail in the system prompt']}."},
        {"role": "user", "content": [{"type": "text", "text": f"my key is {PLANTED['key in the prompt']}"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "log_in", "arguments": json.dumps({"password": PLANTED["password in tool arguments"], "n": 1.50})},
                }
            ],
        },
        {
            "role": "tool",
            "tool_call_id": "call_1",
            "content": json.dumps({"found": [{"tel": PLANTED["phone in a tool result"], "card": PLANTED["card in a tool result"]}]}),
        },
    ],
}


def completion(text: str) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": STABLE, "choices": [choice]}).encode()


def arguments(part: str) -> bytes:
    call = {"index": 0, "id": "call_2", "type": "function", "function": {"name": "pay", "arguments": part}}
    chunk = {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def in_pieces(text: str, size: int = 7) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


SCRIPTS: dict[str, Script] = {
    "plain": answer(completion(f"Ask {PLANTED['mail in the answer']}, or try {PLANTED['password in tool arguments']} again.")),
    "streamed": stream(
        *(piece(part) for part in in_pieces(f"The token is {PLANTED['key in the stream']}.")),
        *(arguments(part) for part in in_pieces(json.dumps({"iban": PLANTED["account in streamed arguments"]}))),
        piece("", "stop"),
        b"data: [DONE]\n\n",
    ),
    "refused": answer(json.dumps({"error": {"message": f"no such key: {PLANTED['key in an error']}"}}).encode(), 401),
    "a page": answer(f"<html>{PLANTED['mail on a page']}</html>".encode(), kind="text/html"),
    "broken": stream(*(piece(part) for part in in_pieces(PLANTED["mail in a broken stream"] + ", ")), CLOSE),
    "nonsense": stream(*(piece(part) for part in in_pieces(PLANTED["mail in a broken stream"])), b"data: {nonsense\n\n"),
}


@pytest.fixture
def provider() -> Iterator[Mock]:
    with running() as mock:
        mock.answer = lambda seen: SCRIPTS[seen.header("x-script") or "plain"]
        yield mock


@pytest.fixture(params=["all", "none"])
def place(request: pytest.FixtureRequest, tmp_path: Path, provider: Mock) -> Iterator[Installation]:
    with standing(tmp_path, provider.url) as place:
        place.file.write_text(place.text().replace("bodies = 1.0", f'bodies = 1.0, redact = "{request.param}"'))
        yield place


def ask(process: Process, script: str) -> bytes:
    """What the client gets, as far as it comes."""
    address = urlsplit(process.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    asked = ASKED | ({"stream": True, "stream_options": {"include_usage": False}} if script in {"streamed", "broken", "nonsense"} else {})
    headers = {"content-type": "application/json", "authorization": AUTHORIZATION, "x-script": script}
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(asked).encode(), headers)
        got = b""
        response = connection.getresponse()
        try:
            while data := response.read1(65536):
                got += data
        except http.client.IncompleteRead as broken:
            got += broken.partial
        return got
    finally:
        connection.close()


def said(script: str) -> bytes:
    """The body that a script sends, without what HTTP puts around it."""
    steps = [step for step in SCRIPTS[script] if isinstance(step, bytes)]
    if len(steps) == 1:
        return steps[0].partition(b"\r\n\r\n")[2]
    return b"".join(step.split(b"\r\n", 1)[1][:-2] for step in steps[1:] if step != b"0\r\n\r\n")


def spellings(value: str) -> list[bytes]:
    """How a value may stand in a file: as it is, as JSON in JSON has it, and in base64 at each of its three beginnings."""
    raw = value.encode()
    shifted = [base64.b64encode(b"\0" * pad + raw)[(0, 2, 3)[pad] : -4] for pad in range(3)]
    return [raw, value.replace("/", "\\/").encode(), *(part for part in shifted if part)]


def found_in_files(home: Path) -> set[str]:
    """Which of the planted values stand in any file under a directory, whatever the file is."""
    files = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    return {name for name, value in PLANTED.items() if any(form in data for form in spellings(value) for data in files)}


def found_in_rows(home: Path) -> set[str]:
    """The same in every value of every table: a long value may stand in two pages of a database's file."""
    seen: set[str] = set()
    for path in home.rglob("*.db"):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            cells = b"\0".join(
                cell if isinstance(cell, bytes) else str(cell).encode()
                for table in tables
                for row in connection.execute(f'SELECT * FROM "{table}"')
                for cell in row
            )
        seen |= {name for name, value in PLANTED.items() if any(form in cells for form in spellings(value))}
    return seen


def results(place: Installation) -> list[Result]:
    return [
        entry
        for spool in spool_dirs(place.spools).values()
        for entry in read_spool(spool, START)[0]
        if isinstance(entry, Result)
    ]  # fmt: skip


def test_nothing_planted_is_in_any_file_and_the_client_gets_every_byte(place: Installation, provider: Mock) -> None:
    redacts = '"all"' in place.file.read_text()
    expected = set() if redacts else PLANTED.keys() - {"key of the client"}
    gateway = place.gateway()
    for script in SCRIPTS:
        got, sent = ask(gateway, script), said(script)
        # A stream that breaks off gets an error event behind what came; all others end as they ended upstream.
        assert got.startswith(sent) if script == "broken" else got == sent, script
    until(lambda: len(results(place)) == len(SCRIPTS), "all results spooled")
    in_the_spool = found_in_files(place.home)
    for entry in results(place):
        kept = kept_answer(entry.answer_body or b"")
        assert kept is not None
        assert kept.text or kept.tool_calls
    assert in_the_spool == expected
    upstream: list[Seen] = provider.seen
    assert all(
        PLANTED[name].encode() in seen.body for seen in upstream for name in ("key in the prompt", "user", "password in tool arguments")
    )

    server = place.serve()
    until(lambda: place.store.journal.count() == len(SCRIPTS) and not place.store.journal.count(pending=True), "all legs in the journal")
    assert found_in_files(place.home) | found_in_rows(place.home) == expected
    for process in (gateway, server):
        assert process.stop() == 0
    assert found_in_files(place.home) | found_in_rows(place.home) == expected


def test_every_spelling_is_looked_for(tmp_path: Path) -> None:
    value = PLANTED["mail in the answer"]
    for pad in range(3):
        (tmp_path / "x").write_bytes(base64.b64encode(b"{" * pad + value.encode() + b"}}"))
        assert found_in_files(tmp_path) == {"mail in the answer"}

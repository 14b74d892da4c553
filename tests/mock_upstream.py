"""A scripted provider on a real socket, in a thread of its own: raw bytes out, everything that came in kept.

A script is a list of steps for one request: bytes to write, and marks for what else happens on the wire. No HTTP library in between,
so that a test can send what no honest server would.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

CLOSE = object()  # close the connection now
RESET = object()  # reset it
LISTEN = object()  # wait for the other side to hang up
GO = object()  # wait for Mock.go(), or for the other side to hang up

Step = bytes | object
Script = Sequence[Step]


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    hung_up: threading.Event = field(default_factory=threading.Event)

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name]
        assert len(found) <= 1, f"{name} came {len(found)} times"
        return found[0] if found else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Mock:
    """`answer` picks the script of each request; by default the one in `script`."""

    def __init__(self) -> None:
        self.script: Script = []
        self.answer: Callable[[Seen], Script] = lambda seen: self.script
        self.seen: list[Seen] = []
        self.may_go = asyncio.Event()
        self.port = 0
        self.connections = 0
        self.loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def go(self) -> None:
        """Lets every script pass its GO."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.may_go.set)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                line, *rest = head.decode("latin-1").split("\r\n")
                method, target, _ = line.split(" ")
                headers = [(name, value.strip()) for name, _, value in (item.partition(":") for item in rest if item)]
                length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
                seen = Seen(method, target, headers, await reader.readexactly(length))
                self.seen.append(seen)
                if not await self.play(seen, reader, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def play(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection can serve another request."""
        try:
            for step in self.answer(seen):
                if step is CLOSE:
                    return False
                if step is RESET:
                    writer.transport.abort()
                    return False
                if step is GO or step is LISTEN:
                    if await self.hung_up_first(reader, self.may_go if step is GO else asyncio.Event()):
                        seen.hung_up.set()
                        return False
                else:
                    assert isinstance(step, bytes)
                    writer.write(step)
                    await writer.drain()
                    await asyncio.sleep(0)
            return True
        except ConnectionError:
            seen.hung_up.set()
            return False

    async def hung_up_first(self, reader: asyncio.StreamReader, may_go: asyncio.Event) -> bool:
        gone = asyncio.ensure_future(reader.read(1))
        go = asyncio.ensure_future(may_go.wait())
        await asyncio.wait({gone, go}, return_when=asyncio.FIRST_COMPLETED)
        for waiting in (gone, go):
            waiting.cancel()
        return gone.done() and not gone.cancelled()


PROVIDERS_OWN = (
    "date: Sun, 01 Nov 2026 10:00:00 GMT",
    "server: cloudflare",
    "x-request-id: req_1",
    "request-id: req_2",
    "openai-processing-ms: 12",
    "anthropic-ratelimit-requests-remaining: 99",
    "set-cookie: a=1",
    "set-cookie: b=2",
)


def answer(body: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> Script:
    """A whole answer with its length."""
    lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", f"content-length: {len(body)}", *PROVIDERS_OWN]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ["\r\n".join(lines).encode() + b"\r\n\r\n" + body]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


HEAD_OF_STREAM = "\r\n".join(
    ("HTTP/1.1 200 OK", "content-type: text/event-stream; charset=utf-8", "transfer-encoding: chunked", *PROVIDERS_OWN, "", "")
).encode()


def stream(*pieces: bytes | object, end: bool = True) -> Script:
    """A chunked stream of server-sent events, one HTTP chunk a piece; marks may stand among them."""
    steps: list[Step] = [HEAD_OF_STREAM]
    steps += [chunk(piece) if isinstance(piece, bytes) else piece for piece in pieces]
    return [*steps, b"0\r\n\r\n"] if end else steps


COMPLETION = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "atlas-2026-03-01",
        "system_fingerprint": "fp_a",
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None, "message": {"role": "assistant", "content": "Hi"}}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27},
    }
).encode()
MESSAGE = json.dumps(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 4, "output_tokens": 7},
    }
).encode()
OK = answer(COMPLETION)


def piece(content: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "logprobs": None, "finish_reason": finish}
    return (
        b"data: "
        + json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}).encode()
        + b"\n\n"
    )


def message_start() -> bytes:
    start: dict[str, Any] = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }
    data = {"type": "message_start", "message": start | {"usage": {"input_tokens": 1, "output_tokens": 1}}}
    return b"event: message_start\ndata: " + json.dumps(data).encode() + b"\n\n"


@contextmanager
def running() -> Iterator[Mock]:
    """The provider, listening."""
    mock = Mock()
    ready = threading.Event()

    async def serve() -> None:
        mock.loop = asyncio.get_running_loop()
        server = await asyncio.start_server(mock.handle, "127.0.0.1", 0, limit=1 << 26)
        mock.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await server.serve_forever()

    def run() -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield mock
    finally:
        assert mock.loop is not None
        loop = mock.loop
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        thread.join(10)

"""What is outside of Detent: a provider with a door that can be shut, and callers that take notes."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import itertools
import json
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from detent.prober import PROMPT
from detent.sim.provider import Provider, serving, simulated
from detent.sim.versions import HONEST, STABLE, VERSIONS
from processes import PATIENCE_S

__all__ = ["HONEST", "STABLE"]

WHOLE = (
    b'{"id":"c","object":"chat.completion","created":0,"model":"'
    + STABLE.encode()
    + b'","choices":[{"index":0,"message":{"role":"assistant","content":"Here."},"finish_reason":"stop"}]}'
)
"""An answer for a scripted provider to give."""

# ── the provider ────────────────────────────────────────────────────────────────────────────────────────────────────


class Door:
    """The simulated provider, behind a door: whoever knocks is counted, and waits while it is shut."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.url = ""
        self._provider = Provider(simulated(1), tuple(VERSIONS))
        self._shuts_after: int | None = None
        self._opened = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def shut_after(self, calls: int) -> None:
        """Let so many more in."""
        self._opened.clear()
        self._shuts_after = len(self.asked) + calls

    def open(self) -> None:
        self._shuts_after = None
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._opened.set)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if PROMPT.encode() in body or scope["method"] == "GET":  # the prober's: it comes when it is due, and waits for nobody
            await self._provider(scope, _once(body), send)
            return
        self.asked.append(asked(body))
        if self._shuts_after is not None and len(self.asked) > self._shuts_after:
            await self._opened.wait()

        await self._provider(scope, _once(body), send)

    @contextmanager
    def on_a_socket(self) -> Iterator[Door]:
        listening, over = threading.Event(), asyncio.Event()

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            async with serving(self) as self.url:
                listening.set()
                await over.wait()

        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        assert listening.wait(PATIENCE_S)
        try:
            yield self
        finally:
            assert self._loop is not None
            self.open()
            self._loop.call_soon_threadsafe(over.set)
            thread.join(PATIENCE_S)


def _once(body: bytes) -> Callable[[], Awaitable[Any]]:
    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def asked(body: bytes) -> tuple[str, str]:
    """A request as it is counted: the version, and a digest of all that was sent."""
    return json.loads(body)["model"], hashlib.sha256(body).hexdigest()


# ── callers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Answered:
    """An answer that a caller has whole."""

    exchange: str
    revision: int
    model: str
    status: int
    text: str


def post(
    url: str, session: str, question: str = "What?", *, stream: bool = False, timeout: float = PATIENCE_S, model: str = "chat"
) -> Answered:
    """One request to the route. Raises OSError or HTTPException when it isn't answered whole."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": question}], "stream": stream})
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)
    try:
        headers = {"content-type": "application/json", "x-detent-session-id": session}
        connection.request("POST", "/v1/chat/completions", body=body, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    answered = re.search(r'"model": ?"([^"]+)"', text)
    exchange, revision = (answer.headers.get(f"x-detent-{name}", "") for name in ("request-id", "revision"))
    return Answered(exchange, int(revision or -1), answered[1] if answered else "", answer.status, text)


class Callers:
    """Apps that make one request a session, some at a time, each session a new user's; what came whole is noted."""

    def __init__(self) -> None:
        self.answered: list[Answered] = []
        self.failed: Counter[str] = Counter()
        self._numbers = itertools.count()
        self._threads: list[threading.Thread] = []

    def send(self, urls: Sequence[str], sessions: int, *, at_once: int = 4) -> None:
        """Begin; `join` waits for the end."""
        numbers = iter([next(self._numbers) for _ in range(sessions)])
        turn = threading.Lock()

        def one_after_the_other() -> None:
            while True:
                with turn:
                    number = next(numbers, None)
                if number is None:
                    return
                try:
                    url = urls[number % len(urls)]
                    self.answered.append(post(url, f"session-{number}", f"What of {number % 40}?", stream=number % 3 == 0))
                except (OSError, http.client.HTTPException) as error:
                    self.failed[type(error).__name__] += 1

        self._threads = [threading.Thread(target=one_after_the_other, daemon=True) for _ in range(at_once)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()

    def all(self, urls: Sequence[str], sessions: int) -> None:
        """Send, and wait for the last answer."""
        self.send(urls, sessions)
        self.join()

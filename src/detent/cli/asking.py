"""Asks an OpenAI-compatible endpoint for recorded prompts: eight at once, patient with overload, honest about what has no answer."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from detent import wire
from detent.compare import Row
from detent.errors import CouldNotRun, InvalidInput
from detent.terms import Answer, Endpoint
from detent.visible import visible
from detent.wire.patience import retry_after

if TYPE_CHECKING:
    from rich.progress import Progress

AT_ONCE = 8
TRIES = 5
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 60.0
TIMEOUT = aiohttp.ClientTimeout(total=600, sock_connect=10)
_OURS = ("model", "messages", "tools", "stream", "stream_options")  # set here: a record's params say the rest


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a request has no answer. `hopeless`: the others will fare no better, so asking ends."""

    why: str
    hopeless: bool


async def ask_all(rows: Sequence[Row], url: str, key: str) -> dict[tuple[str, str], Answer]:
    """The endpoint's answer to each row's messages by the row's version, by (prompt_id, version).

    429, 5xx and failing connections are tried again, five times in all, as late as `retry-after` asks for. Raises InvalidInput for a URL
    or key that can't be used, and CouldNotRun that names the first prompt without an answer and says how many there are.
    """
    asker = _Asker(rows, _checked(url), key)
    await asker.run()
    if asker.failures:
        raise asker.error()
    return asker.answers


def _checked(url: str) -> str:
    hint = "give --through the base URL, like http://127.0.0.1:9000/v1; a key goes into OPENAI_API_KEY"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidInput(f"not an http URL: `{visible(url, one_line=True)}`", hint=hint)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise InvalidInput(f"a URL with more than a host and a path, of host: `{parts.hostname}`", hint=hint)
    return url.rstrip("/") + "/chat/completions"


class _Asker:
    def __init__(self, rows: Sequence[Row], url: str, key: str) -> None:
        if not key.isascii() or not key.isprintable():
            raise InvalidInput(
                "the key in OPENAI_API_KEY holds characters that no header may", hint="set it again, without quotes or breaks"
            )
        self.rows = rows
        self.url = url
        self.headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self.waiting = iter(enumerate(rows))
        self.answers: dict[tuple[str, str], Answer] = {}
        self.failures: dict[int, _Failure] = {}

    async def run(self) -> None:
        """Ask until every row has an answer or a failure, or until one failure says that the rest is hopeless."""
        with _progress() as progress:
            task = progress.add_task("asking", total=len(self.rows)) if progress is not None else None
            async with aiohttp.ClientSession(timeout=TIMEOUT, connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

                async def work() -> None:
                    for number, row in self.waiting:
                        found = await self.ask(session, row)
                        if isinstance(found, Answer):
                            self.answers[row.key] = found
                        else:
                            self.failures[number] = found
                        if progress is not None and task is not None:
                            progress.advance(task)
                        if self.hopeless():
                            return

                await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    def hopeless(self) -> bool:
        """Whether some failure says that there is no use in asking on."""
        return any(failure.hopeless for failure in self.failures.values())

    async def ask(self, session: aiohttp.ClientSession, row: Row) -> Answer | _Failure:
        """One row's answer, after as many tries as it takes."""
        tools = {"tools": list(row.tools)} if row.tools else {}
        params = {name: value for name, value in row.params.items() if name not in _OURS}
        body = json.dumps({"model": row.version, "messages": list(row.messages), **tools, **params}).encode()
        failure = _Failure("not asked", hopeless=True)
        for attempt in range(TRIES):
            found = await self.try_once(session, body, FIRST_PAUSE_S * 2**attempt)
            if isinstance(found, Answer):
                return found
            failure, pause = found
            if pause is None or attempt == TRIES - 1:
                break
            await asyncio.sleep(pause)
        return failure

    async def try_once(self, session: aiohttp.ClientSession, body: bytes, pause: float) -> Answer | tuple[_Failure, float | None]:
        """The answer, or a failure with the seconds to wait before the next try; None when there is no use in another one."""
        try:
            # A redirect is not followed: it would carry the key to wherever it points.
            async with session.post(self.url, data=body, headers=self.headers, allow_redirects=False) as response:
                status, headers, said = response.status, response.headers, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return _Failure(visible(str(error) or type(error).__name__, one_line=True)[:300], hopeless=True), pause
        answer = wire.read_answer(Endpoint.OPENAI_CHAT, status=status, body=said, streamed=False)
        if 200 <= status < 300 and answer.complete and answer.error is None:
            return answer
        why = f"HTTP {status}: {visible(answer.error or 'no whole answer', one_line=True)[:300]}"
        if status != 429 and status < 500:
            return _Failure(why, hopeless=status in (401, 403) or 300 <= status < 400), None
        asked_for = retry_after({name.lower(): value for name, value in headers.items()}, datetime.now(UTC))
        if headers.get("x-should-retry") == "false" or (asked_for or 0) > LONGEST_PAUSE_S:
            return _Failure(why, hopeless=True), None
        return _Failure(why, hopeless=True), asked_for if asked_for is not None else pause

    def error(self) -> CouldNotRun:
        """Names the first prompt in the order of the file, and how many have no answer from one version or both."""
        number = min(self.failures)
        row, failure = self.rows[number], self.failures[number]
        prompts = dict.fromkeys(row.prompt_id for row in self.rows)
        without = {row.prompt_id for row in self.rows if row.key not in self.answers}
        gave_up = "; gave up there" if self.hopeless() else ""
        return CouldNotRun(
            f"no answer to prompt `{visible(row.prompt_id, one_line=True)}` from version `{visible(row.version, one_line=True)}` "
            f"at `{visible(self.url, one_line=True)}`: {failure.why}\n"
            f"{len(without)} of {len(prompts)} prompts have no answer{gave_up}",
            hint="check the URL (it mostly ends in /v1), OPENAI_API_KEY, and that the endpoint serves both versions",
        )


def _progress() -> AbstractContextManager[Progress | None]:
    """A progress bar on stderr when somebody can see it."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(stderr=True), transient=True)

"""One whole request to a version, outside of live traffic: what a baseline run makes its calls with."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from detent.baseline.asking import Ask, Call, Reply
from detent.errors import CouldNotRun
from detent.terms import Dialect, Endpoint, Manifest, Provider
from detent.upstream import Outgoing, Upstream, UpstreamError
from detent.upstream import Reply as Arriving
from detent.wire.headers import for_upstream
from detent.wire.patience import retry_after

_PATHS = {Endpoint.OPENAI_CHAT: "/v1/chat/completions", Endpoint.ANTHROPIC_MESSAGES: "/v1/messages"}

ANTHROPIC_VERSION = "2023-06-01"
"""The API version that every Anthropic-style server accepts: sent where the app's own is not on record."""

FIRST_BYTE_S = 120.0

WHOLE_CALL_S = 600.0
"""From sending to the last byte, as the official SDKs give a whole call: a provider that drips a byte a minute has not answered."""

BODY_BYTES = 8 * 1024 * 1024
"""More than any answer takes; beyond, the provider is not listened to any longer."""


@asynccontextmanager
async def asker(manifest: Manifest, *, whole_call_s: float = WHOLE_CALL_S) -> AsyncIterator[Ask]:
    """A function that asks a version of this pin file's providers, with the providers' own keys from the environment."""
    upstream = Upstream(read_s=min(FIRST_BYTE_S, whole_call_s))
    await upstream.start()

    async def ask(call: Call) -> Reply:
        provider = manifest.providers.get(call.version.provider)
        if provider is None:
            raise CouldNotRun(f"no such provider in the pin file: `{call.version.provider}`")
        began = time.monotonic()
        try:
            async with asyncio.timeout(whole_call_s):
                with await upstream.send(_outgoing(provider, call)) as arriving:
                    body = await _whole(arriving)
        except TimeoutError:
            raise CouldNotRun(f"no whole answer within {whole_call_s:g} s") from None
        except UpstreamError as error:
            raise CouldNotRun(error.detail) from error
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in arriving.headers}
        return Reply(
            arriving.status,
            body,
            latency_s=time.monotonic() - began,
            retry_after_s=retry_after(headers, datetime.now(UTC)),
            retry={"true": True, "false": False}.get(headers.get("x-should-retry", "")),
            headers=headers,
        )

    try:
        yield ask
    finally:
        await upstream.close()


async def model_facts(provider: Provider, model: str, *, whole_call_s: float) -> dict[str, Any]:
    """What the provider's list of models says of one; empty where it says nothing that can be read."""
    upstream = Upstream(read_s=whole_call_s)
    await upstream.start()
    try:
        async with asyncio.timeout(whole_call_s):
            with await upstream.send(_looking_up(provider, model)) as arriving:
                found = json.loads(await _whole(arriving)) if arriving.status == 200 else {}
    except (TimeoutError, UpstreamError, CouldNotRun, ValueError, RecursionError):
        return {}
    finally:
        await upstream.close()
    return found if isinstance(found, dict) else {}


def _looking_up(provider: Provider, model: str) -> Outgoing:
    headers = [(b"user-agent", b"detent")]
    if provider.dialect is Dialect.ANTHROPIC:
        headers.append((b"anthropic-version", ANTHROPIC_VERSION.encode()))
    return Outgoing(
        provider=provider,
        method="GET",
        path=f"/v1/models/{quote(model, safe='')}",
        query="",
        headers=for_upstream(headers, dialect=provider.dialect, key=_key(provider), identity=True),
        body=b"",
    )


def _outgoing(provider: Provider, call: Call) -> Outgoing:
    headers = [(b"content-type", b"application/json"), (b"user-agent", b"detent")]
    if call.endpoint.dialect is Dialect.ANTHROPIC:
        headers.append((b"anthropic-version", (call.api_version or ANTHROPIC_VERSION).encode()))
        headers += [(b"anthropic-beta", ",".join(call.betas).encode())] if call.betas else []
    return Outgoing(
        provider=provider,
        method="POST",
        path=_PATHS[call.endpoint],
        query="",
        headers=for_upstream(headers, dialect=provider.dialect, key=_key(provider), identity=True),
        body=call.body,
    )


def has_key(provider: Provider) -> bool:
    """Whether Detent has a key of this provider's now."""
    return bool(_key(provider))


def _key(provider: Provider) -> str | None:
    return os.environ.get(provider.key_env) if provider.key_env else None


async def _whole(arriving: Arriving) -> bytes:
    parts, size = [], 0
    while part := await arriving.read():
        parts.append(part)
        size += len(part)
        if size > BODY_BYTES:
            raise CouldNotRun(f"an answer larger than {BODY_BYTES // (1024 * 1024)} MB")
    return b"".join(parts)

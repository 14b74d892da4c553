"""One whole request to a version, outside of live traffic: what a baseline run makes its calls with."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from detent.baseline import Ask, Reply
from detent.errors import CouldNotRun
from detent.terms import Dialect, Endpoint, Manifest, Version
from detent.upstream import Outgoing, Upstream, UpstreamError
from detent.wire.headers import for_upstream

_PATHS = {Endpoint.OPENAI_CHAT: "/v1/chat/completions", Endpoint.ANTHROPIC_MESSAGES: "/v1/messages"}

ANTHROPIC_VERSION = b"2023-06-01"
"""The API version that every Anthropic-style server accepts; the baseline does not know yet which one the app sent."""

FIRST_BYTE_S = 120.0


@asynccontextmanager
async def asker(manifest: Manifest) -> AsyncIterator[Ask]:
    """A function that asks a version of this pin file's providers, with the providers' own keys from the environment."""
    upstream = Upstream(read_s=FIRST_BYTE_S)
    await upstream.start()

    async def ask(version: Version, endpoint: Endpoint, body: bytes) -> Reply:
        provider = manifest.providers.get(version.provider)
        if provider is None:
            raise CouldNotRun(f"no such provider in the pin file: `{version.provider}`")
        headers = [(b"content-type", b"application/json"), (b"user-agent", b"detent")]
        if endpoint.dialect is Dialect.ANTHROPIC:
            headers.append((b"anthropic-version", ANTHROPIC_VERSION))
        key = os.environ.get(provider.key_env) if provider.key_env else None
        out = Outgoing(
            provider=provider,
            method="POST",
            path=_PATHS[endpoint],
            query="",
            headers=for_upstream(headers, dialect=provider.dialect, key=key, identity=True),
            body=body,
        )
        try:
            with await upstream.send(out) as reply:
                parts = []
                while part := await reply.read():
                    parts.append(part)
                return Reply(reply.status, b"".join(parts))
        except UpstreamError as error:
            raise CouldNotRun(error.detail) from error

    try:
        yield ask
    finally:
        await upstream.close()

"""Which headers cross the gateway, in either direction: a pure list in, a pure list out.

Everything passes but what belongs to one connection (hop-by-hop), to Detent (`x-detent-*`), or is none of a provider's business
(`baggage` may hold personal data; forwarding headers name the app's own users). What forbids a copy or a record passes: there may be
another gateway on the way. Values pass as they are; credentials are replaced only where a provider's key is given. A mirrored request
says that it is one.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from detent.terms import Dialect
from detent.wire.guard import Headers

_HOP = frozenset(
    (
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
        b"transfer-encoding", b"upgrade",
    )
)  # fmt: skip
_NOT_UPSTREAM = _HOP | {b"host", b"content-length", b"expect", b"baggage", b"forwarded", b"x-real-ip"}
_NOT_UPSTREAM_PREFIXES = (b"x-detent-", b"x-forwarded-")
_OF_THE_FIRST = frozenset((b"traceparent", b"tracestate", b"idempotency-key", b"x-client-request-id"))
"""What names one request and no copy of it. Under one idempotency key a provider answers the second copy with the first one's answer."""

NO_SHADOW = "x-detent-no-shadow"
"""The header that forbids a mirror; a mirrored request carries it, so that no other gateway on its way mirrors it once more."""

_FORBIDS = (NO_SHADOW.encode(), b"x-detent-no-record")

_CREDENTIALS = frozenset((b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key"))


_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What no header value may hold (RFC 9110, 5.5): the server in front would cut the whole answer for it."""


def for_upstream(
    headers: Headers, *, dialect: Dialect, key: str | None, without: Collection[bytes] = (), identity: bool = False
) -> list[tuple[str, str]]:
    """The headers to send upstream. `without` names headers that hold a client key of ours; `identity` asks for an answer without encoding.

    With `key` every credential of the client's is dropped and the provider's key put where its dialect has it (Anthropic: where the
    client had its own, as the API version decides); without it the client's own credentials pass on.
    """
    dropped = _NOT_UPSTREAM | set(without) | _named_by_connection(headers)
    if identity:
        dropped |= {b"accept-encoding"}
    if key is not None:
        dropped |= _CREDENTIALS
    sent = [
        (name.decode("latin-1"), _text(value))
        for name, value in headers
        # An underscore is a hyphen to many a server behind us: `x_detent_route` is ours as well.
        if name not in dropped and (name in _FORBIDS or not name.replace(b"_", b"-").startswith(_NOT_UPSTREAM_PREFIXES))
    ]
    if identity:
        sent.append(("accept-encoding", "identity"))
    if key is not None:
        sent.append(_credential(dialect, key, {name for name, _ in headers}))
    return sent


def for_mirror(
    headers: Headers, *, dialect: Dialect, key: str | None, without: Collection[bytes] = (), trace: str | None, span: str
) -> list[tuple[str, str]]:
    """The headers of a mirrored leg: as `for_upstream` would send them, but in a `span` (16 hex digits) of its own in the same `trace`."""
    own = [(name, value) for name, value in headers if name not in _OF_THE_FIRST and name != NO_SHADOW.encode()]
    sent = for_upstream(own, dialect=dialect, key=key, without=without, identity=True)
    return [*sent, (NO_SHADOW, "1"), *([] if trace is None else [("traceparent", f"00-{trace}-{span}-00")])]


def for_client(headers: Headers, *, status: int, rewritten: bool = False, added: Headers = ()) -> list[tuple[bytes, bytes]]:
    """The headers to answer with. `rewritten` says that body bytes change on the way, so that their former length says nothing."""
    lowered = [(name.lower(), value) for name, value in headers]
    dropped = _HOP | _named_by_connection(lowered)
    if rewritten or status in {204, 304}:  # the server in front would wait for the body that such a length announces
        dropped |= {b"content-length"}
    kept = [(name, value) for name, value in lowered if name not in dropped and not name.startswith(b"x-detent-")]
    return [(name, value) for name, value in kept if not _FORBIDDEN.search(value)] + list(added)


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    named = [token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")]
    return frozenset(named)


def _credential(dialect: Dialect, key: str, names: Collection[bytes]) -> tuple[str, str]:
    if dialect is Dialect.GEMINI:
        return ("x-goog-api-key", key)
    if dialect is Dialect.ANTHROPIC and b"authorization" not in names:
        return ("x-api-key", key)
    return ("authorization", f"Bearer {key}")


def _text(value: bytes) -> str:
    """A header value as the HTTP client will encode it again (UTF-8), so that the bytes come out as they went in where possible."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")

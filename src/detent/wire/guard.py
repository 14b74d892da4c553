"""What is refused before anything looks at a request, and who may come in at all.

The server in front parses HTTP; this is the second line behind it, for what httptools lets pass (two Host headers, huge header
blocks, paths with dot segments) and for credentials that contradict each other. The gateway answers a refusal in the caller's own
protocol shape.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

Headers = Sequence[tuple[bytes, bytes]]

HEADER_BYTES = 64 * 1024
HEADER_COUNT = 128
BODY_BYTES = 32 * 1024 * 1024

CARRIERS = (b"x-detent-key", b"authorization", b"x-api-key", b"x-goog-api-key")
"""The headers in which a client key is looked for."""

_ONCE = (b"authorization", b"x-api-key", b"x-detent-key", b"x-detent-route", b"content-length", b"content-type", b"content-encoding")
_HOST = re.compile(rb"[A-Za-z0-9._\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
# An encoded slash, backslash or NUL, or a path parameter, means one thing to us and another to what stands behind us.
_ODD_PATH = re.compile(rb"//|;|\\|%2f|%5c|%00|[\x00-\x20\x7f]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer of our own: the HTTP status, a code for programs and a sentence for people."""

    status: int
    code: str
    message: str


def check(path: str, raw_path: bytes, headers: Headers) -> Refusal | None:
    """What is wrong with a request line and its headers (names in lower case), or None. `path` is decoded, `raw_path` as sent."""
    if len(headers) > HEADER_COUNT or sum(len(name) + len(value) for name, value in headers) > HEADER_BYTES:
        return Refusal(431, "headers_too_large", f"at most {HEADER_COUNT} headers and {HEADER_BYTES // 1024} KB of them are taken")
    names = [name for name, _ in headers]
    values = dict(headers)
    if names.count(b"host") != 1 or not _HOST.fullmatch(values[b"host"]):
        return Refusal(400, "invalid_host", "exactly one valid Host header is needed")
    if not raw_path.startswith(b"/") or _ODD_PATH.search(raw_path) or not {".", ".."}.isdisjoint(path.split("/")):
        return Refusal(400, "invalid_path", "the path is not in its canonical form")
    for name in _ONCE:
        if names.count(name) > 1:
            return Refusal(400, "duplicate_header", f"more than one header: `{name.decode()}`")
    if b"content-length" in values and b"transfer-encoding" in values:
        return Refusal(400, "ambiguous_length", "Content-Length and Transfer-Encoding contradict each other")
    length = values.get(b"content-length", b"0")
    if not length.isdigit():
        return Refusal(400, "ambiguous_length", "Content-Length is not a number")
    if len(length) > 18 or int(length) > BODY_BYTES:
        return too_large()
    # An HTTP client may offer h2c with any request, and may be ignored; everything else that wants to leave HTTP would hang here.
    if values.get(b"upgrade", b"h2c").lower() != b"h2c":
        return Refusal(426, "upgrade_refused", "only plain HTTP requests are served here, no WebSockets")
    if b"authorization" in values and b"x-api-key" in values and _token(values[b"authorization"]) != values[b"x-api-key"].strip():
        return Refusal(400, "conflicting_credentials", "Authorization and x-api-key hold different keys; send one of them")
    return None


def too_large() -> Refusal:
    """The refusal of a body over the limit."""
    return Refusal(413, "request_too_large", f"the body is larger than {BODY_BYTES // (1024 * 1024)} MB")


def key_digests(text: str) -> tuple[bytes, ...]:
    """SHA-256 digests of the client keys in a comma-separated list."""
    return tuple(hashlib.sha256(key.strip().encode()).digest() for key in text.split(",") if key.strip())


def admitted(headers: Headers, digests: Sequence[bytes]) -> frozenset[bytes]:
    """The names of the headers that hold a client key; empty means that nobody known is calling. Compared in constant time."""
    found = set()
    for name, value in headers:
        if name in CARRIERS:
            digest = hashlib.sha256(_token(value)).digest()
            # Every key is compared, whichever matches: the time taken says nothing about which one it was.
            if sum(hmac.compare_digest(digest, known) for known in digests):
                found.add(name)
    return frozenset(found)


def _token(value: bytes) -> bytes:
    """A credential without its scheme."""
    scheme, _, rest = value.strip().partition(b" ")
    return rest.strip() if rest and scheme.lower() == b"bearer" else value.strip()

"""Detent's gateway down is not your product down: a transport for the official `openai` and `anthropic` clients."""

import json
import tomllib
from pathlib import Path

import httpx2


def pins(file: str = "detent.toml") -> dict[str, str]:
    """The approved version of each route, as the pin file has it: ship it with the app."""
    return {name: route["version"] for name, route in tomllib.loads(Path(file).read_text())["routes"].items()}


class OrProvider(httpx2.BaseTransport):
    """Asks the gateway; where nothing listens, the provider itself, for the pinned version in place of the route."""

    def __init__(self, gateway: str, provider: str, pins: dict[str, str], key: dict[str, str] | None = None) -> None:
        self.gateway, self.provider, self.pins, self.key = gateway, provider, pins, key or {}
        self.wire = httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """One try of the client's, which retries by itself what breaks later than this."""
        try:
            return self.wire.handle_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):  # nothing was sent, so nothing is asked twice
            url = str(request.url).replace(self.gateway, self.provider, 1)
            asked = json.loads(request.read())
            asked["model"] = self.pins.get(asked["model"], asked["model"])
            kept = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
            direct = httpx2.Request(request.method, url, headers=kept | self.key, json=asked, extensions=request.extensions)
            return self.wire.handle_request(direct)

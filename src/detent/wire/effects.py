"""Whether a request does more than ask: such a one is never sent twice."""

from __future__ import annotations

from typing import Any

import msgspec


class _Effects(msgspec.Struct):
    """The members of a request that make a provider do or keep something beyond answering."""

    store: Any = None
    background: Any = None
    conversation: Any = None
    previous_response_id: Any = None
    web_search_options: Any = None
    container: Any = None
    mcp_servers: Any = None
    tools: Any = None


_CLIENT_TOOLS = ("function", "custom", "bash_", "text_editor_", "computer_", "memory_")
"""Types of tools that the client runs, so that a mirrored call of one is only text. Every other type is run by the provider."""


def has_effects(body: bytes) -> bool:
    """Whether a request may act on the provider's side (stored conversations, searches, containers, MCP servers); True when in doubt."""
    try:
        asked = msgspec.json.decode(body, type=_Effects)
    except (msgspec.DecodeError, RecursionError):
        return True
    if any((asked.store, asked.background, asked.conversation, asked.previous_response_id, asked.container, asked.mcp_servers)):
        return True
    if asked.web_search_options is not None:
        return True
    if asked.tools is None:
        return False
    if not isinstance(asked.tools, list):
        return True
    return not all(isinstance(tool, dict) and str(tool.get("type", "custom")).startswith(_CLIENT_TOOLS) for tool in asked.tools)

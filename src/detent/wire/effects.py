"""What a request does beyond asking: one that does anything is never sent twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from detent.wire.json_text import an_object


class _Effects(msgspec.Struct):
    """The members of a request that make a provider do or keep something beyond answering."""

    store: Any = None
    background: Any = None
    conversation: Any = None
    previous_response_id: Any = None
    web_search_options: Any = None
    container: Any = None
    mcp_servers: Any = None
    plugins: Any = None
    search_parameters: Any = None
    enable_search: Any = None
    data_sources: Any = None
    compound_custom: Any = None
    extra_body: Any = None
    tools: Any = None
    messages: msgspec.Raw = msgspec.Raw(b"")
    system: msgspec.Raw = msgspec.Raw(b"")


_DECODER = msgspec.json.Decoder(_Effects)
_ANY = msgspec.json.Decoder()

_MEMBERS = (
    ("store", "store"),
    ("background", "background"),
    ("conversation", "conversation"),
    ("previous_response_id", "conversation"),
    ("container", "container"),
    ("mcp_servers", "mcp"),
    ("plugins", "plugins"),
    ("search_parameters", "web_search"),
    ("enable_search", "web_search"),
    ("data_sources", "data_sources"),
    ("compound_custom", "other_tool"),
    ("extra_body", "extra_body"),
)

_APPS_TOOLS = ("function", "custom")
_CLIENT_TOOLS = ("bash_", "text_editor_", "computer_", "memory_")
"""Types of tools that the client runs, so that a mirrored call of one is only text. Every other type is run by the provider."""

_SERVER_TOOLS = (
    ("web_search", "web_search"),
    ("web_fetch", "web_fetch"),
    ("code_", "code_execution"),
    ("mcp", "mcp"),
    ("file_search", "files"),
    ("image_generation", "image_generation"),
)
OTHER_TOOL = "other_tool"
UNREADABLE = "unreadable"

_MAY_NAME_A_FILE = re.compile(rb'file_id|"audio"|\\u00[0-7]')
"""What is kept at the provider has one of these members, and an escape may spell it: without any no message has to be looked through."""

_APPS_OWN = "input"
"""The member of a tool's call that holds what the app calls its tool with: a file in there is the app's."""


def effect_of(body: bytes) -> str:
    """What a request does on the provider's side, as one of a few words (`web_search`, `store`, `files`, ...); empty if it only asks.

    What cannot be read is `unreadable`, and a tool of the provider's that is not known `other_tool`: nothing in doubt is sent twice.
    """
    try:
        asked = _DECODER.decode(body)
        for member, what in _MEMBERS:
            if getattr(asked, member):
                return what
        if asked.web_search_options is not None:
            return "web_search"
        return _of_tools(asked.tools) or _of_messages(bytes(asked.messages)) or _of_messages(bytes(asked.system))
    except (msgspec.DecodeError, RecursionError):
        return UNREADABLE


def _of_tools(tools: object) -> str:
    if tools is None:
        return ""
    if not isinstance(tools, list):
        return UNREADABLE
    return next((what for tool in tools if (what := _of_tool(tool))), "")


def _of_tool(tool: object) -> str:
    if not isinstance(tool, dict):
        return UNREADABLE
    kind = str(tool.get("type", "custom" if "name" in tool and "input_schema" in tool else ""))
    if kind in _APPS_TOOLS or kind.startswith(_CLIENT_TOOLS):
        return ""
    return next((what for beginning, what in _SERVER_TOOLS if kind.startswith(beginning)), OTHER_TOOL)


def _of_messages(messages: bytes) -> str:
    """Files at the provider are another's at another provider, or gone under another key; a container keeps what is put into it."""
    if not _MAY_NAME_A_FILE.search(messages):
        return ""
    for part in _objects(_ANY.decode(messages)):
        if part.get("type") == "container_upload":
            return "container"
        if "file_id" in part or "file_ids" in part or (part.get("role") == "assistant" and "id" in an_object(part.get("audio"))):
            return "files"
    return ""


def _objects(value: object) -> Iterator[dict[str, Any]]:
    """Every object in it, however deep: parts of messages have parts of their own."""
    if isinstance(value, list):
        for one in value:
            yield from _objects(one)
    elif isinstance(value, dict):
        yield value
        for name, member in value.items():
            if name != _APPS_OWN:
                yield from _objects(member)

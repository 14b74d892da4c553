"""What all tables of the pin file have in common."""

from __future__ import annotations

from typing import ClassVar


class FileTable:
    """A table of the pin file: a key that it does not know is an error (read by pydantic, which the terms themselves don't need)."""

    __slots__ = ()
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

"""YAML as plain data: no tags, no aliases, few layers; every value knows its line, and only JSON's kinds of value are told apart.

YAML's other readings (`yes` is true, `1:30` is ninety, a date is a date) would change a prompt; here they stay the text that was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

from detent.formats.reasons import NESTED, NOT_YAML, Unusable

MAX_LAYERS = 64
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?[0-9]{1,300}\.[0-9]{1,300}")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
_TAGS = frozenset({"!"} | {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map")})


def compose(text: str) -> yaml.Node | None:
    """The nodes of a document; None for an empty one. Raises Unusable: no YAML, an alias, a tag of a language, too many layers."""
    try:
        layers = 0
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.AliasEvent):
                raise Unusable(NOT_YAML, f"an alias on line {_line(event)}: aliases are not followed")
            tag = getattr(event, "tag", None)
            if tag and tag not in _TAGS:
                raise Unusable(NOT_YAML, f"a tag on line {_line(event)}: `{tag[:60]}`")
            layers += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if layers > MAX_LAYERS:
                raise Unusable(NESTED, f"more than {MAX_LAYERS} layers on line {_line(event)}")
        found: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise Unusable(NOT_YAML, f"{where}{getattr(error, 'problem', None) or error}") from error
    return found


def _line(found: Any) -> int:
    """The line, from 1, on which a node or an event begins."""
    return int(found.start_mark.line) + 1


def value(node: yaml.Node | None) -> Any:
    """A node as plain data; of two equal keys the last counts, and every key is a text."""
    if isinstance(node, yaml.MappingNode):
        return {_scalar_text(key): value(inner) for key, inner in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [value(inner) for inner in node.value]
    return _scalar(node) if isinstance(node, yaml.ScalarNode) else None


def _scalar_text(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise Unusable(NOT_YAML, f"a key on line {_line(node)} that is no text")
    return sound(node.value)


def _scalar(node: yaml.ScalarNode) -> Any:
    text = node.value
    if node.style:  # quoted or a block; a plain one is None or empty, by the loader
        return sound(text)
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    readings: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = ((_INTEGER, int), (_FLOAT, float))
    return next((read(text) for pattern, read in readings if pattern.fullmatch(text)), sound(text))


def sound(text: str) -> str:
    """The text with halves of surrogate pairs, which YAML's escapes can write, as U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

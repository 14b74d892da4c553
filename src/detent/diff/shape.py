"""JSON and code inside an answer, read leniently: where it stands, what frames it, which keys it has, and how two of them differ.

Shared by the named changes and the checks. Pure, linear in the text, and nothing here raises on any input.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache, partial
from itertools import islice
from typing import Any, NoReturn

FENCE = "```"
_INFO = re.compile(r"[^\S\n]*[\w+.#-]*[^\S\n]*\n|json\b", re.IGNORECASE)
# To be looked for after a "\n": a branch for the beginning of the text would be tried everywhere, while `re` jumps to two characters.
_STANDS_ALONE = re.compile(r"[\n:][^\S\n]*([{\[])")
_ESCAPE = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})")
_DEEPEST = 64  # levels of nesting that are compared; paths grow with depth, and a hostile answer nests thousands

Path = tuple[str, ...]
"""Where a value stands: keys from the root, and `[]` for any item of a list."""


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON value and the half-open range of the text it takes up, its fence included."""

    value: Any
    start: int
    end: int


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"not JSON: {constant}")


def _float(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _int(text: str) -> float | int:
    return int(text) if len(text) < 4000 else float(text)  # int() itself refuses more than 4300 digits


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_float, parse_int=_int)
_VERBATIM = json.JSONDecoder(parse_constant=_refuse, parse_float=str, parse_int=str)


def whole_json(text: str, *, verbatim: bool = False) -> Json | None:
    """The whole text as one JSON value by RFC 8259 (no NaN), or None. 1.0 is read as 1; `verbatim` leaves numbers as their own text.

    Do not change the value: it is kept for a while, as many detectors and checks ask for that of the same answer.
    """
    return (_verbatim if verbatim else _whole)(text)


@lru_cache(maxsize=16)
def _whole(text: str) -> Json | None:
    return _decoded(_DECODER, text)


@lru_cache(maxsize=4)
def _verbatim(text: str) -> Json | None:
    return _decoded(_VERBATIM, text)


_BEGINS = frozenset('{["-0123456789tfn') | {""}


def _decoded(decoder: json.JSONDecoder, text: str) -> Json | None:
    if text.lstrip(" \t\n\r")[:1] not in _BEGINS:  # prose, for which an error with line and column would be made
        return None
    try:
        return Json(decoder.decode(text), 0, len(text))
    except (ValueError, RecursionError):
        return None


def find_json(text: str, *, verbatim: bool = False) -> Json | None:
    """The JSON object or array that an answer carries: the whole text, inside a code fence, or standing by itself in prose; else None."""
    if "{" not in text and "[" not in text:
        return None
    read = partial(whole_json, verbatim=verbatim)
    whole = read(text)
    if whole is not None:
        return whole if isinstance(whole.value, dict | list) else None
    blocks = fenced(text)
    if not blocks:
        return _json_in_prose(text, _VERBATIM if verbatim else _DECODER)
    # A string in fenced JSON may hold a fence itself: the outermost pair is one more place to look.
    outermost = Block(blocks[0].opens, blocks[0].start, text.rfind(FENCE), blocks[-1].closes, closed=True)
    for block in (*blocks[:4], outermost):
        inner = read(text[block.start : block.end])
        if inner is not None and isinstance(inner.value, dict | list):
            return Json(inner.value, block.opens, block.closes)
    return None


def _json_in_prose(text: str, decoder: json.JSONDecoder) -> Json | None:
    """JSON that begins a line or follows a colon. Lists of plain values are left out: `[1]` and `[Yes]` are prose."""
    for found in islice(_STANDS_ALONE.finditer("\n" + text), 4):
        start = found.start(1) - 1
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if value and (isinstance(value, dict) or any(isinstance(item, dict) and item for item in value)):
            return Json(value, start, end)
    return None


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))  # `json.dumps` would make one for each value


def canonical(value: Any) -> str:
    """One text for equal JSON values: keys sorted, no white space."""
    try:
        return _ENCODER.encode(value)
    except (ValueError, TypeError, RecursionError):
        return repr(type(value))


def equal(one: Any, other: Any) -> bool:
    """Whether two JSON values have the same canonical text."""
    try:
        if one != other:  # the cheap question comes first; true and 1 are equal for it
            return False
    except RecursionError:
        pass  # it nests just as deep as can be read
    return canonical(one) == canonical(other)


def canonical_arguments(text: str) -> str:
    """The canonical JSON of a tool call's arguments; what is no JSON stands for itself, trimmed."""
    found = whole_json(text)
    return canonical(found.value) if found is not None else text.strip()


def strings(value: Any) -> list[str]:
    """The strings among the values of a JSON, in order."""
    found, waiting = list[str](), [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, str):
            found.append(here)
        elif isinstance(here, dict):
            waiting.extend(reversed(here.values()))
        elif isinstance(here, list):
            waiting.extend(reversed(here))
    return found


# ── fences, frames and escapes ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: `opens` and `closes` bound it with its fences, `start` and `end` without them and without the language's name."""

    opens: int
    start: int
    end: int
    closes: int
    closed: bool


def has_fence(text: str) -> bool:
    """Whether three backticks stand anywhere in the text: most often not one does, which is seen much faster."""
    return "`" in text and FENCE in text


def fenced(text: str) -> list[Block]:
    """The blocks between fences of three or more backticks, in order; the last one may be open to the end of the text."""
    blocks: list[Block] = []
    at = text.find(FENCE) if has_fence(text) else -1
    while at >= 0:
        inside = _after_backticks(text, at)
        info = _INFO.match(text, inside)
        start = info.end() if info else inside
        close = text.find(FENCE, inside)
        if close < 0:
            blocks.append(Block(at, start, len(text), len(text), closed=False))
            break
        after = _after_backticks(text, close)
        blocks.append(Block(at, min(start, close), close, after, closed=True))
        at = text.find(FENCE, after)
    return blocks


def _after_backticks(text: str, at: int) -> int:
    while at < len(text) and text[at] == "`":
        at += 1
    return at


@dataclass(frozen=True, slots=True)
class Frame:
    """An answer that carries JSON or code: what comes before and after, trimmed, and the text of the core."""

    opening: str
    core: str
    closing: str


def frame(text: str, found: Json | None) -> Frame | None:
    """What stands around the JSON `found` in the text or, without any, around its fenced blocks; None for an answer without both."""
    if found is not None:
        return Frame(text[: found.start].strip(), text[found.start : found.end], text[found.end :].strip())
    blocks = fenced(text)
    if not blocks:
        return None
    core = "\n".join(text[b.start : b.end] for b in blocks)
    return Frame(text[: blocks[0].opens].strip(), core, text[blocks[-1].closes :].strip())


def escapes(text: str) -> dict[str, int]:
    """The characters that the text spells as a literal backslash-u escape, surrogate pairs joined, with how often."""
    return Counter(_unescaped(m) for m in _ESCAPE.finditer(text)) if "\\" in text and "\\u" in text else {}


def unescape(text: str) -> str:
    """The text with its literal backslash-u escapes turned into the characters they stand for."""
    return _ESCAPE.sub(_unescaped, text) if "\\" in text and "\\u" in text else text  # a single character is found much faster


def _unescaped(found: re.Match[str]) -> str:
    if found[3] is not None:
        return chr(int(found[3], 16))
    return chr(0x10000 + ((int(found[1], 16) - 0xD800) << 10) + int(found[2], 16) - 0xDC00)


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Place:
    """All values at one path: their JSON types, the values, and how many of them are objects."""

    types: set[str]
    values: list[Any]
    objects: int = 0


def places(value: Any) -> dict[Path, Place]:
    """Every path of a JSON value, down to 64 levels, with what stands there."""
    found: dict[Path, Place] = {}
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:
        path, here = waiting.pop()
        place = found.get(path)
        if place is None:
            place = found[path] = Place({json_type(here)}, [here])
        else:
            place.types.add(json_type(here))
            place.values.append(here)
        if len(path) >= _DEEPEST:
            continue
        if isinstance(here, dict):
            place.objects += 1
            waiting.extend([((*path, key), item) for key, item in here.items()])
        elif isinstance(here, list):
            items = (*path, "[]")
            waiting.extend([(items, item) for item in here])
    return found


def key_paths(found: Iterable[Path]) -> list[Path]:
    """The paths that end in a key, in order."""
    return [path for path in found if path and path[-1] != "[]"]


def in_both(before: dict[Path, Place], after: dict[Path, Place]) -> list[tuple[Path, Place, Place]]:
    """The paths that both have, with what stands there."""
    if list(before) == list(after):  # the usual case, in which no path has to be looked up
        return list(zip(before, before.values(), after.values(), strict=True))
    return [(path, place, after[path]) for path, place in before.items() if path in after]


_TYPE_NAMES: dict[type[Any], str] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
    list: "array",
    dict: "object",
}


def json_type(value: Any) -> str:
    """The JSON name of a value's type."""
    return _TYPE_NAMES.get(type(value), "unknown")


def show_path(path: Path) -> str:
    """A path as people write it, like `items[].name`; the root is `$`."""
    text = ""
    for part in path:
        text += part if part == "[]" or not text else f".{part}"
    return text or "$"


@dataclass(frozen=True, slots=True)
class KeyChanges:
    """How the keys of two JSON values differ. Only the topmost key is named: what stands below a missing key is not missing once more."""

    missing: tuple[Path, ...] = ()
    added: tuple[Path, ...] = ()
    renamed: tuple[tuple[Path, Path], ...] = ()
    retyped: tuple[tuple[Path, str, str], ...] = ()


def compare_keys(before: dict[Path, Place], after: dict[Path, Place]) -> KeyChanges:
    """Keys gone, new, renamed, and values whose type changed. In a list of objects a key is missing once some item lacks what all had."""
    both = in_both(before, after)
    if len(both) == len(before) == len(after) and _as_often(both):
        missing, added, renamed = list[Path](), list[Path](), tuple[tuple[Path, Path], ...]()
    else:
        missing = [p for p in before if _gone(p, before, after)]
        added = [p for p in after if p and p[-1] != "[]" and p not in before and _objects(before, p[:-1])]
        renamed = tuple(_renamings(missing, added, before, after))
    moved = {path for pair in renamed for path in pair}
    retyped = tuple([(path, _types(place), _types(other)) for path, place, other in both if not other.types <= place.types])
    return KeyChanges(tuple(p for p in missing if p not in moved), tuple(p for p in added if p not in moved), renamed, retyped)


def _as_often(both: list[tuple[Path, Place, Place]]) -> bool:
    """Whether at each path there are as many values and as many objects as before: no key is gone or new then."""
    return all(len(place.values) == len(other.values) and place.objects == other.objects for _, place, other in both)


def _objects(found: dict[Path, Place], path: Path) -> int:
    place = found.get(path)
    return place.objects if place is not None else 0


def _gone(path: Path, before: dict[Path, Place], after: dict[Path, Place]) -> bool:
    if not path or path[-1] == "[]":
        return False
    asked = _objects(after, path[:-1])
    having = len(after[path].values) if path in after else 0
    always = len(before[path].values) == _objects(before, path[:-1])
    return having < asked if always else asked > having == 0


def _types(place: Place) -> str:
    return " or ".join(sorted(place.types))


def _renamings(missing: list[Path], added: list[Path], before: dict[Path, Place], after: dict[Path, Place]) -> Iterator[tuple[Path, Path]]:
    """Pairs of one key gone and one new in the same object, best match first: same values, then similar names."""
    gone_in, new_in = _by_parent(p for p in missing if p not in after), _by_parent(added)
    budget = 2000  # pairs in all: a hostile answer may lose thousands of keys
    for parent, gone in gone_in.items():
        new = new_in.get(parent, [])
        alone = len(gone) == len(new) == 1
        respelt = {_plain_name(n): n for n in new}
        pairs = [(g, respelt.pop(_plain_name(g))) for g in gone if _plain_name(g) in respelt]
        yield from pairs
        free = {*gone, *new}.difference(*pairs)
        olds, news = [g for g in gone if g in free], [n for n in new if n in free]
        budget -= len(olds) * len(news)
        if budget < 0:
            return
        same = _same_values(before, after, alone=alone)
        likely = [(same(g, n), _similar(g[-1], n[-1]), g, n) for g in olds for n in news]
        for equal, alike, g, n in sorted(likely, key=lambda row: (row[0], row[1]), reverse=True):
            if (equal or alike) and g in free and n in free:
                free -= {g, n}
                yield g, n


def _plain_name(path: Path) -> str:
    return "".join(_name_parts(path[-1])) or path[-1]


def _by_parent(paths: Iterable[Path]) -> dict[Path, list[Path]]:
    grouped: dict[Path, list[Path]] = {}
    for path in paths:
        grouped.setdefault(path[:-1], []).append(path)
    return grouped


def _same_values(before: dict[Path, Place], after: dict[Path, Place], *, alone: bool) -> Callable[[Path, Path], bool]:
    """Whether two keys hold the same. Values that say little (null, true, "") only count when there is no other pair to mistake."""
    texts: dict[tuple[int, Path], str] = {}

    def text(side: int, path: Path) -> str:
        if (side, path) not in texts:
            texts[side, path] = canonical((before, after)[side][path].values)
        return texts[side, path]

    return lambda g, n: text(0, g) == text(1, n) and (alone or len(text(0, g)) > len("[false]"))


def _similar(one: str, other: str) -> bool:
    if len(one) > 64 or len(other) > 64:
        return False
    a, b = _name_parts(one), _name_parts(other)
    if not a or not b:
        return False
    return set(a) <= set(b) or set(b) <= set(a) or SequenceMatcher(None, "".join(a), "".join(b)).ratio() >= 0.75


def _name_parts(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W_]+", spaced.lower())

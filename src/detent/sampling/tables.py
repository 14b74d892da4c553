"""Exchanges as sampling sees them, in columns: about 300 bytes each, so that a million of them are compared in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detent.sampling.features import STRATA, Features
from detent.sampling.near import EDGE_PLACES, PLACES, Signatures, signatures

_BATCH = 1_000  # exchanges whose signatures are worked out together
_ENDED = 1 << 20


@dataclass(frozen=True, slots=True)
class Table:
    """Exchanges as sampling sees them, a row for each: `key` fetches it, `prompt` names its prompt, `rank` prefers it among its equals.

    `strata` (n, dimensions) are codes into `values`, one list of names for each dimension; `templates` counts the exchanges of each.
    """

    key: list[str]
    prompt: NDArray[np.uint64]
    apart: NDArray[np.uint64]
    whole: Signatures
    edges: Signatures
    at_us: NDArray[np.int64]
    rank: NDArray[np.int64]
    strata: NDArray[np.int32]
    values: tuple[list[str], ...]
    templates: dict[str, int]


class Tabled:
    """Collects features into tables."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, int, int, Features]] = []
        self._parts: list[Table] = []
        self._codes: tuple[dict[str, int], ...] = tuple({} for _ in STRATA)
        self._templates: dict[str, int] = {}

    def add(self, key: str, at_us: int, features: Features, *, ended: bool) -> None:
        """One exchange. Of those of one turn the one that went furthest is preferred: it ended in words, or has most tool results."""
        self._rows.append((key, at_us, _ENDED if ended else features.steps, features))
        if len(self._rows) == _BATCH:
            self._flush()

    def table(self) -> Table:
        """All that was added."""
        self._flush()
        values = tuple(list(codes) for codes in self._codes)
        return _joined(self._parts, values, self._templates)

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        features = [row[3] for row in rows]
        coded = [[codes.setdefault(value, len(codes)) for codes, value in zip(self._codes, f.strata, strict=True)] for f in features]
        for f in features:
            self._templates[f.template] = self._templates.get(f.template, 0) + 1
        self._parts.append(
            Table(
                key=[row[0] for row in rows],
                prompt=_names(f.prompt for f in features),
                apart=_names(f.apart for f in features),
                whole=signatures([f.whole for f in features], PLACES),
                edges=signatures([f.edges for f in features], EDGE_PLACES),
                at_us=np.array([row[1] for row in rows], dtype=np.int64),
                rank=np.array([row[2] for row in rows], dtype=np.int64),
                strata=np.array(coded, dtype=np.int32).reshape(-1, len(STRATA)),
                values=(),
                templates={},
            )
        )


def _names(keys: Iterable[bytes]) -> NDArray[np.uint64]:
    """Half of each key, as a number: two of a million differ in one half and not in the other once in 10^7 baselines."""
    return np.frombuffer(b"".join(key[:8] for key in keys), dtype=np.uint64)


def together(tables: Iterable[Table]) -> Table:
    """Tables as one, in their order."""
    codes: tuple[dict[str, int], ...] = tuple({} for _ in STRATA)
    templates: Counter[str] = Counter()
    parts = []
    for table in tables:
        translated = np.empty_like(table.strata)
        for d, (known, values) in enumerate(zip(codes, table.values, strict=True)):
            new = np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int32)
            translated[:, d] = new[table.strata[:, d]] if len(values) else table.strata[:, d]
        templates.update(table.templates)
        parts.append(replace(table, strata=translated))
    return _joined(parts, tuple(list(known) for known in codes), dict(templates))


def _joined(parts: list[Table], values: tuple[list[str], ...], templates: dict[str, int]) -> Table:
    """Tables whose strata have one numbering, as one. The list is emptied: only one column at a time is held twice."""
    columns = {name: [getattr(table, name) for table in parts] for name in _ARRAYS}
    key = [name for table in parts for name in table.key]
    parts.clear()
    arrays: dict[str, Any] = {}
    for name, (shape, kind) in _ARRAYS.items():
        arrays[name] = np.concatenate([np.empty((0, *shape), kind), *columns.pop(name)])
    return Table(key=key, values=values, templates=templates, **arrays)


_ARRAYS: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
    "prompt": ((), np.uint64),
    "apart": ((), np.uint64),
    "whole": ((PLACES,), np.uint16),
    "edges": ((EDGE_PLACES,), np.uint16),
    "at_us": ((), np.int64),
    "rank": ((), np.int64),
    "strata": ((len(STRATA),), np.int32),
}

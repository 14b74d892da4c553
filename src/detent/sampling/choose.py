"""From all recorded exchanges to the prompts that become cases: duplicates go, strata stay, weights add up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detent.sampling.draw import draw
from detent.sampling.features import STRATA
from detent.sampling.near import Likeness, near_duplicates
from detent.sampling.tables import Table, together
from detent.sampling.traffic import OTHER, TEMPLATES, shares

CANDIDATES = 3
"""Exchanges that are offered for each prompt: the first whose answer holds is taken."""

CELL = STRATA.index("season")
"""How many dimensions make a cell for the coverage: all before the season, which changes no answer."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A prompt that was drawn: the exchanges that recorded it, the preferred one first, what it stands for, and where it stands."""

    keys: tuple[str, ...]
    weight: float
    strata: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was drawn from `read` usable exchanges with `prompts` different prompts of `kinds` kinds (near-duplicates are of one kind)."""

    picks: tuple[Pick, ...] = ()
    read: int = 0
    prompts: int = 0
    kinds: int = 0
    since_us: int = 0
    until_us: int = 0
    coverage: float = 0.0
    templates: dict[str, float]
    shares: dict[str, dict[str, float]]


def choose(tables: Iterable[Table], limit: int) -> Choice:
    """At most `limit` prompts of the exchanges in these tables, the newest first. Deterministic for the same tables.

    Exchanges with the same prompt are one, then its near-duplicates; the newest of each kind is kept and carries the weight of all.
    """
    table = together(tables)
    n = len(table.key)
    if n == 0:
        return Choice(templates={}, shares={})
    # Equal prompts side by side, the preferred exchange of each first; what is equal in all keeps its order.
    rows = np.lexsort((-table.at_us, -table.rank, table.prompt))
    begins = np.flatnonzero(np.append(True, table.prompt[rows][1:] != table.prompt[rows][:-1]))
    sizes = np.diff(np.append(begins, n))
    newest = np.lexsort((table.prompt[rows[begins]], -table.at_us[rows[begins]]))
    begins, sizes = begins[newest], sizes[newest]
    first = rows[begins]
    stands_for = near_duplicates(Likeness(table.whole[first], table.edges[first], table.apart[first]))
    kept = np.flatnonzero(stands_for == np.arange(len(first)))
    weights = np.bincount(stands_for, weights=sizes.astype(np.float64), minlength=len(first))[kept].astype(np.float64)
    names, codes, wanted = _folded(table)
    drawn = draw(weights, codes[first[kept]], table.prompt[first[kept]], limit, shares=wanted, coverage_of=CELL)
    picks = []
    for row, weight in zip(drawn.rows, drawn.weights, strict=True):
        prompt = kept[row]
        offered = rows[begins[prompt] : begins[prompt] + min(sizes[prompt], CANDIDATES)]
        strata = {STRATA[d]: names[d][code] for d, code in enumerate(codes[first[prompt]])}
        picks.append(Pick(tuple(table.key[i] for i in offered), float(weight), strata))
    known = table.at_us[table.at_us > 0]
    frequent = sorted(table.templates.items(), key=lambda item: (-item[1], item[0]))[:TEMPLATES]
    return Choice(
        picks=tuple(picks),
        read=n,
        prompts=len(first),
        kinds=len(kept),
        since_us=int(known.min()) if len(known) else 0,
        until_us=int(known.max(initial=0)),
        coverage=drawn.coverage,
        templates={template: count / n for template, count in frequent},
        shares={name: dict(zip(names[d], map(float, wanted[d]), strict=True)) for d, name in enumerate(STRATA)},
    )


def _folded(table: Table) -> tuple[list[list[str]], NDArray[np.int64], list[NDArray[np.float64]]]:
    """(names, codes, shares) of each dimension among all exchanges, the rare values folded into one."""
    names, columns, wanted = [], [], []
    for d, values in enumerate(table.values):
        counts = np.bincount(table.strata[:, d], minlength=len(values))
        found = shares(dict(zip(values, counts.tolist(), strict=True)))
        place = {value: at for at, value in enumerate(found)}
        fold = np.array([place.get(value, place.get(OTHER, -1)) for value in values], dtype=np.int64)
        names.append(list(found))
        columns.append(fold[table.strata[:, d]])
        wanted.append(np.array(list(found.values())))
    return names, np.stack(columns, axis=1), wanted

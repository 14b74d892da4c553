"""How far two who sort the same things agree beyond chance: Cohen's kappa, with an interval. Pure.

Cohen (1960), "A coefficient of agreement for nominal scales", eq. 1: kappa = (po - pe) / (1 - pe), where po is the share of things on which
both agree and pe = sum_i p_i. p_.i what two would agree on who sort as often into each class, but by lot.

Standard error by Fleiss, Cohen and Everitt (1969), as in Fleiss (1981), "Statistical Methods for Rates and Proportions", 2nd ed., 13.1:

    A = sum_i p_ii [1 - (p_i. + p_.i)(1 - kappa)]^2
    B = (1 - kappa)^2 sum_{i != j} p_ij (p_.i + p_j.)^2
    C = [kappa - pe (1 - kappa)]^2
    se = sqrt(A + B - C) / ((1 - pe) sqrt(n))

That error is nothing where all agree, however few they are. The interval is therefore never narrower than the one that Wilson's interval
(1927) for po gives with pe held fixed: 5 pairs in full agreement prove little, 100 prove much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_Z = 1.959963984540054  # the 97.5 % point of the normal distribution


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cohen's kappa over `n` things, its standard error, and a 95 % interval; `observed` and `chance` are po and pe."""

    n: int
    observed: float
    chance: float
    kappa: float
    error: float
    low: float
    high: float


def kappa(table: Sequence[Sequence[int]]) -> Agreement | None:
    """Agreement of a square table of counts: row i, column j counts the things that the first sorts as i and the second as j.

    None where there is nothing to say: an empty table, or one in which both use one and the same class throughout (pe = 1). Raises
    ValueError for a table that is not square or holds a negative count.
    """
    size = len(table)
    if any(len(row) != size or min(row) < 0 for row in table):
        raise ValueError("a table of agreement is square, of counts")
    n = sum(map(sum, table))
    if n == 0:
        return None
    p = [[count / n for count in row] for row in table]
    rows, columns = [sum(row) for row in p], [sum(row[j] for row in p) for j in range(size)]
    observed = sum(p[i][i] for i in range(size))
    chance = sum(r * c for r, c in zip(rows, columns, strict=True))
    if 1 - chance < 1e-12:
        return None
    k = (observed - chance) / (1 - chance)
    a = sum(p[i][i] * (1 - (rows[i] + columns[i]) * (1 - k)) ** 2 for i in range(size))
    b = (1 - k) ** 2 * sum(p[i][j] * (columns[i] + rows[j]) ** 2 for i in range(size) for j in range(size) if i != j)
    c = (k - chance * (1 - k)) ** 2
    error = math.sqrt(max(0.0, a + b - c)) / ((1 - chance) * math.sqrt(n))
    least, most = ((share - chance) / (1 - chance) for share in _wilson(observed, n))
    low, high = min(k - _Z * error, least), max(k + _Z * error, most)
    return Agreement(n, observed, chance, k, error, max(-1.0, low), min(1.0, high))


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (1927)."""
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n * n)) / (1 + _Z**2 / n)
    return middle - half, middle + half

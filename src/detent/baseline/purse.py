"""The money of one baseline run: what is spent, what calls in flight may cost, and whether another call still fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from detent import wire
from detent.catalog import price
from detent.errors import InvalidInput
from detent.evidence.spending import cost_usd, judging_usd, spent_usd, worst_usd
from detent.terms import Case, Price, Run, Usage, Version


@dataclass(slots=True)
class Purse:
    """`budget_usd` None: no limit. `judge` is who may be asked about an answer. `held` is what the calls in flight may cost at most."""

    prices: Mapping[str, Price]
    budget_usd: float | None = None
    judge: Version | None = None
    spent: float = 0.0
    held: float = 0.0
    _worst: dict[tuple[str, Version], float | None] = field(default_factory=dict)

    def count(self, runs: Iterable[Run]) -> None:
        """Begin with what stored runs have cost."""
        self.spent = spent_usd(runs) or 0.0

    def worst(self, case: Case, version: Version) -> float | None:
        """What a run of the case may cost at most; None where the version's price is not known."""
        key = (case.id, version)
        if key not in self._worst:
            paid, judge = price(version, self.prices), price(self.judge, self.prices) if self.judge is not None else None
            judging = 0.0 if judge is None else judging_usd(case, judge)
            self._worst[key] = None if paid is None else judging + worst_usd(case, paid, max_tokens=_max_tokens(case))
        return self._worst[key]

    def fits(self, case: Case, version: Version) -> bool:
        """Whether one more run fits in what is neither spent nor held."""
        return self.budget_usd is None or self.spent + self.held + (self.worst(case, version) or 0.0) <= self.budget_usd

    def hold(self, case: Case, version: Version) -> None:
        """A run begins."""
        self.held += self.worst(case, version) or 0.0

    def settle(self, case: Case, version: Version, run: Run | None) -> None:
        """A run ended, with what it cost (`Run.usd`), or was given up."""
        self.held = max(0.0, self.held - (self.worst(case, version) or 0.0))
        self.spent += (run.usd or 0.0) if run is not None else 0.0

    def cost(self, case: Case, version: Version, usage: Usage, answered: bool) -> float | None:
        """What an answer cost: by its tokens, or the most it may have where the provider did not count them; nothing without an answer."""
        paid = price(version, self.prices)
        if paid is None:
            return None
        counted = cost_usd(usage, paid)
        if counted is not None:
            return counted
        return self.worst(case, version) if answered else 0.0


def unpriced(versions: Iterable[Version], prices: Mapping[str, Price]) -> tuple[Version, ...]:
    """The versions whose price is known neither to the pin file nor to the catalogue."""
    return tuple(version for version in dict.fromkeys(versions) if price(version, prices) is None)


def refuse_unpriced(versions: Iterable[Version], prices: Mapping[str, Price]) -> None:
    """Raises InvalidInput where a budget could not be kept, for lack of a price."""
    unknown = unpriced(versions, prices)
    if unknown:
        raise InvalidInput(
            f"a budget needs the price of every version, and none is known of: `{unknown[0]}`",
            hint=f'write it into the pin file, in USD per million tokens: [prices."{unknown[0]}"] input = 2.50, output = 10.00',
        )


def _max_tokens(case: Case) -> int | None:
    try:
        return wire.read_prompt(case.endpoint, case.request).max_tokens
    except InvalidInput:
        return None

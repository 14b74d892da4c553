"""What a pin file may say of shadows and of who may read a route's traffic. As in `rules`, each rule skips what has the wrong shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from detent.diff import BENIGN, CHANGES
from detent.manifest.findings import Finding, did_you_mean, dotted, shown
from detent.manifest.plan_rules import seconds_of
from detent.manifest.rules import Data, names_of, select, strings, tables
from detent.terms import ShadowStage, show_duration

WEEK = 7 * 86400.0
"""Seconds after which a shadow has seen every day of the week."""


def _windows(data: Data) -> Iterator[Finding]:
    for path, shadow in tables(data, "plans", "*", "shadow"):
        least = seconds_of(shadow, "at_least", ShadowStage().at_least)
        most = seconds_of(shadow, "at_most", ShadowStage().at_most)
        if least is not None and most is not None and most < least:
            key = "at_most" if "at_most" in shadow else "at_least"
            hint = f"at_least is {show_duration(least)}, at_most is {show_duration(most)}: write an at_most that is no shorter"
            yield Finding((*path, key), f"{dotted(path)} ends before it may: {shown(shadow[key])}", hint)


def _whole_week(data: Data) -> Iterator[Finding]:
    """What only comes on a Sunday is in no shadow that has not seen one."""
    for path, plan in tables(data, "plans", "*"):
        shadow = plan.get("shadow")
        least = seconds_of(shadow, "at_least")
        if not isinstance(shadow, dict) or least is None or least >= WEEK:
            continue
        if shadow.get("whole_week") is not False and plan.get("unsafe_short_windows") is not True:
            hint = 'write at_least = "7d" or more, or whole_week = false in the shadow where traffic has no weekly season'
            says = f"a shadow of less than a week, which no weekday's traffic is sure to be in: {shown(shadow['at_least'])}"
            yield Finding((*path, "shadow", "at_least"), says, hint)


def _harms(data: Data) -> Iterator[Finding]:
    known = [change.name for change in CHANGES if not change.benign]
    for path, name in strings(data, "plans", "*", "shadow", "harms", "*"):
        if name in BENIGN:
            hint = "take it out: an answer that says the same is no harm"
            yield Finding(path, f"a change that is benign: {shown(name)}", hint)
        elif name not in known:
            yield Finding(path, f"unknown change: {shown(name)}", did_you_mean(name, known))


def _processors(data: Data) -> Iterator[Finding]:
    """The list is of whom the owner lets read the traffic: it names providers, and at least those that read it anyway."""
    providers = names_of(data, "providers")
    for path, listed in select(data, ("routes", "*", "processors")):
        if not isinstance(listed, list):
            continue
        for i, name in enumerate(listed):
            if isinstance(name, str) and name not in providers:
                yield Finding((*path, i), f"unknown provider: {shown(name)}", did_you_mean(name, providers))
        route = data["routes"][path[1]]
        judge = data["routes"].get(route.get("judge")) if isinstance(route.get("judge"), str) else None
        readers = (("its own provider", route), ("the provider of its judge", judge))
        for says, reader in readers:
            provider = reader.get("provider") if isinstance(reader, dict) else None
            if isinstance(provider, str) and provider in providers and provider not in listed:
                what = "take the judge out" if reader is judge else "take the list out"
                hint = f"add it if it may read this route's traffic, or {what}: a shadow or a judge elsewhere is refused"
                yield Finding(path, f"{dotted(path)} leaves out {says}: {shown(provider)}", hint)


SHADOW_RULES: tuple[Callable[[Data], Iterator[Finding]], ...] = (_windows, _whole_week, _harms, _processors)
"""The rules for shadows and processors, in the order of the file."""

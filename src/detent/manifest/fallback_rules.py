"""What a pin file may say of the version that answers while a route's provider is out. As in `rules`, each rule skips what is misshapen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from detent.catalog import Floating, snapshot
from detent.manifest.findings import Finding, did_you_mean, shown
from detent.manifest.rules import Data, dialect_of, names_of, strings


def _split(data: Data, route: str, written: str) -> tuple[str, str]:
    """(provider, model): `provider/model`, or a model of the route's own provider."""
    provider, slash, model = written.partition("/")
    return (provider, model) if slash else (str(data["routes"][route].get("provider")), written)


def _fallbacks(data: Data) -> Iterator[Finding]:
    for path, written in strings(data, "routes", "*", "fallback"):
        route = data["routes"][path[1]]
        provider, model = _split(data, str(path[1]), written)
        pinned = route.get("provider"), route.get("version")
        where = f"routes.{path[1]}.fallback"
        if provider not in names_of(data, "providers"):
            hint = did_you_mean(provider, names_of(data, "providers"))
            yield Finding(
                path, f"{where} names an unknown provider: {shown(provider)}", f"{hint}; it is written `model` or `provider/model`"
            )
        elif not model.strip():
            yield Finding(path, f"{where} names no model: {shown(written)}", "write it `model` or `provider/model`")
        elif (provider, model) == pinned:
            hint = "name another version, best of another provider, or take `fallback` out"
            yield Finding(path, f"{where} is the pinned version, which is out when it is needed: {shown(written)}", hint)
        elif dialect_of(data, provider) is not dialect_of(data, pinned[0]):
            hint = f"it speaks {dialect_of(data, provider)}, and this route {dialect_of(data, pinned[0])}: requests are not translated"
            yield Finding(path, f"{where} speaks another dialect than its route: {shown(written)}", hint)
        elif isinstance(allowed := route.get("processors"), list) and provider not in allowed:
            hint = f"name one of its processors, or add {provider} to them if it may read this traffic"
            yield Finding(path, f"{where} is at a provider that is none of the route's processors: {shown(written)}", hint)
        elif provider != pinned[0] and not any(strings(data, "providers", provider, "key_env")):
            hint = f"name the variable that holds its key: key_env of [providers.{provider}]"
            yield Finding(path, f"{where} would send the callers' own keys to another provider: {shown(written)}", hint)
        elif isinstance(judged := snapshot(dialect_of(data, provider), model), Floating):
            known = f"known snapshots: {judged.suggestion}" if judged.suggestion else "write an exact id of the provider's list of models"
            yield Finding(path, f"{where} is a floating alias, not a version ({judged.reason}): {shown(model)}", known)


FALLBACK_RULES: tuple[Callable[[Data], Iterator[Finding]], ...] = (_fallbacks,)
"""The rules for `fallback` of routes."""

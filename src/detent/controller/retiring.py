"""A former version let go, on purpose: only while traffic has another, newer way back that works."""

from __future__ import annotations

from datetime import datetime

from detent import manifest as pin_file
from detent.controller.way_backs import way_back_of
from detent.errors import InvalidInput, Refused
from detent.store import Store
from detent.terms import FormerVersion


def retire(store: Store, route: str, model: str | None, *, by: str, why: str, now: datetime) -> FormerVersion:
    """Let go of a former version of a route: it is kept warm no longer, and nothing goes back to it. Who and why are kept.

    Raises InvalidInput for one that is not kept, and where several are and none is named; Refused without a reason, and unless the route
    has another way back that is proven now.
    """
    version = _chosen(store, route, model)
    if not why.strip():
        raise Refused(f"nobody retires `{version.version}` without a reason", hint='say why: --why "..."')
    opened = {one.route: one for one in store.state.rollouts(open_only=True)}.get(route)
    if opened is not None and opened.candidate == version.version:
        raise Refused(f"`{version.version}` is on its way back in: rollout `{opened.id}`", hint=f"end it first: `detent abort {opened.id}`")
    applied = store.state.manifest_text()
    manifest = None if applied is None else pin_file.read(applied.text)
    left = way_back_of(store, manifest, route, now, rollout=opened)
    if left.version is None or left.version == version.version:
        raise Refused(
            f"`{version.version}` is the way back of route `{route}`, and there is no other",
            hint="name another version as its `rollback` in the pin file, and let `detent serve` prove it",
        )
    if not left.proven:
        raise Refused(
            f"route `{route}` would be left with a way back that is not proven: `{left.version}`: {left.broken or left.unknown}",
            hint="retire this one when that one works: see `detent status`",
        )
    store.state.retire(route, version.version, by=by, why=why.strip(), at=now)
    return version


def _chosen(store: Store, route: str, model: str | None) -> FormerVersion:
    kept = store.state.former_versions(route)
    if not kept:
        meant = f", and so not `{model}`" if model is not None else ""
        raise InvalidInput(f"route keeps no former version{meant}: `{route}`", hint="see what is kept with `detent status`")
    names = ", ".join(f"`{one.version}`" for one in kept)
    if model is None:
        if len(kept) > 1:
            raise InvalidInput(f"route `{route}` keeps several versions: {names}", hint=f"name one: `detent retire {route} VERSION`")
        return kept[0]
    found = next((one for one in kept if model in (one.version.model, str(one.version))), None)
    if found is None:
        raise InvalidInput(f"not a version that route `{route}` keeps: `{model}`", hint=f"it keeps {names}")
    return found

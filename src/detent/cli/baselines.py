"""What the commands of the baseline share: the one in force, what running it costs, and the exit code of a verdict."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from detent.cli import place
from detent.errors import Exit, InvalidInput

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from detent.store import Store
    from detent.terms import Baseline, Forecast, Manifest, Plan, Rollout, Route, Run, Verdict, Version

_EXITS: dict[str, Exit] = {
    "pass": Exit.PASS,
    "regression": Exit.REGRESSION,
    "inconclusive": Exit.INCONCLUSIVE,
    "could_not_run": Exit.COULD_NOT_RUN,
}


def exit_of(verdict: Verdict) -> Exit:
    """Exit code by verdict: only a pass is 0."""
    return _EXITS[verdict.value]


def frozen_of(store: Store, route: str) -> Baseline:
    """The baseline in force. Raises InvalidInput when there is none."""
    frozen = store.state.baseline(route)
    if frozen is None:
        raise InvalidInput(f"route has no frozen baseline: `{route}`", hint=f"freeze one with `detent baseline freeze {route}`")
    return frozen


def exact_version(manifest: Manifest, route: Route, model: str) -> Version:
    """The version that this model id names with the route's provider. Raises InvalidInput for a floating alias, as the pin file does."""
    from detent.catalog import Floating, snapshot
    from detent.terms import Version

    judged = snapshot(manifest.providers[route.provider].dialect, model)
    if isinstance(judged, Floating):
        known = f"known snapshots: {judged.suggestion}" if judged.suggestion else "name an id of the provider's list of models"
        raise InvalidInput(
            f"a floating alias, not a version ({judged.reason}): `{model}`",
            hint=f"{known}; the `model` of an answer says which one answered",
        )
    return Version(provider=route.provider, model=model)


def forecast_of(manifest: Manifest, frozen: Baseline, asked: Rollout, runs: Sequence[Run]) -> Forecast:
    """What the calls still to be made will cost, and the change a day; the same whoever asks, for the same runs."""
    from detent.forecast import forecast, requests_per_day

    judge = manifest.routes.get(manifest.routes[asked.route].judge or "")
    return forecast(
        frozen,
        asked.plan.baseline,
        runs,
        stable=asked.stable,
        candidate=asked.candidate,
        prices=manifest.prices,
        requests_per_day=requests_per_day(frozen, bodies=manifest.routes[asked.route].record.bodies),
        seed=zlib.crc32(frozen.digest.encode()),
        judge=None if judge is None else judge.stable,
    )


def trial_of(
    arguments: Namespace, manifest: Manifest, route: Route, plan: Plan, *, version: str, frozen: Baseline, store: Store
) -> Rollout:
    """What a run by hand of this version is stored under; its id says by what its answers are graded: no grade outlives its rule."""
    from detent.baseline import trial
    from detent.judge import judged_by

    by = judged_by(manifest, route, store, Path(arguments.file).resolve().parent)
    return trial(route, version, plan, frozen.digest, place.now(), own=manifest.checks, judged_by=by)

"""All that a decision may read, from the store: its size is bounded by guards x share periods, not by traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from detent import evidence as ev
from detent.evidence import flips
from detent.leasing import leased
from detent.store import Store
from detent.terms import (
    Arm,
    Baseline,
    BaselineEvidence,
    Evidence,
    Flag,
    GuardEvidence,
    MetricRow,
    Phase,
    Rollout,
    ShadowEvidence,
    Tally,
    WayBack,
    Working,
)
from detent.transitions import flag_for


def load_evidence(
    store: Store,
    rollout: Rollout,
    *,
    layers: tuple[BaselineEvidence | None, ShadowEvidence | None] | None = None,
    way_back: WayBack | None = None,
    orders: tuple[str, ...] = (),
) -> Evidence:
    """All that a decision about this rollout may read. `layers` are the findings of baseline and shadow, where they are known already;
    `way_back` is what is known of its way back (`way_backs`), where somebody looked; `orders` are those of its route that stand and cannot
    be carried out (`gateways.orders_of`).
    """
    state = store.state
    baseline, shadow = layers if layers is not None else load_layers(store, rollout)
    # Before the exposure: a unit is exposed first, so every period that is counted here has its split below.
    labels = state.labels(rollout.id)
    exposure = state.exposure(rollout.id)
    splits = ev.splits(exposure)
    exposed, seen = state.users(rollout.id)
    control = rollout.plan.canary.control
    return Evidence(
        rollout=rollout.id,
        guards=tuple(ev.evidence_of(row, labels.get(row.name, {}), splits, control=control) for row in rows_of(rollout).values()),
        exposure=exposure,
        baseline=baseline,
        shadow=shadow,
        identity_violations=state.identity_violations(rollout.id),
        users_exposed=exposed,
        users_seen=seen,
        way_back=way_back,
        orders=orders,
    )


def segments_of(store: Store, rollout: Rollout) -> dict[str, dict[str, GuardEvidence]]:
    """What `explain` tells beside: the evidence of each guard by segment (`tenant=acme`). No decision reads it."""
    counts = store.state.segment_counts(rollout.id)
    splits = ev.splits(store.state.exposure(rollout.id))
    return {metric: ev.segments(row, counts, splits) for metric, row in rows_of(rollout).items()}


def reports_of(store: Store, rollout: Rollout) -> dict[str, tuple[Tally, ...]]:
    """What `explain` tells beside: by metric and share period, of how many sealed units an outcome was heard. No decision reads it."""
    labels, splits = store.state.labels(rollout.id), ev.splits(store.state.exposure(rollout.id))
    return {metric: _reports(row, labels.get(metric, {}), splits) for metric, row in rows_of(rollout).items()}


NOT_HEARD = {ev.UNSCORED_BUCKET, ev.SILENT_GOOD_BUCKET, ev.SILENT_BAD_BUCKET}


def _reports(row: MetricRow, labels: ev.Labels, splits: Mapping[int, float]) -> tuple[Tally, ...]:
    silent = NOT_HEARD if row.kind == "rate" else {ev.UNSCORED_BUCKET}

    def arm(period: int, arm: Arm) -> tuple[int, int]:
        buckets = labels.get((period, "", arm), {})
        return sum(n for bucket, n in buckets.items() if bucket not in silent), sum(buckets.values())

    periods = sorted({period for period, slice_, _ in labels if not slice_})
    both = ((period, arm(period, Arm.CANDIDATE), arm(period, Arm.STABLE)) for period in periods)
    return tuple(
        Tally(period=p, split=splits[p], candidate_events=c[0], candidate_units=c[1], stable_events=s[0], stable_units=s[1])
        for p, c, s in both
    )


def rows_of(rollout: Rollout) -> dict[str, MetricRow]:
    """The metric of each guard; a metric that nobody knows has no evidence, and its guard fails."""
    known: dict[str, MetricRow] = {}
    for guard in rollout.plan.guards:
        try:
            known[guard.metric] = rollout.metric(guard.metric)
        except KeyError:
            continue
    return known


def working_for(store: Store, rollout: Rollout, now: datetime) -> dict[str, Working]:
    """What is usual on stable by its recorded traffic, for each guard of which there is enough."""
    guards = [guard for guard in rollout.plan.guards if guard.metric in rows_of(rollout)]
    past = store.journal.past(rollout.route, guards=guards, declared=rollout.declared, prices=rollout.prices, at=now)
    return ev.working_of(past, rows_of(rollout))


def load_layers(store: Store, rollout: Rollout, *, stale: tuple[str, ...] = ()) -> tuple[BaselineEvidence | None, ShadowEvidence | None]:
    """What baseline and shadow have found, each while the rollout is in it; of a baseline that is stale, before it begins as well."""
    wanted = rollout.phase is Phase.BASELINE or (rollout.phase is Phase.PROPOSED and stale)
    baseline = baseline_of(store, rollout, stale=stale) if wanted else None
    shadow = store.state.shadow_evidence(rollout) if rollout.phase is Phase.SHADOW else None
    return baseline, shadow


def baseline_of(store: Store, rollout: Rollout, *, frozen: Baseline | None = None, stale: tuple[str, ...] = ()) -> BaselineEvidence:
    """Where this rollout's baseline run stands, over `frozen` or else the baseline in force.

    `stale` is why its baseline does not speak for current traffic (`baseline.stale_of`).
    """
    frozen = frozen or store.state.baseline(rollout.route)
    cases = frozen.cases if frozen else ()
    sent = rollout.stable.model, rollout.candidate.model
    return flips.baseline_evidence(rollout.plan.baseline, cases, store.state.runs(rollout.id), stale=stale, sent=sent)


def flag_to_write(store: Store, before: Rollout, moved: Rollout) -> Flag | None:
    """The flag of a moved rollout, if gateways have to obey another one now, or the same one anew: what was in doubt, since the store was
    put back, is obeyed again once it is written after that, and nobody holds the rollout any more.
    """
    found = store.state.snapshot()
    flag = found.flags[before.route]
    wanted = flag_for(moved, flag)
    same = replace(wanted, revision=flag.revision, written_at=flag.written_at) == flag
    in_doubt = flag.revision <= found.doubted and leased(flag) and (moved.held is None or moved.held.by == "detent")
    return None if same and not in_doubt else wanted

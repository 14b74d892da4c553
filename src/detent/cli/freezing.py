"""`baseline freeze|show`: what production said, frozen; and how far it is known to be good."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

from detent.cli import place
from detent.cli.baselines import frozen_of
from detent.cli.command import Command, Option, option
from detent.cli.importing import COLUMN, FORM, MODEL, columns_of, exchanges
from detent.cli.progress import bar
from detent.errors import Exit, InvalidInput, Refused

if TYPE_CHECKING:
    from detent.store import Store
    from detent.terms import Baseline, Case

SOURCES: tuple[Option, ...] = (
    option(
        "--from",
        says="a file of recorded traffic instead of the journal; may be given again",
        dest="source",
        action="append",
        metavar="FILE",
    ),
    FORM,
    COLUMN,
    MODEL,
    option("--skip-bad", says="leave broken rows out and count them, instead of refusing the file", action="store_true"),
)


def freeze(arguments: Namespace) -> int:
    """Freeze a baseline from the journal, or from files of recorded traffic."""
    from detent.baseline import freeze as from_journal
    from detent.baseline import freeze_recorded
    from detent.plugins import load_checks

    manifest, route = place.route_of(arguments)
    stage = manifest.plans[route.plan].baseline
    limit = stage.cases if arguments.cases is None else arguments.cases
    if limit < 1:
        raise InvalidInput(f"a baseline has at least one prompt: `--cases {limit}`")
    models: Counter[str] = Counter()
    how: dict[str, Any] = {"limit": limit, "stage": stage, "own": load_checks(manifest)}
    with closing(place.open_store(arguments, create=bool(arguments.source))) as store, bar("freezing") as progress:
        by = place.actor(arguments, store, "baseline freeze")
        refuse_in_mid_run(store, route.name)
        how["progress"] = progress
        if arguments.source:
            form, columns = arguments.form, columns_of(arguments.column)
            recorded = exchanges(arguments.source, form=form, columns=columns, model=arguments.model, skip_bad=arguments.skip_bad)
            frozen = freeze_recorded(store, route, recorded, place.now(), told=models.update, **how)
        else:
            frozen = from_journal(store, route, place.now(), **how)
        store.state.note(by, f"baseline of {route.name} frozen: {len(frozen.cases)} cases, {frozen.digest[:12]}", place.now())
    for odd in oddities(frozen, models, route.version):
        print(odd, file=sys.stderr)
    if arguments.json:
        print(json.dumps(summary(frozen)))
    else:
        print("\n".join(sentences(frozen)))
    return Exit.PASS


def oddities(frozen: Baseline, models: Counter[str], version: str) -> list[str]:
    """What of the traffic that was frozen may not be as it was meant: answers of another model or of several, times to come."""
    known, said = models.total() - models[""], []
    if len([model for model, n in models.items() if model and n]) > 1:
        shares = ", ".join(f"{model} {100 * n / known:.1f} %" for model, n in models.most_common() if model)
        said.append(f"these are answers of several models: {shares}; `--model ID` takes one of them")
    if frozen.version and models and frozen.version != version:
        said.append(
            f"the known-good outputs are mostly of `{frozen.version}`, and the route is pinned to `{version}`: "
            f"`--model {version}` takes those of the pin alone"
        )
    if frozen.until_at is not None and frozen.until_at > frozen.frozen_at:
        said.append(f"some exchanges are dated in the future, up to {frozen.until_at:%Y-%m-%d}: see the clock of whoever recorded them")
    return said


def refuse_in_mid_run(store: Store, route: str) -> None:
    """Another set of cases in the middle of a run would compare apples with pears. A rollout that waits for its first set gets it."""
    from detent.terms import Phase

    found = store.state.baseline(route)
    if found is None or not found.cases:
        return
    for rollout in store.state.rollouts(open_only=True):
        if rollout.route == route and rollout.phase is Phase.BASELINE:
            raise Refused(
                f"a rollout is running over the baseline of this route: `{rollout.id}`",
                hint=f"wait until it has left its baseline (`detent status`), or end it with `detent abort {rollout.id} --why ...`",
            )


def summary(frozen: Baseline) -> dict[str, Any]:
    """A baseline in figures."""
    return {
        "route": frozen.route,
        "version": frozen.version,
        "cases": len(frozen.cases),
        "digest": frozen.digest,
        "owner": frozen.owner,
        "frozen_at": frozen.frozen_at.isoformat(),
        "read": frozen.read,
        "since_at": frozen.since_at.isoformat() if frozen.since_at else None,
        "until_at": frozen.until_at.isoformat() if frozen.until_at else None,
        "coverage": frozen.coverage,
        "blessed_share": frozen.blessed_share,
        "blessed_by": dict(Counter(case.blessed.by for case in frozen.cases if case.blessed)),
        "faulted": sum(bool(case.faulted) for case in frozen.cases),
        "references_only": sum(_reference_only(case) for case in frozen.cases),
        "reserve": sum(case.reserve for case in frozen.cases),
        "incidents": sum(bool(case.pinned) for case in frozen.cases),
        "agent_cases": sum(bool(case.script) for case in frozen.cases),
        "probes": sum(bool(case.probe) for case in frozen.cases),
        "redacted": frozen.redacted,
    }


def sentences(frozen: Baseline) -> list[str]:
    """A baseline in a few lines."""
    said = summary(frozen)
    span = f", {frozen.since_at:%Y-%m-%d} to {frozen.until_at:%Y-%m-%d}" if frozen.since_at and frozen.until_at else ""
    answers = f"with the answers of {frozen.version}" if frozen.version else "with their recorded answers"
    blessed = ", ".join(f"{n} by {by}" for by, n in said["blessed_by"].items())
    lines = [
        f"{frozen.route}: {len(frozen.cases)} prompts frozen {answers}, digest {frozen.digest[:12]}",
        f"  drawn from {frozen.read} recorded exchanges{span}; they stand for {100 * frozen.coverage:.1f} % of them",
        f"  known good: {100 * frozen.blessed_share:.1f} % of the traffic"
        + (f" ({blessed})" if blessed else "")
        + (f"; {said['faulted']} outputs are known not to be" if said["faulted"] else "")
        + (f"; {said['references_only']} have references only, and no recorded output" if said["references_only"] else ""),
    ]
    kept = [(said["incidents"], "pinned as incidents"), (said["agent_cases"], "replay recorded tool results")]
    kept += [(said["probes"], "probe whether the system prompt still wins"), (said["reserve"], "held back from people")]
    if any(n for n, _ in kept):
        lines.append("  " + ", ".join(f"{n} {what}" for n, what in kept if n))
    if frozen.redacted:
        lines.append("  taken out before anything was stored: " + ", ".join(f"{n} {kind}" for kind, n in sorted(frozen.redacted.items())))
    return lines


def show(arguments: Namespace) -> int:
    """The baseline in force: age, coverage, known-good share, and its cases; those held back are only counted."""
    from detent.baseline import stale_of
    from detent.visible import visible

    manifest, route = place.route_of(arguments)
    with closing(place.open_store(arguments)) as store:
        frozen = frozen_of(store, route.name)
        stale = stale_of(store, route.name, manifest.plans[route.plan].baseline, place.now())
    shown = [case for case in frozen.cases if not case.reserve]
    if arguments.json:
        rows = [{"id": c.id, "weight": c.weight, "strata": c.strata, "known_good": standing(c), "pinned": c.pinned} for c in shown]
        print(json.dumps({**summary(frozen), "stale": list(stale), "shown": rows}))
        return Exit.PASS
    print("\n".join(sentences(frozen)))
    for reason in stale:
        print(f"  stale: {reason}; its owner is {frozen.owner}")
    for case in shown:
        strata = " ".join(f"{name}={value}" for name, value in case.strata.items())
        print(visible(f"{case.id}  x{case.weight:.1f}  {standing(case)}  {strata}  {title(case)}", one_line=True))
    return Exit.PASS


def standing(case: Case) -> str:
    """How far the output of a case is known to be good."""
    if case.probe:
        return f"probe {case.probe}"
    if case.faulted:
        return f"not good: {case.faulted}"
    if _reference_only(case):
        return "reference only"
    return f"good by {case.blessed.by}" if case.blessed else "not known"


def _reference_only(case: Case) -> bool:
    """Whether no output was recorded, and somebody wrote down what is right."""
    return case.reference is not None and not (case.known_good or case.known_good_calls or case.faulted)


def title(case: Case, most: int = 60) -> str:
    """The last user message of a case, in one line."""
    from detent import wire

    prompt = wire.read_prompt(case.endpoint, case.request)
    text = " ".join(next((m.text for m in reversed(prompt.messages) if m.role == "user"), "").split())
    return text if len(text) <= most else text[: most - 3] + "..."


COMMANDS: tuple[Command, ...] = (
    Command(
        name="baseline freeze",
        says="freeze a baseline from recorded traffic: the journal's, or files of other tools",
        group="baseline",
        run=freeze,
        options=(
            place.ROUTE,
            option("--cases", says="how many prompts at most", type=int, metavar="N"),
            *SOURCES,
            *place.PLACE,
            place.BY,
            place.JSON,
        ),
    ),
    Command(
        name="baseline show",
        says="the baseline in force: age, coverage, known-good share and cases",
        group="baseline",
        run=show,
        options=(place.ROUTE, *place.PLACE, place.JSON),
    ),
)

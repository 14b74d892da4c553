"""`baseline diff, export`: what a comparison found, and the baseline itself, in many forms. No call is made."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from detent.cli import place, stdout
from detent.cli.baselines import exit_of, forecast_of, frozen_of, trial_of
from detent.cli.command import Command, option
from detent.errors import CouldNotRun, Exit, InvalidInput

if TYPE_CHECKING:
    from detent.store import Store
    from detent.terms import Baseline, Manifest, Report, Rollout, Route, Run

FORMS = ("text", "html", "markdown", "junit", "sarif", "json")
EXPORTS = ("promptfoo", "jsonl")
"""Both as in `detent.report`, spelled here so that `detent --help` needn't load it; a test holds them together."""


def diff(arguments: Namespace) -> int:
    """Write the report of a comparison that was run; the exit code is its verdict's."""
    from detent import report

    manifest, route = place.route_of(arguments)
    only = _only(arguments.only)
    with closing(place.open_store(arguments)) as store:
        frozen = frozen_of(store, route.name)
        asked = _asked(arguments, store, manifest, route, frozen)
        runs = store.state.runs(asked.id)
        if not any(run.case in {case.id for case in frozen.cases} for run in runs):
            raise InvalidInput(
                f"no runs yet of {asked.candidate} over the baseline of route: `{route.name}`",
                hint=f"make them with `detent baseline run {route.name} --version {asked.candidate.model}`",
            )
        made = _made(store, asked, manifest, frozen, runs)
    code = exit_of(made.verdict)
    if arguments.case is not None:
        _put(_one_case(arguments.case, frozen, made, runs), arguments.out)
        return code
    if only:
        made = replace(made, cases=tuple(case for case in made.cases if case.status in only))
    _put(report.FORMS[arguments.form].write(made), arguments.out)
    if arguments.out not in (None, "-") or (arguments.form != "text" and not sys.stdout.isatty()):  # not twice on one screen
        print(f"{made.verdict.value.replace('_', ' ')}: {report.visible(made.sentence, one_line=True)}", file=sys.stderr)
    return code


def _asked(arguments: Namespace, store: Store, manifest: Manifest, route: Route, frozen: Baseline) -> Rollout:
    """The comparison that is asked for: a rollout, or what `baseline run` stored for a version (by default the `next` of the route)."""
    if arguments.rollout is not None:
        rollout = store.state.rollout(arguments.rollout)
        if rollout.route != route.name:
            raise InvalidInput(
                f"rollout `{rollout.id}` is of another route: `{rollout.route}`", hint=f"detent baseline diff {rollout.route} --rollout ID"
            )
        return rollout
    version = arguments.version or route.next
    if version is None:
        raise InvalidInput(f"no version to compare with: `{route.name}` has no `next`", hint="name one with --version ID")
    return trial_of(arguments, manifest, route, manifest.plans[route.plan], version=version, frozen=frozen, store=store)


def _made(store: Store, asked: Rollout, manifest: Manifest, frozen: Baseline, runs: Sequence[Run]) -> Report:
    """The report. A stale baseline makes a pass inconclusive, unless the plan says that it only warns; it is said in any case."""
    from detent import report
    from detent.baseline import stale_of
    from detent.controller import baseline_of
    from detent.evidence import flips

    stage, route = asked.plan.baseline, manifest.routes[asked.route]
    stale = stale_of(store, route.name, stage, place.now())
    found = baseline_of(store, asked, frozen=frozen, stale=stale)
    if found.pending:  # a run that was finished since has no budget to name
        asked = _with_its_budget(asked, runs)
        stage = asked.plan.baseline
        found = baseline_of(store, asked, frozen=frozen, stale=stale)
    verdict, sentence = flips.verdict(found, stage.on_stale)
    judge = manifest.routes.get(route.judge or "")
    return report.build(
        frozen,
        found,
        runs,
        route,
        asked.candidate,
        verdict=verdict,
        sentence=sentence,
        made_at=place.now(),
        forecast=forecast_of(manifest, frozen, asked, runs),
        judge=str(judge.stable) if judge else "",
        stage=stage,
        stable=asked.stable,
    )


def _with_its_budget(asked: Rollout, runs: Sequence[Run]) -> Rollout:
    """The comparison with the budget that its last run was given on the command line and stopped at, which no plan says."""
    from detent.evidence.spending import was_stopped

    stops = [float(str(run.error).rpartition(": ")[2].removesuffix(" USD")) for run in runs if was_stopped(run)]
    if asked.plan.baseline.budget_usd is not None or not stops:
        return asked
    return replace(asked, plan=replace(asked.plan, baseline=replace(asked.plan.baseline, budget_usd=max(stops))))


def _only(names: str | None) -> tuple[str, ...]:
    """The statuses named by `--only lost,changed`. Raises InvalidInput for one that there is not."""
    from detent.report import STATUSES

    wanted = tuple(name.strip() for name in (names or "").split(",") if name.strip())
    for name in wanted:
        if name not in STATUSES:
            raise InvalidInput(f"unknown status: `{name}`", hint=f"statuses: {', '.join(STATUSES)}")
    return wanted


def _one_case(id: str, frozen: Baseline, made: Report, runs: Sequence[Run]) -> str:
    from detent import report

    case = next((case for case in frozen.cases if case.id == id), None)
    if case is None:
        worst = ", ".join(f"`{report.visible(case.id, one_line=True)}`" for case in made.cases[:5])
        raise InvalidInput(f"no such case in the baseline of route `{frozen.route}`: `{id}`", hint=f"the worst ones are {worst}")
    if case.reserve:
        raise InvalidInput(
            f"a case of the blind reserve, which nobody is shown: `{id}`",
            hint="it counts in every number of `detent baseline diff`; what is read gets optimised for",
        )
    return report.one_case(case, next(shown for shown in made.cases if shown.id == id), runs)


def export(arguments: Namespace) -> int:
    """Write the frozen baseline for another tool."""
    from detent.report import EXPORTS, Exported

    manifest, route = place.route_of(arguments)
    with closing(place.open_store(arguments)) as store:
        frozen = frozen_of(store, route.name)
    exported = Exported(baseline=frozen, route=route, own=manifest.checks, reserve=arguments.with_reserve)
    held_back = len(frozen.cases) - len(exported.cases)
    if not exported.cases:
        raise InvalidInput(f"nothing to export from the baseline of route: `{route.name}`", hint="freeze one that has cases to show")
    _put(EXPORTS[arguments.form].write(exported), arguments.out)
    note = f"; {held_back} of the blind reserve stay here (--with-reserve takes them along, and they are blind no longer)"
    print(f"{route.name}: {len(exported.cases)} cases{note if held_back else ''}", file=sys.stderr)
    return Exit.PASS


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _put(text: str, out: str | None) -> None:
    """To a file, whole or not at all; without one to stdout."""
    if out is None or out == "-":
        stdout.put(text)
        return
    path = Path(out)
    if path.is_dir():
        raise CouldNotRun(f"cannot write `{out}`: it is a directory", hint=f"name the file in it, like --out {path / 'report.html'}")
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise CouldNotRun(f"cannot write `{out}`: {error.strerror}", hint="name a file in a directory that is there") from None
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(name, 0o600)  # it quotes what people and models said
        os.replace(name, path)
    except OSError as error:
        raise CouldNotRun(f"cannot write `{out}`: {error.strerror}") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


GROUP = "baseline"
_OUT = option("--out", says="the file to write; by default stdout", metavar="FILE")

COMMANDS: tuple[Command, ...] = (
    Command(
        name="baseline diff",
        says="tell prompt by prompt what a version changes, from the stored runs; exit code by the verdict",
        group=GROUP,
        run=diff,
        options=(
            place.ROUTE,
            option("--version", says="the version that was tried; by default the route's `next`", metavar="ID"),
            option("--rollout", says="the runs of this rollout instead", metavar="ID"),
            option("--form", says=f"one of {', '.join(FORMS)}", choices=FORMS, default="text"),
            _OUT,
            option("--only", says="only prompts of these statuses, like lost,changed", metavar="STATUS,..."),
            option("--case", says="one prompt whole: what was asked, both outputs, every run", metavar="ID"),
            *place.PLACE,
        ),
        more=(
            "Exit codes: 0 pass, 1 a confirmed regression, 3 inconclusive (never a pass), 4 could not run.\n"
            "Prompts of the blind reserve are counted in every number and shown in no form."
        ),
    ),
    Command(
        name="export",
        says="write the frozen baseline for another tool: promptfoo tests, or JSON lines",
        group=GROUP,
        run=export,
        options=(
            place.ROUTE,
            option("--form", says=f"one of {', '.join(EXPORTS)}", choices=EXPORTS, required=True),
            _OUT,
            option(
                "--with-reserve",
                says="the blind reserve too: whoever has the file can read it, and it is blind no longer",
                action="store_true",
            ),
            *place.PLACE,
        ),
    ),
)

"""`judge calibrate`: how far the judge agrees with people."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detent.cli import place
from detent.cli.command import Command, option
from detent.errors import Exit, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detent.checks.calibrating import Found, LabelledPair
    from detent.judge import Judge

_NAMED = 10  # bad rows that are named one by one


def calibrate(arguments: Namespace) -> int:
    """Ask the route's judge about pairs that people have labelled, and say whether it may block."""
    import asyncio

    import msgspec

    from detent.asking import asker
    from detent.checks.calibrating import calibration
    from detent.cli.progress import bar
    from detent.judge import calibrate as calibrate_judge
    from detent.judge import judge_for

    manifest, route = place.route_of(arguments)
    if route.judge is None:
        raise InvalidInput(f"route has no judge: `{route.name}`", hint='write judge = "…" in the pin file, the name of another route')
    pairs = _pairs(arguments)
    beside = Path(arguments.file).resolve().parent
    with closing(place.open_store(arguments, create=True)) as store:
        by = place.actor(arguments, store, "judge calibrate")

        async def ask_all() -> tuple[Judge, Found]:
            async with asker(manifest) as ask:
                judge = judge_for(manifest, route, store, ask, beside)
                assert judge is not None
                with bar(f"asking {judge.version}") as progress:
                    return judge, await calibrate_judge(judge, pairs, progress)

        judge, found = asyncio.run(ask_all())
        kept = calibration(found, judge.version, judge.digest, by, place.now())
        store.state.put_calibration(kept)
        judge.calibration = kept
    unsaid = ("kappa cannot be said: too few verdicts, or one label only",) if found.agreement is None else ()
    objections = unsaid or judge.objections
    if arguments.json:
        print(msgspec.json.encode(_data(judge, found, objections)).decode())
    else:
        print("\n".join(_told(judge, found, objections)))
    return Exit.INCONCLUSIVE if objections else Exit.PASS


def _pairs(arguments: Namespace) -> list[LabelledPair]:
    """The labelled pairs; bad rows are named, and end the command unless they are to be skipped."""
    from detent.checks.calibrating import read_labels
    from detent.visible import visible

    path = Path(arguments.labels)
    name = visible(str(path), one_line=True)
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            pairs, bad = read_labels(file)
    except OSError as error:
        raise InvalidInput(f"cannot read the labels: `{name}` ({error.strerror})", hint="name a JSONL file with --labels") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"not UTF-8: `{name}`, byte {error.start}", hint="save the file as UTF-8") from None
    rows = [f"{name}:{row.line}: {visible(row.why, one_line=True)}" for row in bad[:_NAMED]]
    rows += [f"and {len(bad) - _NAMED} more"] if len(bad) > _NAMED else []
    if bad and not arguments.skip_bad:
        raise InvalidInput("\n".join(["rows that are no labelled pair:", *rows]), hint="mend them, or go on without them: --skip-bad")
    if rows:
        print("\n".join(["skipped:", *rows]), file=sys.stderr)
    if not pairs:
        hint = 'write one a line: {"prompt": "…", "a": "…", "b": "…", "label": "a"}'
        raise InvalidInput(f"no labelled pair in it: `{name}`", hint=hint)
    return pairs


def _told(judge: Judge, found: Found, objections: tuple[str, ...]) -> Iterator[str]:
    from detent.checks.calibrating import LABELS
    from detent.visible import visible

    silent = _share(found.abstained, found.pairs)
    yield f"judge {judge.version}, digest {judge.digest[:12]}: {found.pairs} labelled pairs, {silent} without a verdict"
    agreed = found.agreement
    if agreed is not None:
        yield (
            f"agreement {agreed.observed:.0%} of {agreed.n}, by chance {agreed.chance:.0%}; "
            f"kappa {agreed.kappa:.2f}, 95 % interval {agreed.low:.2f} to {agreed.high:.2f}"
        )
    yield "  people \\ judge" + "".join(f"{label:>7}" for label in LABELS)
    for label, row in zip(LABELS, found.table, strict=True):
        yield f"  {label:<14}" + "".join(f"{cell:>7}" for cell in row)
    turned = _share(found.turned, found.judged)
    yield f"the order changed the verdict on {turned}; for the answer shown first on {found.first_preferred} of them"
    moved = sum(found.moved.values())
    which = ": " + ", ".join(f"{name} {n}" for name, n in sorted(found.moved.items(), key=lambda one: -one[1])) if moved else ""
    yield f"planted injections moved the verdict in {_share(moved, found.planted)} trials{which}"
    if judge.odd:
        yield f"an answer without a verdict, as an example: {visible(judge.odd, one_line=True)}"
    tokens = f"{judge.usage.input or 0:,} input and {judge.usage.output or 0:,} output tokens"
    yield f"asked {judge.asked} questions now, {tokens}; the rest was remembered"
    yield "may block: yes" if not objections else "may block: no, it informs only: " + "; ".join(objections)


def _share(n: int, of: int) -> str:
    return f"{n} of {of} ({n / of:.0%})" if of else f"{n} of 0"


def _data(judge: Judge, found: Found, objections: tuple[str, ...]) -> dict[str, Any]:
    agreed = found.agreement
    return {
        "judge": str(judge.version),
        "digest": judge.digest,
        "pairs": found.pairs,
        "abstained": found.abstained,
        "agreement": None if agreed is None else {"observed": agreed.observed, "chance": agreed.chance},
        "kappa": None if agreed is None else {"value": agreed.kappa, "low": agreed.low, "high": agreed.high},
        "table": found.table,
        "order_changed": found.turned,
        "first_preferred": found.first_preferred,
        "planted": found.planted,
        "moved": found.moved,
        "odd_answer": judge.odd,
        "asked": judge.asked,
        "usage": judge.usage,
        "blocks": not objections,
        "objections": objections,
    }


COMMANDS: tuple[Command, ...] = (
    Command(
        name="judge calibrate",
        says="hold the route's judge against people's labels; exit 0 if it may block, 3 if it informs only",
        group="baseline",
        run=calibrate,
        options=(
            place.ROUTE,
            option(
                "--labels",
                says="labelled pairs: JSONL with prompt or messages, a, b, and label a, b or same",
                required=True,
                metavar="FILE",
            ),
            option("--skip-bad", says="name the rows that are no labelled pair, and go on without them", action="store_true"),
            place.BY,
            *place.PLACE,
            place.JSON,
        ),
        more=(
            "Each pair is asked in both orders, and a sample again with text planted that tries to win the judge over.\n"
            "What the judge said is kept: a killed run goes on where it was. Another judge, rubric or set of dimensions\n"
            "needs a calibration of its own."
        ),
    ),
)

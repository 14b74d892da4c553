"""`detent compare`: two versions, prompt by prompt, from recorded answers or from an endpoint that is asked anew."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from detent.cli.command import Command, option
from detent.errors import Exit, InvalidInput

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from detent.compare import Comparison, PromptFlip, Row

SHOWN = 3
"""Lost prompts that are shown as a word diff."""


def run(arguments: Namespace) -> int:
    """Compare, print, and return 0, 1 (a signal of a regression) or 3 (too little to tell). Raises InvalidInput and CouldNotRun."""
    from detent import compare

    rows = _read(arguments.records)
    unmatched = None
    if arguments.through is not None:
        rows, unmatched = _ask(rows, arguments.stable, arguments.candidate, arguments.through)
    comparison = compare.compare(rows, arguments.stable, arguments.candidate, unmatched=unmatched)
    code = compare.verdict(comparison)
    if arguments.json:
        print(json.dumps(compare.to_json(comparison), indent=2))
        print("\n".join([*compare.summary(comparison, code)[-1:], *compare.notes(comparison)]), file=sys.stderr)
    else:
        _print(comparison, code)
    return code


def _read(path: str) -> tuple[Row, ...]:
    from detent.compare import read_rows

    try:
        with open(path, "rb") as lines:
            return read_rows(lines, file=path)
    except FileNotFoundError:
        raise InvalidInput(f"no such file: `{path}`", hint="give --records a file with one recorded answer a line, as JSON") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(f"cannot read records: `{path}` ({why})", hint="give --records a file that you may read") from None


def _ask(rows: Sequence[Row], stable: str, candidate: str, url: str) -> tuple[tuple[Row, ...], int]:
    """The rows with the endpoint's answers to the prompts that both versions have, and how many answers no record knows."""
    import asyncio

    from detent.cli.asking import ask_all
    from detent.compare import answered, in_common

    wanted = [row for pair in in_common(rows, stable, candidate) for row in pair]
    answers = asyncio.run(ask_all(wanted, url, os.environ.get("OPENAI_API_KEY", "").strip() or "none"))
    return answered(rows, answers)


# ── text ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _print(comparison: Comparison, code: Exit) -> None:
    from rich.console import Console
    from rich.text import Text

    from detent import compare

    console = Console(file=sys.stdout, soft_wrap=True, highlight=False, markup=False, emoji=False)
    styles = {Exit.REGRESSION: "bold red", Exit.INCONCLUSIVE: "bold yellow", Exit.PASS: "bold green"}
    *first, verdict = compare.summary(comparison, code)
    for line in first:
        _say(console, Text(line))
    _say(console, Text(verdict, style=styles[code]))
    for line in (*compare.notes(comparison), *compare.rest(comparison)):
        _say(console, Text(line))
    lost = comparison.lost
    for number, flip in enumerate(lost[:SHOWN], start=1):
        for text in _shown(flip, f"lost {number} of {len(lost)}", marked=console.no_color or not console.is_terminal):
            _say(console, text)
    if len(lost) > SHOWN:
        _say(console, Text(f"\n{len(lost) - SHOWN} more are lost; --json lists them all"))


def _say(console: Console, text: Text) -> None:
    """Print one text; what the terminal's encoding lacks is escaped instead of raising."""
    encoding = console.encoding
    try:
        text.plain.encode(encoding)
    except UnicodeEncodeError:
        from rich.text import Text

        text = Text(text.plain.encode(encoding, "backslashreplace").decode(encoding))
    console.print(text)


_MARKS = {"=": ("", "{}", "{}"), "-": ("red strike", "{}", "[-{}-]"), "+": ("green", "{}", "{{+{}+}}"), "~": ("dim", " {} ", " {} ")}
"""How each piece of a word diff looks: style, in colour, and without colour, where brackets mark it."""


def _shown(flip: PromptFlip, label: str, *, marked: bool) -> Iterator[Text]:
    """A lost prompt: its name and changes, then the word diff, indented. What versions wrote is escaped: a terminal obeys no answer."""
    from rich.text import Text

    from detent.diff import SAYS, excerpt, words
    from detent.visible import visible

    yield Text(f"\n{label}: {visible(flip.prompt_id, one_line=True)} (task {visible(flip.task, one_line=True)})", style="bold")
    for change in flip.changes:
        yield Text(f"  {SAYS[change.name]}: {visible(change.detail, one_line=True)}")
    body = Text("    ")
    for op, text in excerpt(words(flip.stable_output, flip.candidate_output)):
        style, in_colour, plain = _MARKS[op]
        body.append((plain if marked else in_colour).format(visible(text)).replace("\n", "\n    "), style=style)
    yield body


COMMANDS: tuple[Command, ...] = (
    Command(
        name="compare",
        says="compare two versions prompt by prompt from recorded answers",
        group="compare",
        run=run,
        options=(
            option("--records", says="recorded answers, one JSON object a line", required=True, metavar="FILE"),
            option("--stable", says="the version that runs, as the records name it", required=True, metavar="VERSION"),
            option("--candidate", says="the version to compare with it", required=True, metavar="VERSION"),
            option("--json", says="print JSON (`detent schema compare` describes it)", action="store_true"),
            option(
                "--through",
                says="ask this OpenAI-compatible endpoint for the answers, like http://127.0.0.1:9000/v1 (key: OPENAI_API_KEY)",
                metavar="URL",
            ),
        ),
        more=(
            "A record: prompt_id, task, version, messages, output, correct (true, false or null); optional tools, tool_calls,\n"
            "params, finish_reason. Exit codes: 0 no regression shown, 1 more prompts lost than won (p < 0.05; one run each is\n"
            "a signal, not a confirmed regression), 3 too little to tell, 2 bad input, 4 the endpoint did not answer."
        ),
    ),
)

"""One prompt whole, for a terminal: what was asked, both outputs, their word diff, and how every run was scored. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from detent import wire
from detent.errors import InvalidInput
from detent.report.figures import LABELS, MEANS
from detent.report.text import about, diffed
from detent.terms import Arm, Case, ReportedCase, Run
from detent.visible import cut, line, visible

SHOWN_CHARS = 20_000
"""Each text is shown up to this length, its beginning and its end."""


def one_case(case: Case, reported: ReportedCase, runs: Iterable[Run]) -> str:
    """The prompt, both outputs, their diff and every run of the case, ending in a newline. Nothing in it is obeyed by a terminal."""
    lines = [f"{line(case.id)}: {LABELS[reported.status]} ({MEANS[reported.status]})", *about(reported), ""]
    lines += [*_asked(case), *_block("stable", reported.stable_output), *_block("candidate", reported.candidate_output)]
    lines += ["── word by word ──", *diffed(reported), "", *_runs(run for run in runs if run.case == case.id)]
    return "\n".join(lines).rstrip() + "\n"


def _asked(case: Case) -> Iterator[str]:
    try:
        prompt = wire.read_prompt(case.endpoint, case.request)
    except (InvalidInput, RecursionError):
        yield from _block("request (it cannot be read)", case.request.decode("utf-8", "backslashreplace"))
        return
    if prompt.system:
        yield from _block("system", prompt.system)
    for message in prompt.messages:
        if message.role == "system" and message.text == prompt.system:
            continue
        calls = "\n".join(f"{call.name}({call.arguments})" for call in message.tool_calls)
        yield from _block(message.role, "\n".join(filter(None, [message.text, calls])))
    if prompt.tools:
        yield from _block("tools", ", ".join(prompt.tools))
    if case.reference is not None:
        yield from _block("reference (the right answer)", case.reference)


def _block(name: str, text: str) -> Iterator[str]:
    yield f"── {line(name, 60)} ──"
    yield from (visible(cut(text, SHOWN_CHARS)) or "(nothing)").split("\n")
    yield ""


def _runs(runs: Iterable[Run]) -> Iterator[str]:
    """Every run in a line: stage, arm, repeat, what it came to and why."""
    yield "── runs ──"
    found = sorted(runs, key=lambda run: (run.stage != "screen", run.arm is not Arm.STABLE, run.repeat))
    for run in found:
        said = "passed" if run.passed else "failed" if run.passed is False else "not scored"
        why = [*run.changes, *(f"check {name}" for name in run.failed_checks)]
        why += [f"left the script: {run.left_script}"] if run.left_script else []
        why += [f"judge: {run.judged}"] if run.judged else []
        why += [run.error] if run.error else []
        yield f"{run.stage:<8} {run.arm.value:<10} {run.repeat:>3}  {said:<10}  {line(', '.join(why), 200)}".rstrip()
    if not found:
        yield "none"

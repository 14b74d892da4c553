"""What a version said to one frozen prompt -> a scored run. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from detent import checks, diff, wire
from detent.baseline.replaying import Heard, recorded_steps
from detent.checks import probes
from detent.checks.shown import known_good, shown
from detent.evidence import refuses_request
from detent.evidence.causes import JUDGED_WORSE
from detent.evidence.flips import RunKey
from detent.evidence.shapes import blames_shape
from detent.evidence.spending import step_limit
from detent.grading import ANSWERED, checks_of
from detent.redaction import redact_text
from detent.terms import Answer, Case, Judgement, Route, Run, Score, ToolCall, Unscored

CONTENT_CHECK = "context_agreement"
"""The check whose value is the content score, what a mean-score gate would read; without it, the mean of the other checks' values."""

REFERENCE_CHECK = "matches_reference"
"""The check of an answer to a case whose right answer somebody wrote down."""

REQUEST_REFUSED, STEP_LIMIT = "request_refused", "step_limit"
"""What a run fails by, apart from checks."""

_NONE: Mapping[str, checks.Rule] = MappingProxyType({})


def made(rollout: str, key: RunKey, passed: bool | None, **more: Any) -> Run:
    """A run of that call."""
    values: dict[str, Any] = {"content": None, **more}
    return Run(rollout=rollout, case=key.case, arm=key.arm, stage=key.stage, repeat=key.repeat, passed=passed, **values)


def redacted(run: Run, route: Route) -> Run:
    """The run with placeholders, by the route's policy, in what a model and a provider wrote."""
    policy = route.record.redact
    output, error, left = (redact_text(text, policy) if text else text for text in (run.output, run.error or "", run.left_script))
    return replace(run, output=output, error=error or run.error, left_script=left)


def score(route: Route, case: Case, key: RunKey, rollout: str, heard: Heard, *, own: Mapping[str, checks.Rule] = _NONE) -> Run:
    """What was heard as a run: passed or not by the route's checks (`own` are its own ones), named changes against the known-good output.

    A refusal of the request itself is a failed run, since in production it would be a failed call: `request_refused` where the provider
    blames the shape of the request, which all requests of that shape share. What failed for another reason (the provider, the account, a
    broken answer) is not scored: it says nothing about the prompt. Nor is a run that left its script, which is a verdict of its own; one
    that still called tools at the step limit failed. Checks and diff see the answer as it came; what is kept of it is redacted.
    Raises InvalidInput for a request that cannot be read.
    """
    return redacted(_scored(route, case, key, rollout, heard, own=own), route)


def _scored(route: Route, case: Case, key: RunKey, rollout: str, heard: Heard, *, own: Mapping[str, checks.Rule]) -> Run:
    reply, answer = heard.reply, heard.answer
    how: dict[str, Any] = {"steps": heard.steps, "usage": heard.usage, "latency_s": heard.latency_s, "model": answer.model}
    if refuses_request(reply.status) and heard.steps == 1:
        said = answer.error or f"HTTP {reply.status}"
        blamed = blames_shape(case.endpoint, case.request, reply.body)
        return made(rollout, key, False, failed_checks=(REQUEST_REFUSED,), output=said, error=said, request_refused=blamed, **how)
    if not 200 <= reply.status < 300:
        return made(rollout, key, None, error=f"HTTP {reply.status}: {answer.error or 'no reason given'}"[:500], **how)
    if answer.error is not None or not answer.complete:
        return made(rollout, key, None, error=answer.error or "incomplete answer", **how)
    whole = replace(answer, tool_calls=(*heard.calls, *answer.tool_calls))
    prompt = wire.read_prompt(case.endpoint, case.request)
    context = checks.find_context(route.context, prompt)
    asked = diff.Asked(prompt=prompt, context=context, steps=(recorded_steps(case), heard.steps), step_limit=step_limit(case))
    how |= {"output": shown(answer), "changes": tuple(change.name for change in diff.changes(_known_good(case), whole, asked))}
    if heard.left_script:
        return made(rollout, key, None, left_script=heard.left_script, error=f"left the script: {heard.left_script}"[:500], **how)
    if heard.unended:
        return made(rollout, key, False, failed_checks=(STEP_LIMIT,), **how)
    if case.probe:  # by its own rule alone: the route's checks are about answers to users
        return made(rollout, key, **how | _summed((probes.score(case.probe, prompt, whole),)))
    good = _known_good(case) if case.blessed is not None and not case.faulted else None
    names = checks_of(route)
    if case.reference is not None and REFERENCE_CHECK not in names:
        names = (*names, REFERENCE_CHECK)
    graded = checks.Graded(prompt, whole, good, context, case.reference)
    scores = checks.run(names, graded, own)
    if heard.calls:  # calls on the way are no answer: the last one has to be one itself
        (last,) = checks.run((ANSWERED,), replace(graded, answer=answer))
        scores = tuple(last if name == ANSWERED else found for name, found in zip(names, scores, strict=True))
    return made(rollout, key, **how | _summed(scores))


def _known_good(case: Case) -> Answer:
    """The recorded answer, with the calls of the recorded conversation that led to it."""
    replayed = (ToolCall("", row.name, row.arguments) for row in case.script)
    return Answer(text=case.known_good, tool_calls=(*replayed, *case.known_good_calls), usage=case.usage)


def _summed(scores: Sequence[Score | Unscored]) -> dict[str, Any]:
    """What the checks say of an answer: passed, content score, failed checks, and why where it could not be scored."""
    scored = [s for s in scores if isinstance(s, Score)]
    mean = sum(s.value for s in scored) / len(scored) if scored else None
    passed = checks.passed(scores)
    unscored = sorted((s for s in scores if isinstance(s, Unscored)), key=lambda s: not s.broken)
    return {
        "passed": passed,
        "content": next((s.value for s in scored if s.check == CONTENT_CHECK), mean),
        "failed_checks": tuple(s.check for s in scored if not s.passed),
        "error": None if passed is not None else next((s.reason for s in unscored), "no check applies"),
    }


# ── judging ─────────────────────────────────────────────────────────────────────────────────────────────────────────


_SAME: frozenset[str] = frozenset({"json_respelt", "whitespace_changed"})
"""The changes after which there is nothing left to judge. A rewording is not one of them: it has the same facts, maybe in a rude tone."""


def worth_judging(case: Case, run: Run) -> bool:
    """Whether a judge could say more of a run: its rules pass, and it says anything else than the known-good output, or in other words."""
    if run.passed is not True or case.probe or not run.output:
        return False
    good = known_good(case)
    if run.output == good or "".join(run.output.split()) == "".join(good.split()):
        return False
    return not run.changes or not set(run.changes) <= _SAME


def unjudged(run: Run, why: str, *, blocks: bool) -> Run:
    """The run that the judge gave no word on: unscored where that word might have failed it, else as it was."""
    run = replace(run, judged="abstained")
    return replace(run, passed=None, error=why[:500]) if blocks else run


def judged(run: Run, said: Judgement, *, blocks: bool, usd: float | None) -> Run:
    """The run with what the judge said of it. Only `worse` as a whole fails it, named by the dimensions that are worse, and only where the
    judge agrees with people well enough to block: its calibration is of that word, and not of single dimensions.
    """
    run = replace(run, judged=said.said, usd=run.usd if usd is None else (run.usd or 0.0) + usd)
    if said.said != "worse" or not blocks:
        return run
    worse = tuple(name for name, word in said.dimensions.items() if word == "worse") or (JUDGED_WORSE,)
    return replace(run, passed=False, failed_checks=(*run.failed_checks, *worse))

"""One reply to one frozen prompt -> a scored run. Pure."""

from __future__ import annotations

from typing import Any

from detent import checks, diff, wire
from detent.baseline.asking import Reply
from detent.evidence import refuses_request
from detent.evidence.flips import RunKey
from detent.terms import Answer, Case, Route, Run, Score

ANSWERED = "answered"
"""The check that every answer is graded by, whatever the route names: it applies to each, so that no prompt is left without any score."""

CONTENT_CHECK = "context_agreement"
"""The check whose value is the content score, what a mean-score gate would read; without it, the mean of the other checks' values."""


def checks_of(route: Route) -> tuple[str, ...]:
    """The checks that answers of a route are graded by."""
    return route.checks if ANSWERED in route.checks else (*route.checks, ANSWERED)


def made(rollout: str, key: RunKey, passed: bool | None, **more: Any) -> Run:
    """A run of that call."""
    values: dict[str, Any] = {"content": None, **more}
    return Run(rollout=rollout, case=key.case, arm=key.arm, stage=key.stage, repeat=key.repeat, passed=passed, **values)


def score(route: Route, case: Case, key: RunKey, rollout: str, reply: Reply) -> Run:
    """One recorded call as a run: passed or not by the route's checks, named changes against the known-good output. Pure.

    A refusal of the request itself is a failed run: in production it would be a failed call. What failed for another reason (the
    provider, the account, a broken answer) is not scored: it says nothing about the prompt.
    """
    answer = wire.read_answer(case.endpoint, status=reply.status, body=reply.body, streamed=False)
    if refuses_request(reply.status):
        said = answer.error or f"HTTP {reply.status}"
        return made(rollout, key, False, failed_checks=("request_refused",), output=said, error=said)
    if not 200 <= reply.status < 300:
        return made(rollout, key, None, error=f"HTTP {reply.status}")
    if answer.error is not None or not answer.complete:
        return made(rollout, key, None, error=answer.error or "incomplete answer")
    prompt = wire.read_prompt(case.endpoint, case.request)
    known_good = Answer(text=case.known_good, tool_calls=case.known_good_calls)
    scores = checks.run(checks_of(route), prompt, answer, known_good, checks.find_context(route.context, prompt))
    scored = [s for s in scores if isinstance(s, Score)]
    return made(
        rollout,
        key,
        checks.passed(scores),
        content=next((s.value for s in scored if s.check == CONTENT_CHECK), sum(s.value for s in scored) / len(scored)),
        changes=tuple(change.name for change in diff.changes(known_good, answer)),
        failed_checks=tuple(s.check for s in scored if not s.passed),
        output=answer.text or "\n".join(f"{call.name}({call.arguments})" for call in answer.tool_calls),
    )

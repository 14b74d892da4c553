"""Known-good is earned: by a label, by what users said, by the route's checks, or by a person who looked. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from detent import checks, wire
from detent.baseline.digest import digest_of
from detent.baseline.scoring import REFERENCE_CHECK
from detent.checks import Graded, Rule
from detent.errors import InvalidInput
from detent.grading import checks_of
from detent.terms import Answer, Baseline, Blessing, Case, Route, Score, Unscored

GOOD = 0.5
"""From which rating on users called an answer good."""

BY_RULE = frozenset({"label", "feedback", "checks"})
"""Who may have blessed a case without a person having looked at it."""

WRONG, DISLIKED = "its label says so", "users said that it is bad"
FAILS, NOT_WHOLE = "fails ", "no whole answer was recorded"
"""How a fault begins that no person found."""

_NONE: Mapping[str, Rule] = MappingProxyType({})


def by_rules(
    case: Case, route: Route, own_checks: Mapping[str, Rule] = _NONE, *, rating: float | None, correct: bool | None, now: datetime
) -> Case:
    """The case with its recorded output blessed, or faulted with the reason.

    A label that says wrong, feedback below one half, or a check of the route that fails without a known-good output to compare with
    (an absolute one; agreement with a reference is one) faults it. Else it is blessed, in this order, by its label or reference, by
    feedback of one half or more, or by the checks that it passed; with no check that applies, or one that could not do its work, it stays
    neither.
    """
    if case.faulted:
        return case
    if correct is False:
        return replace(case, blessed=None, faulted=WRONG)
    if rating is not None and rating < GOOD:
        return replace(case, blessed=None, faulted=DISLIKED)
    prompt = wire.read_prompt(case.endpoint, case.request)
    answer = Answer(text=case.known_good, tool_calls=case.known_good_calls)
    graded = Graded(prompt, answer, None, checks.find_context(route.context, prompt), case.reference)
    names = checks_of(route) if case.reference is None else (*checks_of(route), REFERENCE_CHECK)
    said = checks.run(tuple(dict.fromkeys(names)), graded, own_checks)
    scores = [score for score in said if isinstance(score, Score)]
    failed = [score for score in scores if not score.passed]
    if failed:
        why = "; ".join(f"{score.check}: {score.why}" if score.why else score.check for score in failed)
        return replace(case, blessed=None, faulted=FAILS + why)
    if correct or any(score.check == REFERENCE_CHECK for score in scores):
        return replace(case, blessed=Blessing(by="label", at=now))
    if rating is not None:
        return replace(case, blessed=Blessing(by="feedback", at=now))
    if scores and not any(isinstance(one, Unscored) and one.broken for one in said):
        return replace(case, blessed=Blessing(by="checks", at=now, why=", ".join(score.check for score in scores)))
    return case


def sample_for_review(baseline: Baseline, n: int) -> tuple[Case, ...]:
    """At most `n` cases for a person to look at, likelier the more of the traffic they stand for; the same ones until somebody looked.

    Never one of the blind reserve, a probe, an incident, or one that is known not to be good or that a person has looked at. Weighted
    sampling without replacement by the keys u^(1/w) (Efraimidis and Spirakis, 2006), with u from the case's digest.
    """
    open_cases = [case for case in baseline.cases if not (case.reserve or case.probe or case.faulted or _was_reviewed(case))]

    def key(case: Case) -> tuple[float, str]:
        return math.log(_uniform(case.id)) / max(case.weight, 1e-9), case.id

    return tuple(sorted(open_cases, key=key, reverse=True)[: max(n, 0)])


def reviewed(baseline: Baseline, said: Mapping[str, tuple[bool, str]], by: str, now: datetime) -> Baseline:
    """The baseline after a person said of cases, by id, whether their recorded output is good, and why.

    Raises InvalidInput for an id that is no case, or one of the reserve, a probe or an incident, for which nobody is asked.
    """
    if by in BY_RULE:
        raise InvalidInput(f"a person's name, not a rule's: `{by}`", hint="say who looked: --by NAME")
    cases = {case.id: case for case in baseline.cases}
    for name in said:
        if name not in cases:
            raise InvalidInput(
                f"no such case in the baseline of {baseline.route}: `{name}`", hint=f"see `detent baseline show {baseline.route}`"
            )
        if refusal := _not_asked(cases[name]):
            raise InvalidInput(f"{refusal}: `{name}`", hint=f"take another: `detent baseline bless {baseline.route}` shows which")
    after = tuple(_said(case, *said[case.id], by, now) if case.id in said else case for case in baseline.cases)
    return replace(baseline, cases=after, digest=digest_of(after))


def _said(case: Case, good: bool, why: str, by: str, now: datetime) -> Case:
    if good:
        return replace(case, blessed=Blessing(by=by, at=now, why=why), faulted="")
    return replace(case, blessed=None, faulted=f"{by}: {why}" if why else f"{by} said so")


def _not_asked(case: Case) -> str:
    """Why nobody is asked about a case; empty for one that may be reviewed."""
    if case.reserve:
        return "held back from people"
    if case.probe:
        return "a probe has no recorded output"
    return "an incident's output is never known good; give it a reference" if case.pinned else ""


def kept_review(case: Case, before: Case | None) -> Case:
    """The case with what a person said of the same output when it was frozen before."""
    if before is None or case.pinned or not _was_reviewed(before):
        return case
    if (before.known_good, before.known_good_calls) != (case.known_good, case.known_good_calls):
        return case
    return replace(case, blessed=before.blessed, faulted=before.faulted)


def _was_reviewed(case: Case) -> bool:
    """Whether a person said that the output is good, or that it is not."""
    if case.blessed is not None:
        return case.blessed.by not in BY_RULE
    return bool(case.faulted) and not case.pinned and not case.faulted.startswith((WRONG, DISLIKED, FAILS, NOT_WHOLE))


def _uniform(name: str) -> float:
    """A number in (0, 1) that belongs to this name."""
    return (int.from_bytes(hashlib.sha256(f"review {name}".encode()).digest()[:8]) + 0.5) / 2**64

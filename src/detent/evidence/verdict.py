"""What a baseline run comes to: one table, in order of precedence. Only `pass` is a pass. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from detent.terms import BaselineEvidence, Slice, Unlike, Verdict

OnStale = Literal["wait", "warn"]

NAMED = 3
"""How many causes, shapes or slices a sentence names; the others are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict with its reason code, its sentence and the numbers it rests on."""

    verdict: Verdict
    reason: str
    sentence: str
    numbers: dict[str, float] = field(default_factory=dict)


Said = tuple[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: when it speaks, and which verdict that is."""

    reason: str
    verdict: Verdict
    says: str
    rule: Callable[[BaselineEvidence], Said | None]


def counted(n: int, what: str) -> str:
    """`1 prompt`, `2 prompts`."""
    return f"{n} {what}" + ("" if n == 1 else "s")


def prompts(n: int) -> str:
    """`1 prompt`, `2 prompts`."""
    return counted(n, "prompt")


def few(said: list[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(said) - NAMED
    return "; ".join(said[:NAMED]) + (f"; and {more} more" if more > 0 else "")


def describe_slice(found: Slice) -> str:
    """`task=refund: stable 98.0 %, candidate 76.0 % right over 100 prompts, -22.0 points [-31.0, -13.1], p = 1.4e-05; 25 lost, 3 won`."""
    return (
        f"{found.name}: stable {100 * found.stable:.1f} %, candidate {100 * found.candidate:.1f} % right over {prompts(found.cases)}, "
        f"{100 * found.difference:+.1f} points [{100 * found.low:+.1f}, {100 * found.high:+.1f}], p = {found.p_value:.2g}; "
        f"{found.lost} lost, {found.won} won"
    )


def _briefly(found: Slice) -> str:
    """`task=refund -22.0 points [-31.0, -13.1] over 40 prompts`."""
    interval = f"[{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
    return f"{found.name} {100 * found.difference:+.1f} points {interval} over {prompts(found.cases)}"


def harmed(found: BaselineEvidence) -> list[Slice]:
    """The slices whose loss stands, all prompts first."""
    return [s for s in (found.overall, *found.slices) if s is not None and s.harmed]


def _no_baseline(found: BaselineEvidence) -> Said | None:
    return ("no frozen baseline: no prompt was run", {}) if found.cases == 0 else None


def _wrong_model(found: BaselineEvidence) -> Said | None:
    return (f"{found.wrong_model}: nothing was learnt of the candidate", {}) if found.wrong_model else None


def _refused(found: BaselineEvidence) -> Said | None:
    if not found.refused:
        return None
    n = sum(shape.cases for shape in found.refused)
    shapes = few([f"`{shape.shape}` ({prompts(shape.cases)}): {shape.said}" for shape in found.refused])
    return f"the candidate refuses the requests of {n} of {prompts(found.cases)}: {shapes}", {"refused": n, "cases": found.cases}


def _flips(found: BaselineEvidence) -> Said | None:
    if found.pending or not found.confirmed:
        return None
    causes = Counter(flip.cause for flip in found.confirmed).most_common()
    lost = (
        f"{counted(len(found.confirmed), 'confirmed negative flip')} among {prompts(found.cases)} "
        f"({counted(found.suspects, 'suspect')} run again)"
    )
    said = f"{lost}: " + few([f"{n} x {cause}" for cause, n in causes])
    return said, {"confirmed": len(found.confirmed), "cases": found.cases}


def _harmed(found: BaselineEvidence) -> Said | None:
    worse = harmed(found)
    if found.pending or not worse:
        return None
    said = f"{_briefly(worse[0])}, {worse[0].lost} lost and {worse[0].won} won"
    if worse[1:]:
        said += "; also " + few([_briefly(s) for s in worse[1:]])
    return f"a loss that stands: {said}", {"harmed": len(worse), "p_value": worse[0].p_value}


def _stale(found: BaselineEvidence) -> Said | None:
    return ("the baseline does not speak for the traffic any more: " + few(list(found.stale)), {}) if found.stale else None


def _budget(found: BaselineEvidence) -> Said | None:
    if not found.over_budget:
        return None
    spent = f" after {found.spent_usd:.2f} USD" if found.spent_usd is not None else ""
    short = counted(found.pending, "call") if found.pending else f"those of {prompts(found.errors)}"
    return f"the calls stopped at the budget{spent}: {short} were not made", {"pending": found.pending, "errors": found.errors}


def _pending(found: BaselineEvidence) -> Said | None:
    return (f"{counted(found.pending, 'baseline call')} to make", {"pending": found.pending}) if found.pending else None


def _all_failed(found: BaselineEvidence) -> Said | None:
    if found.errors < found.cases or found.overall is not None:
        return None
    return f"not one of {prompts(found.cases)} could be scored on both versions: see the errors of the calls", {"errors": found.errors}


def _errors(found: BaselineEvidence) -> Said | None:
    if not found.errors:
        return None
    said = f"{found.errors} of {prompts(found.cases)} could not be scored often enough on both versions; those never count as passes"
    return said, {"errors": found.errors, "cases": found.cases}


def _left(found: BaselineEvidence) -> Said | None:
    if not found.left_script:
        return None
    said = (
        f"the candidate leaves the recorded script of {len(found.left_script)} of {prompts(found.cases)}, where stable keeps to it: "
        "what it does there was never recorded, so that it is neither right nor wrong"
    )
    return said, {"left_script": len(found.left_script), "cases": found.cases}


def _leaves(found: BaselineEvidence) -> Said | None:
    more = found.leaving
    if more is None or not more.stands:
        return None
    said = (
        f"over all agent cases the candidate leaves the recorded script in {100 * more.candidate:.1f} % of its runs, stable in "
        f"{100 * more.stable:.1f} % (p = {more.p_value:.2g}): what it does there was never recorded"
    )
    return said, {"candidate_left": more.candidate, "stable_left": more.stable, "p_value": more.p_value}


def _failures(found: BaselineEvidence) -> Said | None:
    more = found.failures
    if more is None or not more.stands:
        return None
    said = f"the provider fails the candidate's calls: {describe_failures(more)}"
    return said, {"candidate_failed": more.candidate, "stable_failed": more.stable, "p_value": more.p_value}


def describe_failures(found: Unlike) -> str:
    """`60.0 % of them failed and were made again, 0.0 % of stable's (p = 1e-09)`."""
    shares = f"{100 * found.candidate:.1f} % of them failed and were made again, {100 * found.stable:.1f} % of stable's"
    return f"{shares} (p = {found.p_value:.2g})"


def _too_little(found: BaselineEvidence) -> Said | None:
    """Nothing was found, and little could have been.

    Of unchanged releases in which one prompt in five is unsure this holds up 60 % at 20 prompts, 5 % at 40 and none at 100.
    """
    traffic = found.cases - found.probes
    numbers: dict[str, float] = {"losable": found.losable, "at_least": found.at_least, "not_replayable": found.not_replayable}
    if found.losable < found.at_least:
        said = f"{prompts(found.losable)} of {found.cases} could be lost, and a pass needs {found.at_least} (`at_least`)"
        return said + _why_so_few(found), numbers
    if 2 * found.not_replayable > traffic:
        return f"less than half of {prompts(traffic)} can be compared" + _why_so_few(found), numbers
    if found.overall is not None and found.overall.low < -found.margin:
        said = (
            f"nothing is lost for certain, and a loss of {100 * found.margin:g} points (`margin`) is not excluded either: "
            f"{_briefly(found.overall)}; more prompts, or more runs of each, would tell"
        )
        return said, {"low": found.overall.low, "margin": found.margin}
    return None


def _why_so_few(found: BaselineEvidence) -> str:
    why = [f"stable itself never passes {found.never_right}"] if found.never_right else []
    why += [f"of {found.not_replayable} stable itself leaves the recorded script"] if found.not_replayable else []
    return ": " + ", ".join(why) if why else ""


def _never_right(found: BaselineEvidence) -> Said | None:
    if found.never_right < found.cases:
        return None
    said = f"stable itself passes none of {prompts(found.cases)}, so that none could be lost: see its answers and the route's checks"
    return said, {"never_right": found.never_right}


TABLE: tuple[Row, ...] = (
    Row("NoBaseline", Verdict.COULD_NOT_RUN, "no baseline is frozen, or it is empty", _no_baseline),
    Row("WrongModelServed", Verdict.INCONCLUSIVE, "the pinned version answered the calls for the candidate", _wrong_model),
    Row("RequestRefused", Verdict.REGRESSION, "the candidate refuses a shape of request that stable takes", _refused),
    Row("ConfirmedNegativeFlips", Verdict.REGRESSION, "prompts that stable gets right and the candidate does not, on fresh runs", _flips),
    Row("SliceHarmed", Verdict.REGRESSION, "the mean share of passes fell, over all prompts or in a stratum", _harmed),
    Row("BaselineStale", Verdict.INCONCLUSIVE, "the baseline does not speak for the route's traffic any more", _stale),
    Row("BaselineBudget", Verdict.INCONCLUSIVE, "the calls stopped at the budget", _budget),
    Row("BaselineRunning", Verdict.INCONCLUSIVE, "calls are still to be made", _pending),
    Row("BaselineCouldNotRun", Verdict.COULD_NOT_RUN, "not one prompt could be scored on both versions", _all_failed),
    Row("ProviderFailures", Verdict.INCONCLUSIVE, "far more of the candidate's calls than of stable's failed by the provider", _failures),
    Row("BaselineInconclusive", Verdict.INCONCLUSIVE, "some prompts could not be scored often enough", _errors),
    Row("LeftScript", Verdict.INCONCLUSIVE, "the candidate leaves the script of agent cases that stable keeps to", _left),
    Row("LeftScript", Verdict.INCONCLUSIVE, "the candidate leaves the scripts of agent cases oftener than stable, over all", _leaves),
    Row("BaselineInconclusive", Verdict.INCONCLUSIVE, "stable passes no prompt, so that none could be lost", _never_right),
    Row(
        "TooLittle", Verdict.INCONCLUSIVE, "too few prompts could be lost or compared, or a loss of the margin is not excluded", _too_little
    ),
)
"""The first row that speaks decides; when none does, it is a pass."""


def finding(found: BaselineEvidence, on_stale: OnStale = "wait") -> Finding:
    """The verdict on a baseline run, with its reason code and numbers. Where the plan says only to `warn`, a stale baseline may pass."""
    if on_stale == "warn":
        found = replace(found, stale=())
    said = [(row, said) for row in TABLE if (said := row.rule(found)) is not None]
    if not said:
        return Finding(Verdict.PASS, "BaselinePassed", _passed(found))
    row, (sentence, numbers) = said[0]
    if row.verdict is Verdict.REGRESSION:  # what is lost is told whole, whichever row comes first
        sentence = "; ".join(text for other, (text, _) in said if other.verdict is Verdict.REGRESSION)
    return Finding(row.verdict, row.reason, sentence, numbers)


def _passed(found: BaselineEvidence) -> str:
    said = f"no confirmed negative flip among {prompts(found.cases)}"
    if found.overall is not None:
        said += f", and no slice is harmed; {describe_slice(found.overall)}"
    said += f"; {found.never_right} could not be lost, since stable never passes them" if found.never_right else ""
    said += f"; {found.not_replayable} could not be replayed, since stable itself leaves their script" if found.not_replayable else ""
    return said + (f"; {counted(found.probes_unscored, 'probe')} could not be scored on either version" if found.probes_unscored else "")


def verdict(found: BaselineEvidence, on_stale: OnStale = "wait") -> tuple[Verdict, str]:
    """What a baseline run comes to, and why, in a sentence with the numbers; see `finding`."""
    said = finding(found, on_stale)
    return said.verdict, said.sentence

"""How long both versions took for copies of the same requests. Pure; told beside a shadow, and it decides nothing there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from detent.evidence.minutes import MinuteKey, MinuteSums
from detent.stats import sketch
from detent.terms import Arm, Role, Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long answers of one arm took, in seconds, and how many tokens they had: P50 and P99, None where nothing is known."""

    says: str
    legs: int
    complete: int
    first_byte: tuple[float | None, float | None]
    latency: tuple[float | None, float | None]
    output_tokens: tuple[float | None, float | None]


def timings_of(rollout: Rollout, sums: Iterable[tuple[MinuteKey, MinuteSums]]) -> tuple[Timing, ...]:
    """Both versions on copies of the same requests, and stable's live answers in the minutes in which there were copies."""
    mine = [(key, of) for key, of in sums if key.rollout == rollout.id]
    minutes = {key.minute_us for key, _ in mine if key.role == Role.MIRRORED}
    rows = (
        ("candidate, mirrored", Role.MIRRORED, Arm.CANDIDATE),
        ("stable, mirrored a second time", Role.MIRRORED, Arm.STABLE),
        ("stable, live", Role.SERVED, Arm.STABLE),
    )
    found = []
    for says, role, arm in rows:
        total = MinuteSums()
        for key, of in mine:
            if key.role == role and key.arm == arm and key.minute_us in minutes:
                total += of
        if total.legs:
            found.append(_timing(says, total))
    return tuple(found)


def _timing(says: str, total: MinuteSums) -> Timing:
    def both(counts: Mapping[int, int]) -> tuple[float | None, float | None]:
        return sketch.quantile(counts, 0.5), sketch.quantile(counts, 0.99)

    return Timing(
        says=says,
        legs=total.legs,
        complete=total.outcomes.get("complete", 0),
        first_byte=both(total.first_byte.sketch),
        latency=both(total.latency.sketch),
        output_tokens=both(total.output_tokens.sketch),
    )


def describe_timing(timing: Timing) -> str:
    """`candidate, mirrored: 998 of 1000 answers complete; latency P50 2.3 s, P99 7.1 s`; what is not known is left out."""

    def said(name: str, values: tuple[float | None, float | None], unit: str = "") -> str:
        if values[0] is None or values[1] is None:
            return ""
        return f"{name} P50 {values[0]:.3g}{unit}, P99 {values[1]:.3g}{unit}"

    parts = [
        f"{timing.complete} of {timing.legs} answers complete",
        said("first byte", timing.first_byte, " s"),
        said("latency", timing.latency, " s"),
        said("output tokens", timing.output_tokens),
    ]
    return f"{timing.says}: {'; '.join(filter(None, parts))}"

"""Words for people that several parts of an explanation share. Pure."""

from __future__ import annotations

from detent.terms import Decision


def ago(seconds: float) -> str:
    """A duration for people: `4s`, `12 min`, `3.2 h`, `2.1 days`."""
    seconds = max(0.0, seconds)  # a clock that was set back
    if seconds < 90:
        return f"{seconds:.0f}s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * 86400 else f"{seconds / 86400:.1f} days"


def describe(decision: Decision) -> str:
    """`advance (BaselinePassed) no confirmed negative flip among 60 prompts`, and that its windows were short where they were."""
    short = " [unsafe_short_windows]" if decision.unsafe_short_windows else ""
    return f"{decision.verb} ({decision.reason}) {decision.sentence}{short}"

"""The guards of a plan that names none, and the plans that exist without being written."""

from __future__ import annotations

from detent.terms import BaselineStage, CanaryStage, CanaryStep, Guard, Plan, ShadowStage, SoakStage

_HOUR = 3600.0
_DAY = 24 * _HOUR

DEFAULT_GUARDS: tuple[Guard, ...] = (
    Guard(metric="error", margin_ratio=1.5, role="prove"),
    Guard(metric="parse_error", margin_ratio=1.5, role="prove"),
    Guard(metric="hard_failure", margin_ratio=1.5, role="harm", matures=10.0),
    Guard(metric="truncated", margin_ratio=1.5, role="harm"),
    Guard(metric="keys_missing", margin_ratio=1.5, role="harm"),
    Guard(metric="tool_retry", margin_ratio=1.5, role="harm"),
    Guard(metric="refusal", margin_ratio=1.5, role="harm"),
    Guard(metric="hit_limit", margin_ratio=1.5, role="harm"),
    # A version that answers a few percent longer or slower is another version and not a harmful one: harm begins beyond 5 %.
    Guard(metric="output_tokens", margin_ratio=1.2, tolerance_ratio=1.05, role="harm"),
    Guard(metric="latency", margin_ratio=1.25, tolerance_ratio=1.05, role="harm"),
    Guard(metric="first_byte", margin_ratio=1.25, tolerance_ratio=1.05, role="harm"),
    Guard(metric="long_session", margin_ratio=1.5, role="harm", matures=0.5 * _HOUR),
    Guard(metric="session_steps", role="observe", matures=0.5 * _HOUR),
    Guard(metric="session_cost", role="observe", matures=0.5 * _HOUR),  # unscored, and in nobody's way, without prices
    Guard(metric="unknown_tool", role="observe"),
    Guard(metric="fallback", role="observe"),
    Guard(metric="cached_share", role="observe"),
)

BUILTIN_PLANS: dict[str, Plan] = {
    "standard": Plan(name="standard", guards=DEFAULT_GUARDS),
    # For a route with little traffic: more frozen prompts, every request shadowed and asked of stable twice, shares that reach enough
    # units, longer windows.
    "quiet": Plan(
        name="quiet",
        baseline=BaselineStage(cases=500),
        shadow=ShadowStage(share=1.0, at_least=14 * _DAY, at_most=28 * _DAY, pairs=300, second=1.0, coverage=0.90),
        canary=CanaryStage(
            steps=(CanaryStep(share=0.25, at_least=7 * _DAY), CanaryStep(share=0.50, at_least=7 * _DAY)),
            at_most=56 * _DAY,
        ),
        soak=SoakStage(at_least=28 * _DAY, holdback=0.10),
        guards=DEFAULT_GUARDS,
    ),
}
"""Plans of these names that the file writes itself replace them whole; what such a plan leaves out is as in any other plan."""

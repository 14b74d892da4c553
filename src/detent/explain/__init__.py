"""Why a rollout stands where it stands: sentences with numbers. Pure; `detent explain` and `detent status` print them.

rollout.py  headline, the whole explanation, the same for machines      guards.py    each guard: both arms, how sure, what it waits for
balance.py  whether the arms were alike before                          baseline.py  a baseline's result
shadow.py   what a shadow compared, where the answers differ, its cost  gateways.py  which gateway serves which revision
timings.py  how long both versions took for copies                       wording.py   words that these share
way_back.py the way back of each route, versions kept, open alerts        status.py    all of it, what is open first
"""

from __future__ import annotations

from detent.explain.baseline import describe_baseline
from detent.explain.gateways import LIVE_S, Gateway, conditions, describe_gateway, silent_s, summary
from detent.explain.guards import GuardTold, guards_told
from detent.explain.rollout import Beside, as_json, explain, headline
from detent.explain.shadow import Example, ShadowBeside, beyond_first, describe_shadow, shadow_json, shadow_told
from detent.explain.status import Leader, Stood, in_doubt, leading, status_lines
from detent.explain.timings import Timing, timings_of
from detent.explain.way_back import describe_way_back
from detent.explain.wording import ago, describe

__all__ = [
    "LIVE_S",
    "Beside",
    "Example",
    "Gateway",
    "GuardTold",
    "Leader",
    "ShadowBeside",
    "Stood",
    "Timing",
    "ago",
    "as_json",
    "beyond_first",
    "conditions",
    "describe",
    "describe_baseline",
    "describe_gateway",
    "describe_shadow",
    "describe_way_back",
    "explain",
    "guards_told",
    "headline",
    "in_doubt",
    "leading",
    "shadow_json",
    "shadow_told",
    "silent_s",
    "status_lines",
    "summary",
    "timings_of",
]

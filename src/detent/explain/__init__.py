"""Why a rollout stands where it stands: sentences with numbers. Pure; `detent explain` and `detent status` print them.

rollout.py  headline, the whole explanation, the same for machines      guards.py    each guard: both arms, how sure, what it waits for
balance.py  whether the arms were alike before                          baseline.py  a baseline's result
gateways.py which gateway serves which revision                         wording.py   words that these share
"""

from __future__ import annotations

from detent.explain.baseline import describe_baseline
from detent.explain.gateways import LIVE_S, Gateway, describe_gateway, silent_s, summary
from detent.explain.guards import GuardTold, guards_told
from detent.explain.rollout import Beside, as_json, explain, headline
from detent.explain.wording import ago, describe

__all__ = [
    "LIVE_S",
    "Beside",
    "Gateway",
    "GuardTold",
    "ago",
    "as_json",
    "describe",
    "describe_baseline",
    "describe_gateway",
    "explain",
    "guards_told",
    "headline",
    "silent_s",
    "summary",
]

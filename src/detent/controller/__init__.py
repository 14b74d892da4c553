"""What moves rollouts: load, decide, commit, and nothing else; and the one place where a human's verb and a pin file reach the store.

loading.py  all that a decision may read, from the store      loop.py     the level-triggered loop
acting.py   a human's verb, in one write                      opening.py  a pin file applied, a trial of a version against itself
way_backs.py  the way back of each route                      alarms.py   who is told of what, and when that is over
live.py     what live gateways say of themselves
trickles.py  copies to each way back, and what they cost
retiring.py   a former version let go
"""

from __future__ import annotations

from detent.controller.acting import act, approve
from detent.controller.live import live, orders_of
from detent.controller.loading import baseline_of, load_evidence, load_layers, reports_of, segments_of
from detent.controller.loop import MOST_GAP_S, Controller
from detent.controller.opening import apply, fitted, loosened_by, open_aa, proposed
from detent.controller.retiring import retire
from detent.controller.way_backs import Warmth, warmth, way_back_of, way_backs

__all__ = [
    "MOST_GAP_S",
    "Controller",
    "Warmth",
    "act",
    "apply",
    "approve",
    "baseline_of",
    "fitted",
    "live",
    "load_evidence",
    "load_layers",
    "loosened_by",
    "open_aa",
    "orders_of",
    "proposed",
    "reports_of",
    "retire",
    "segments_of",
    "warmth",
    "way_back_of",
    "way_backs",
]

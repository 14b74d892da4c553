"""What moves rollouts: load, decide, commit, and nothing else; and the one place where a human's verb and a pin file reach the store.

loading.py  all that a decision may read, from the store      loop.py     the level-triggered loop
acting.py   a human's verb, in one write                      opening.py  a pin file applied, a trial of a version against itself
"""

from __future__ import annotations

from detent.controller.acting import act
from detent.controller.loading import baseline_of, load_evidence, load_layers, reports_of, segments_of
from detent.controller.loop import MOST_GAP_S, Controller
from detent.controller.opening import apply, fitted, open_aa, proposed

__all__ = [
    "MOST_GAP_S",
    "Controller",
    "act",
    "apply",
    "baseline_of",
    "fitted",
    "load_evidence",
    "load_layers",
    "open_aa",
    "proposed",
    "reports_of",
    "segments_of",
]

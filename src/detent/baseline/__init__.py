"""Layer 1: freeze a baseline from recorded traffic, and run two versions over it.

freezing.py   recorded exchanges -> `Baseline`          scoring.py   a reply -> a scored `Run` (pure)
running.py    which calls are due -> made and stored    asking.py    the seam to whoever makes the call
trial.py      what a run by hand is stored under
"""

from __future__ import annotations

from detent.baseline.asking import Ask, Reply
from detent.baseline.freezing import freeze
from detent.baseline.running import BaselineRunner
from detent.baseline.scoring import ANSWERED, checks_of, score
from detent.baseline.trial import trial

__all__ = ["ANSWERED", "Ask", "BaselineRunner", "Reply", "checks_of", "freeze", "score", "trial"]

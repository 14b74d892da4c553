"""Layer 1: freeze a baseline from recorded traffic, and run two versions over it.

sources.py    the journal or files, read twice          blessing.py  known-good is earned (pure)
freezing.py   recorded exchanges -> `Baseline`          incidents.py an exchange is kept as an incident
digest.py     what a baseline is known by (pure)        scoring.py   what was heard -> a scored `Run` (pure)
running.py    which calls are due -> made and stored    asking.py    the seam to whoever makes the call
lanes.py      calls to one provider, tried again        pacing.py    how many of them at once (pure)
replaying.py  an agent's tools answer from the record   purse.py     what is spent, and what still fits in the budget
judging.py    which runs a judge is asked about         trial.py     what a run by hand is stored under
staleness.py  does it still speak for current traffic?  queueing.py  which of the due calls comes first
"""

from __future__ import annotations

from detent.baseline.asking import Ask, Call, Reply
from detent.baseline.blessing import by_rules, reviewed, sample_for_review
from detent.baseline.freezing import freeze, freeze_recorded
from detent.baseline.incidents import pin
from detent.baseline.running import BaselineRunner
from detent.baseline.scoring import score
from detent.baseline.staleness import stale_of
from detent.baseline.trial import trial
from detent.grading import ANSWERED, checks_of

__all__ = [
    "ANSWERED",
    "Ask",
    "BaselineRunner",
    "Call",
    "Reply",
    "by_rules",
    "checks_of",
    "freeze",
    "freeze_recorded",
    "pin",
    "reviewed",
    "sample_for_review",
    "score",
    "stale_of",
    "trial",
]

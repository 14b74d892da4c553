"""The nouns of Detent, in the order in which a request meets them. Read this first.

    app -> gateway -> provider          assign.py, exchange.py, gateway/
             | Intent, Result           store/spool.py
             v
           journal -> evidence -> decision -> flag -> every gateway
           ingest.py  evidence/  decide.py  controller/

Everything here is a frozen value. Fractions are in [0, 1]; durations are float seconds (`Seconds`; a file spells them `48h`); times are
aware UTC datetimes named `*_at`, or integer microseconds since the epoch named `*_us` in the spool and the journal; ids carry a prefix
(`ro_` rollout, `ex_` exchange, `le_` leg, `ca_` case).
"""

from __future__ import annotations

from detent.terms.baseline import Baseline, Blessing, Calibration, Case, Judged, Judgement, Pair, Pin, Run, Score, ToolResult, Unscored
from detent.terms.durations import DURATION, Seconds, micros, parse_duration, show_duration, utc
from detent.terms.evidence import (
    BaselineEvidence,
    Evidence,
    Exposure,
    Flip,
    GuardEvidence,
    Refused,
    ShadowEvidence,
    Slice,
    Spread,
    Tally,
    Unlike,
    ValueTally,
    Verdict,
)
from detent.terms.flags import OPEN_PHASES, Arm, Flag, FlagSet, Phase
from detent.terms.forecast import Forecast, Range
from detent.terms.legs import Assignment, Begun, Feedback, Intent, Leg, Outcome, Result, Role, Unit, UnitKind
from detent.terms.names import CHECK_NAMES, FEEDBACK_NAMES, JUDGED_CHECKS, METRIC_NAMES, MetricRow, Side
from detent.terms.past import Past, PastMetric
from detent.terms.pinfile import (
    BaselineStage,
    CanaryStage,
    CanaryStep,
    CheckRow,
    DeclaredMetric,
    Dialect,
    Drill,
    FileTable,
    Guard,
    Manifest,
    Plan,
    Price,
    Provider,
    RecordPolicy,
    Route,
    Server,
    ShadowStage,
    SoakStage,
    Version,
)
from detent.terms.power import Catch, GuardPower, LookPower, Power
from detent.terms.recorded import RecordedExchange, RefusedRow
from detent.terms.report import Cause, Report, ReportedCase, Status
from detent.terms.requests import CUT_OFF, Answer, Endpoint, Head, Message, Prompt, ToolCall, Usage
from detent.terms.rollouts import Decision, Held, Look, LookAt, Rollout, Verb, Working

__all__ = [
    "CHECK_NAMES",
    "CUT_OFF",
    "DURATION",
    "FEEDBACK_NAMES",
    "JUDGED_CHECKS",
    "METRIC_NAMES",
    "OPEN_PHASES",
    "Answer",
    "Arm",
    "Assignment",
    "Baseline",
    "BaselineEvidence",
    "BaselineStage",
    "Begun",
    "Blessing",
    "Calibration",
    "CanaryStage",
    "CanaryStep",
    "Case",
    "Catch",
    "Cause",
    "CheckRow",
    "Decision",
    "DeclaredMetric",
    "Dialect",
    "Drill",
    "Endpoint",
    "Evidence",
    "Exposure",
    "Feedback",
    "FileTable",
    "Flag",
    "FlagSet",
    "Flip",
    "Forecast",
    "Guard",
    "GuardEvidence",
    "GuardPower",
    "Head",
    "Held",
    "Intent",
    "Judged",
    "Judgement",
    "Leg",
    "Look",
    "LookAt",
    "LookPower",
    "Manifest",
    "Message",
    "MetricRow",
    "Outcome",
    "Pair",
    "Past",
    "PastMetric",
    "Phase",
    "Pin",
    "Plan",
    "Power",
    "Price",
    "Prompt",
    "Provider",
    "Range",
    "RecordPolicy",
    "RecordedExchange",
    "Refused",
    "RefusedRow",
    "Report",
    "ReportedCase",
    "Result",
    "Role",
    "Rollout",
    "Route",
    "Run",
    "Score",
    "Seconds",
    "Server",
    "ShadowEvidence",
    "ShadowStage",
    "Side",
    "Slice",
    "SoakStage",
    "Spread",
    "Status",
    "Tally",
    "ToolCall",
    "ToolResult",
    "Unit",
    "UnitKind",
    "Unlike",
    "Unscored",
    "Usage",
    "ValueTally",
    "Verb",
    "Verdict",
    "Version",
    "Working",
    "micros",
    "parse_duration",
    "show_duration",
    "utc",
]

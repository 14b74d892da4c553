"""Drills, from beginning to end: real traffic is moved to the way back and returned, looked at all the while.

Whoever is there takes a drill one step on: the command that began it, every server, and the next command after all of them were killed. The
row says how far it came; gateways end it by themselves in any case, by their own clocks (`DrillShare.lasts_s`).

beginning.py  begin, press, waive       driving.py  one step on
server.py     the loop beside a server  telling.py  lines for `status`
"""

from __future__ import annotations

from detent.controller.rehearsing import end_drill
from detent.driller.beginning import Order, begin, new_id, new_salt, press, waive
from detent.driller.driving import OVER_S, REST, drive, end_over, press_hint
from detent.driller.server import SCHEDULE_S, Driller
from detent.driller.telling import blocked, newest, rows, told

__all__ = [
    "OVER_S",
    "REST",
    "SCHEDULE_S",
    "Driller",
    "Order",
    "begin",
    "blocked",
    "drive",
    "end_drill",
    "end_over",
    "new_id",
    "new_salt",
    "newest",
    "press",
    "press_hint",
    "rows",
    "told",
    "waive",
]

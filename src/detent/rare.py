"""Which units the shadow takes: those that are drawn, and the first conversations of prompt templates that it has seen little of."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from detent.assign import draw
from detent.terms import Flag, Head, Unit

Taken = Literal["drawn", "rare"]

RARE_CONVERSATIONS = 20
"""A prompt template of which fewer conversations than these were mirrored is rare."""

MOST_FOLLOWED = 10_000
"""How many conversations, and how many templates, a gateway remembers for the shadow."""

RARE_AT_FIRST = 200
"""So many requests are taken for being rare before any was drawn, those that follow a first one among them. A template may hold a date or
a name, so that every one is rare, and a conversation may have no end: beyond these requests are taken for that only while they are fewer
than those that were drawn. So the share is at most doubled."""


class Mirrored:
    """Which units a gateway mirrors: those that are drawn, and conversations of rare templates from their first request on.

    It lives as long as the gateway. A conversation that was taken for being rare is followed, so that it is mirrored as a whole; one that
    had to be left once is not taken up again, since what comes after a gap is not comparable. A unit is no conversation: it may be a whole
    app under one name.
    """

    def __init__(self, most: int = MOST_FOLLOWED) -> None:
        self._most = most
        self._followed: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._of_template: OrderedDict[tuple[str, str], set[int]] = OrderedDict()
        self._taken: dict[tuple[str, bool], int] = {}

    def takes(self, unit: Unit, flag: Flag, head: Head) -> Taken | None:
        """Why a request is mirrored; None where it is not. `took` is told of those that were."""
        if flag.rollout is None or flag.mirror is None or flag.mirror.share <= 0.0:
            return None
        if draw(flag.salt, "shadow", unit.id) < flag.mirror.share:
            return "drawn"
        conversation = hash((unit.id, head.opening))
        full = self._taken.get((flag.rollout, False), 0) >= RARE_AT_FIRST + self._taken.get((flag.rollout, True), 0)
        if head.continues:
            if full:
                self._followed.pop((flag.rollout, conversation), None)
            return "rare" if (flag.rollout, conversation) in self._followed else None
        known = self._of_template.get((flag.rollout, head.template), set())
        return None if full or conversation in known or len(known) >= RARE_CONVERSATIONS else "rare"

    def took(self, unit: Unit, flag: Flag, head: Head, why: Taken) -> None:
        """Counts a request that is on its way to the candidate."""
        if flag.rollout is None:
            return
        taken = (flag.rollout, why == "drawn")
        self._taken[taken] = self._taken.get(taken, 0) + 1
        conversation = hash((unit.id, head.opening))
        known = self._of_template.setdefault((flag.rollout, head.template), set())
        self._of_template.move_to_end((flag.rollout, head.template))
        if len(known) < RARE_CONVERSATIONS:
            known.add(conversation)
        if why == "rare":
            self._followed[flag.rollout, conversation] = None
            self._followed.move_to_end((flag.rollout, conversation))
        for memory in (self._followed, self._of_template):
            if len(memory) > self._most:
                memory.popitem(last=False)

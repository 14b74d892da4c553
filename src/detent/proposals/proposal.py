"""One proposal: what would happen to a route."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from detent.terms import Version

Kind = Literal["add", "open", "supersede", "running", "withdrawn", "settle", "change", "remove", "unchanged", "refuse"]
"""What would happen to a route.

- add: the route is new; its pin is taken as approved
- open: a rollout opens for `next`
- supersede: the open rollout ends, then one opens for `next`
- running: `next` is on its way already; nothing new happens
- withdrawn: `next` was taken out while its rollout is open; nothing moves by that
- settle: a rollout moved the pin and the file still tells the old state, or tells the new one already; nothing moves
- change: versions stay, settings of the route change
- remove: the route is no longer in the file
- unchanged: nothing
- refuse: the file may not be applied
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What would happen to one route: a sentence, details of it line by line, and what to do next where there is something to do."""

    route: str
    kind: Kind
    sentence: str
    hint: str | None = None
    details: tuple[str, ...] = ()
    candidate: Version | None = None
    ends: str | None = None

"""What a pin file no longer asks a human yes for that the one in force does. Pure.

Whoever applies such a file says yes to every rollout that would have asked, which is an approver's to say (`roles`, `apply --loosen`).
"""

from __future__ import annotations

from detent.terms import Manifest


def loosened(before: Manifest, after: Manifest) -> tuple[str, ...]:
    """What is no longer asked for, in sentences: a stage of a route by whatever way (its plan, another plan, no such route any more, under
    whose name it could come back without), and names that may say yes to what they propose. Empty for a file that asks for as much.
    """
    found = []
    for name, route in sorted(before.routes.items()):
        asked = before.plans[route.plan].approve
        then = after.plans[after.routes[name].plan].approve if name in after.routes else ()
        lost = [stage for stage in asked if stage not in then]
        if lost:
            how = "" if name in after.routes else ", which is no route any more"
            found.append(f"route `{name}`{how}: nobody is asked about {' and '.join(lost)}")
    alone = sorted(set(after.server.approves_alone) - set(before.server.approves_alone))
    if alone:
        found.append(f"{', '.join(f'`{name}`' for name in alone)} may approve what they proposed themselves")
    return tuple(found)

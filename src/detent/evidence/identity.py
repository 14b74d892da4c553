"""Whether the model that says it answered is the one that was sent for. Pure.

A pin is a promise about one exact model. Some providers answer with a longer name than the one sent (a documented alias resolved to its
snapshot, a path before the name); that is the same promise as long as it is always the same longer name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from detent.terms import Arm, Run


def violations(answered: Mapping[str, Mapping[str, int]]) -> tuple[str, ...]:
    """Sentences about the models sent for that others answered for; empty when all is as pinned.

    `answered[sent][name]` counts the answers that named `name` as their model.
    """
    found = []
    for sent, names in sorted(answered.items()):
        others = sorted(name for name in names if not _may_be(sent, name))
        found += [f"`{sent}` was sent for, and `{name}` answered ({names[name]} times)" for name in others]
        same = sorted(name for name in names if _may_be(sent, name))
        if len({_bare(name) for name in same}) > 1:
            found.append(f"`{sent}` answered under several names: " + ", ".join(f"`{name}`" for name in same))
    return tuple(found)


def answered_by_stable(sent: tuple[str, str], runs: Iterable[Run]) -> str:
    """A sentence where all of the candidate's answers name the model of stable, and none its own; empty otherwise. `sent` are both."""
    stable, candidate = sent
    names = Counter(run.model for run in runs if run.arm is Arm.CANDIDATE and run.model is not None)
    if not names or any(_may_be(candidate, name) or not _may_be(stable, name) for name in names):
        return ""
    said = " and ".join(f"`{name}`" for name in sorted(names))
    return f"`{candidate}` was sent for, and {said} answered, the pinned `{stable}`, in all {names.total()} runs"


def _bare(name: str) -> str:
    return name.rsplit("/", 1)[-1].casefold()


def _may_be(sent: str, name: str) -> bool:
    wanted, given = _bare(sent), _bare(name)
    return given == wanted or given.startswith((f"{wanted}-", f"{wanted}@", f"{wanted}:"))

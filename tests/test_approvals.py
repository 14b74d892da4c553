"""A human yes: bound to what was seen, used once, good for a day, and never one's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from controlling import NEXT, World, in_the_canary, pin_file
from detent.approving import GOOD_FOR, approval_of, told, unfit
from detent.controller import Controller, act, approve
from detent.errors import Conflict, Refused
from detent.recompute import replay
from detent.store import Store
from detent.terms import Approval, Decision, Phase, Rollout, Verb
from records import T0, rollout

pytest_plugins = ("stores",)

PLAN = pin_file(chat=NEXT).replace("approve  = []", 'approve  = ["canary"]')


@pytest.fixture
def world(store: Store) -> World:
    """A rollout that ada proposed, whose shadow has passed: it waits for a yes to its canary."""
    world = World(store)
    world.apply(PLAN)
    world.freeze()
    return world


@pytest.fixture
def controller(world: World) -> Controller:
    controller = Controller(world.store, world.clock, elapsed=world.elapsed)
    for _ in range(3):
        controller.run_once()
        world.runs()
    assert world.rollout().phase is Phase.SHADOW
    world.pairs()
    world.later(1.5)
    controller.run_once()
    waits = world.rollout().held
    assert waits is not None
    assert waits.reason == "AwaitingApproval"
    return controller


def yes(world: World, by: str = "ben", **more: int | None) -> Approval:
    return approve(world.store, "ro_1", by=by, why="read it", now=world.now, **more)


def given(world: World) -> Approval:
    return world.store.state.approvals("ro_1")[-1]


def explained(world: World) -> list[str]:
    state = world.store.state
    return list(told(state.approvals("ro_1"), world.rollout(), state.last_decision("ro_1"), world.now))


# ── how a yes is used ──


def test_a_yes_is_used_in_the_commit_that_advances(world: World, controller: Controller) -> None:
    before = world.rollout()
    approval = yes(world)
    assert (approval.stage, approval.revision) == ("canary", before.revision)
    last = world.store.state.last_decision("ro_1")
    assert last is not None
    assert approval.evidence == last.evidence_digest
    assert world.rollout() == before, "a yes moves nothing by itself"
    (decision,) = controller.run_once()
    after = world.rollout()
    assert (decision.verb, after.phase, after.approved) == (Verb.ADVANCE, Phase.CANARY, ("canary",))
    assert after.revision == before.revision + 1, "used and advanced in one commit"
    assert given(world).used_at == world.now
    newest, yes_row = world.store.state.audit(2, rollout="ro_1")
    assert (yes_row.by, yes_row.what) == ("ben", f"approve: canary at revision {before.revision}: read it")
    assert f'"approval":"{approval.id}"' in (newest.after or "")


def test_the_decision_that_used_it_can_be_made_again(world: World, controller: Controller) -> None:
    yes(world)
    controller.run_once()
    found = replay(world.store.state.decided("ro_1"))
    assert [one.decision.reason for one in found][-1] == "ShadowPassed"
    assert all(one.same for one in found)


def test_evidence_that_grew_without_changing_a_decision_leaves_it_good(world: World, controller: Controller) -> None:
    yes(world)
    world.pairs(3)
    world.later(5)
    controller.run_once()
    assert world.rollout().phase is Phase.CANARY


@pytest.mark.parametrize("moves", ["hold", "hold and resume"])
def test_a_rollout_that_moved_on_does_not_use_it(world: World, controller: Controller, moves: str) -> None:
    yes(world)
    act(world.store, "ro_1", "hold", by="cem", why="wait", now=world.now)
    if moves == "hold and resume":
        act(world.store, "ro_1", "resume", by="cem", why="", now=world.now)
    for _ in range(3):
        controller.run_once()
    assert world.rollout().phase is Phase.SHADOW
    assert given(world).used_at is None
    if moves == "hold":
        return
    (why,) = explained(world)
    assert "ben approved canary" in why
    assert "the rollout has moved on to" in why
    yes(world)
    controller.run_once()
    assert world.rollout().phase is Phase.CANARY, "a yes to what is there now"


def test_a_yes_is_good_for_a_day(world: World, controller: Controller) -> None:
    yes(world)
    world.later(GOOD_FOR.total_seconds() / 3600)
    world.store.state.look_after(["ro_1"], world.now, math.inf)
    state = world.store.state
    assert (
        unfit(given(world), world.rollout(), state.last_decision("ro_1"), world.now) == f"it was good until {world.now:%Y-%m-%d %H:%M} UTC"
    )
    assert unfit(given(world), world.rollout(), state.last_decision("ro_1"), world.now - timedelta(seconds=1)) is None


def test_a_used_yes_is_never_used_again(world: World, controller: Controller) -> None:
    approval = yes(world)
    before = world.rollout()
    controller.run_once()
    after = world.rollout()
    back = world.store.state.commit(
        after, replace(before, revision=after.revision), flag=None, decision=None, evidence=None, by="x", what="x", at=world.now
    )
    with pytest.raises(Conflict, match="was used before"):
        world.store.state.commit(
            back, back, flag=None, decision=None, evidence=None, by="detent", what="again", at=world.now, approval=approval.id
        )
    assert world.store.state.rollout("ro_1").revision == back.revision, "and nothing of that commit is there"


# ── who may say it, to what ──


def test_nobody_approves_what_they_proposed(world: World, controller: Controller) -> None:
    proposer = world.rollout().proposed_by
    assert proposer
    with pytest.raises(Refused, match=f"`{proposer}` proposed rollout `ro_1`, and nobody can approve what they proposed") as refused:
        yes(world, by=proposer)
    assert f'approves_alone = ["{proposer}"]' in str(refused.value.hint)
    assert world.store.state.approvals("ro_1") == []


def test_a_team_of_one_says_so_in_the_pin_file(world: World, controller: Controller) -> None:
    proposer = world.rollout().proposed_by
    world.store.state.put_manifest(PLAN + f'\n[server]\napproves_alone = ["{proposer}"]\n', by="x", at=world.now)
    yes(world, by=proposer)
    controller.run_once()
    assert world.rollout().phase is Phase.CANARY


def test_who_proposed_a_rollout_of_an_older_detent_is_read_in_the_log(world: World, controller: Controller) -> None:
    proposer, before = world.rollout().proposed_by, world.rollout()
    world.store.state.commit(
        before, replace(before, proposed_by=""), flag=None, decision=None, evidence=None, by="x", what="x", at=world.now
    )
    with pytest.raises(Refused, match="proposed rollout `ro_1`"):
        yes(world, by=proposer)


def test_nothing_is_approved_that_does_not_wait(world: World) -> None:
    with pytest.raises(Refused, match="waits for no approval"):
        yes(world)


def test_an_approver_may_say_what_they_saw(world: World, controller: Controller) -> None:
    seen = world.rollout().revision
    with pytest.raises(Refused, match=f"is at revision `{seen}`, and what you saw is {seen - 1}"):
        yes(world, revision=seen - 1)
    assert yes(world, revision=seen).revision == seen


WAITING = Decision(rollout="ro_1", verb=Verb.HOLD, reason="AwaitingApproval", sentence="", at=T0, evidence_digest="ab")


def at_the_gate() -> Rollout:
    from detent.terms import Held

    held = Held(reason="AwaitingApproval", by="detent", since_at=T0)
    plan = replace(rollout().plan, approve=("canary", "soak"))
    return rollout(phase=Phase.SHADOW, held=held, plan=plan, revision=7)


CHANGES: dict[str, Callable[[Rollout, Decision], tuple[Rollout, Decision | None]]] = {
    "moved on to 8": lambda r, d: (replace(r, revision=8), d),
    "another decision": lambda r, d: (r, replace(d, evidence_digest="cd")),
    "another decision than the last one": lambda r, d: (r, replace(d, reason="HarmSuspected")),
    "over another decision": lambda r, d: (r, None),
    "a yes to canary, which is not what comes next": lambda r, d: (replace(r, phase=Phase.CANARY), d),
}


@pytest.mark.parametrize("why", CHANGES)
def test_what_a_yes_is_bound_to(why: str) -> None:
    waiting = at_the_gate()
    said = approval_of(waiting, WAITING, by="ben", proposed_by="ada", approves_alone=(), now=T0, approval_id="ap_1", revision=None)
    assert unfit(said, waiting, WAITING, T0) is None
    changed, last = CHANGES[why](waiting, WAITING)
    found = unfit(said, changed, last, T0)
    assert found is not None
    assert why in found


def test_one_wait_two_yeses_one_use(world: World, controller: Controller) -> None:
    yes(world, by="ben")
    yes(world, by="cem")
    controller.run_once()
    assert [one.used_at is None for one in world.store.state.approvals("ro_1")].count(True) == 1


def test_a_promotion_without_proof_is_no_way_around_another_persons_yes(store: Store) -> None:
    world = World(store)
    in_the_canary(world)
    before = world.rollout()
    asks = replace(before, plan=replace(before.plan, approve=("soak",)))
    store.state.commit(before, asks, flag=None, decision=None, evidence=None, by="x", what="x", at=world.now)
    world.later(2.5)
    with pytest.raises(Refused, match="nobody can promote what they proposed themselves"):
        act(store, "ro_1", "promote", by=before.proposed_by, why="I know it", now=world.now)
    assert act(store, "ro_1", "promote", by="ben", why="I know it", now=world.now).phase is Phase.SOAK


@pytest.mark.parametrize("spelt", ["Ada", " ada", "ada ", "a\u200bda", "\uff41da", "ADA"])
def test_nobody_approves_their_own_proposal_under_another_spelling(world: World, controller: Controller, spelt: str) -> None:
    """Without tokens a name is a claim; one that looks like the proposer's is taken for theirs."""
    with pytest.raises(Refused, match="nobody can approve what they proposed themselves"):
        yes(world, by=spelt)

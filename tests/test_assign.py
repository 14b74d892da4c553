"""Arms stick: to a unit while a split widens, to nothing across rollouts, and never to a whole app at once."""

from __future__ import annotations

import hashlib
import hmac
import math
from dataclasses import replace
from itertools import combinations, pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from detent.assign import Purpose, assign, draw, hash_identity, unit_of
from detent.rare import RARE_AT_FIRST, RARE_CONVERSATIONS, Mirrored
from detent.runs import IDLE_S, InFlight
from detent.terms import Arm, Assignment, Endpoint, Flag, Head, Mirror, Unit, UnitKind, Version

OLD, NEW = Version("openai", "atlas-1"), Version("openai", "atlas-2")
UNITS = [Unit(UnitKind.SESSION, hash_identity("key", f"session-{n}")) for n in range(20_000)]


def flag(
    split: float, *, salt: str = "salt-1", candidate: Version | None = NEW, rollout: str | None = "ro_1", control: float = 0.0
) -> Flag:
    return Flag(route="summarizer", revision=1, stable=OLD, candidate=candidate, rollout=rollout, split=split, control=control, salt=salt)


def on_candidate(split: float, salt: str = "salt-1") -> set[str]:
    return {unit.id for unit in UNITS if assign(unit, flag(split, salt=salt)).arm is Arm.CANDIDATE}


def head(**members: object) -> Head:
    return Head(endpoint=Endpoint.OPENAI_CHAT, model="summarizer", **members)  # type: ignore[arg-type]


@given(
    units=st.lists(st.text(min_size=1), min_size=1, max_size=50),
    salt=st.text(),
    splits=st.lists(st.floats(0, 1), min_size=2, max_size=6).map(sorted),
)
def test_widening_a_split_never_takes_a_unit_off_the_candidate(units: list[str], salt: str, splits: list[float]) -> None:
    for name in units:
        unit = Unit(UnitKind.USER, name)
        arms = [assign(unit, flag(split, salt=salt)).arm for split in splits]
        for before, after in pairwise(arms):
            assert (before, after) != (Arm.CANDIDATE, Arm.STABLE)


def test_a_split_gets_the_share_that_it_names() -> None:
    for split in (0.01, 0.05, 0.25, 0.5, 0.95):
        # Six standard errors of a binomial share: a fair draw misses this once in 5e8 times.
        allowed = 6 * math.sqrt(split * (1 - split) / len(UNITS))
        assert abs(len(on_candidate(split)) / len(UNITS) - split) < allowed
    assert on_candidate(0.0) == set()
    assert len(on_candidate(1.0)) == len(UNITS)


def test_a_new_salt_shuffles_anew() -> None:
    both = on_candidate(0.5, "salt-1") & on_candidate(0.5, "salt-2")
    # Independent halves share a quarter, give or take six standard errors.
    assert abs(len(both) / len(UNITS) - 0.25) < 6 * math.sqrt(0.25 * 0.75 / len(UNITS))


def test_whatever_is_drawn_is_drawn_independently_of_the_rest() -> None:
    purposes: tuple[Purpose, ...] = ("arm", "shadow", "second", "judge", "bodies")
    draws = {purpose: [draw("salt-1", purpose, unit.id) for unit in UNITS] for purpose in purposes}
    for one, other in combinations(purposes, 2):
        pairs = list(zip(draws[one], draws[other], strict=True))
        covariance = sum((a - 0.5) * (b - 0.5) for a, b in pairs) / len(pairs)
        # Each draw is uniform: variance 1/12, so the correlation of independent ones has standard error 1/sqrt(n).
        assert abs(covariance * 12) < 6 / math.sqrt(len(pairs))


def test_a_draw_is_uniform_and_below_one() -> None:
    draws = [draw("salt-1", "arm", unit.id) for unit in UNITS]
    assert min(draws) >= 0
    assert max(draws) < 1
    counts = [0] * 20
    for value in draws:
        counts[int(value * 20)] += 1
    expected = len(draws) / 20
    # Chi-square with 19 degrees of freedom: 52.4 is passed with probability 6e-5.
    assert sum((count - expected) ** 2 / expected for count in counts) < 52.4


def test_only_a_real_split_of_a_rollout_is_randomised() -> None:
    unit = UNITS[0]
    assert assign(unit, flag(0.05)).randomised
    assert not assign(unit, flag(0.0)).randomised
    assert not assign(unit, flag(1.0)).randomised
    assert not assign(unit, flag(0.5, rollout=None)).randomised
    static = assign(unit, flag(1.0, candidate=None))
    assert (static.arm, static.randomised) == (Arm.STABLE, False)


def test_the_unit_is_what_the_route_prefers() -> None:
    known = head(session="s-1", user="u-1", opening="digest")
    assert unit_of(known, ("session", "user"), "key", b"{}") == Unit(UnitKind.SESSION, hash_identity("key", "s-1"))
    assert unit_of(known, ("user",), "key", b"{}") == Unit(UnitKind.USER, hash_identity("key", "u-1"))
    assert unit_of(head(user="u-1", opening="digest"), ("session", "user"), "key", b"{}").kind is UnitKind.USER
    assert unit_of(head(user="u-1", opening="digest"), ("session",), "key", b"{}").kind is UnitKind.OPENING


def test_a_unit_is_never_a_constant() -> None:
    openings = {unit_of(head(opening=f"digest-{n}"), ("session",), "key", b"{}").id for n in range(100)}
    requests = {unit_of(head(), ("session",), "key", b"request %d" % n).id for n in range(100)}
    keyless = {unit_of(head(session="s-1"), ("session",), "", b"request %d" % n).id for n in range(100)}
    assert (len(openings), len(requests), len(keyless)) == (100, 100, 100)


def test_a_retry_of_a_nameless_request_stays_on_its_unit() -> None:
    first = unit_of(head(attempt=0), ("session",), "key", b'{"model":"m"}')
    assert first.kind is UnitKind.REQUEST
    assert unit_of(head(attempt=1), ("session",), "key", b'{"model":"m"}') == first


def test_identities_are_hashed_with_the_key_and_never_without() -> None:
    # RFC 2104 / FIPS 198, computed by the standard library's object interface.
    assert hash_identity("key", "ada@example.com") == hmac.new(b"key", b"ada@example.com", hashlib.sha256).hexdigest()[:32]
    assert hash_identity("key", "ada") != hash_identity("other", "ada")
    keyless = unit_of(head(session="ada", opening="digest"), ("session",), "", b"{}")
    assert keyless.kind is UnitKind.REQUEST
    assert keyless.id not in {hash_identity("", "ada"), hash_identity("", "opening:digest")}


# ── the control slice ───────────────────────────────────────────────────────────────────────────────────────────────


def in_control(split: float, control: float) -> set[str]:
    return {unit.id for unit in UNITS if assign(unit, flag(split, control=control)).control}


def test_the_control_slice_is_as_large_as_the_candidates_and_on_stable() -> None:
    for split in (0.05, 0.25, 0.5):
        slice_of_stable = in_control(split, split)
        # Six standard errors of a binomial share.
        assert abs(len(slice_of_stable) / len(UNITS) - split) < 6 * math.sqrt(split * (1 - split) / len(UNITS))
        assert not slice_of_stable & on_candidate(split)
    assert len(in_control(0.5, 0.5) | on_candidate(0.5)) == len(UNITS)
    assert in_control(0.05, 0.0) == set()


def test_a_control_slice_that_widens_takes_nobody_who_was_on_the_candidate() -> None:
    splits = (0.05, 0.25, 0.5)
    for before, after in pairwise(splits):
        assert in_control(before, before) < in_control(after, after)
    assert not in_control(0.5, 0.5) & on_candidate(0.25)


def test_without_a_split_there_is_no_control() -> None:
    for nothing in (
        flag(0.0, control=0.5),
        flag(1.0, control=0.5),
        flag(0.5, control=0.5, rollout=None),
        flag(0.5, control=0.5, candidate=None),
    ):
        assert not any(assign(unit, nothing).control for unit in UNITS[:200])


# ── runs in flight ──────────────────────────────────────────────────────────────────────────────────────────────────


class Sessions:
    """Sessions that ask again and again, some seconds apart, of one gateway: each a run of its own, unless it says that one begins."""

    def __init__(self, memory: InFlight | None = None) -> None:
        self.memory = InFlight() if memory is None else memory
        self.now = 0.0

    def ask(self, flag: Flag, number: int = 0, *, after_s: float = 1.0, user: int | None = None, **how: Any) -> Assignment:
        self.now += after_s
        unit = UNITS[number if user is None else user]
        asked = head(**{"session": f"session-{number}", "opening": "hello", "continues": True} | how)
        return self.memory.keep(assign(unit, flag), flag, asked, self.now)


def drawn_between(low: float, high: float) -> int:
    """The number of a unit whose draw lies there."""
    return next(number for number, unit in enumerate(UNITS) if low <= draw("salt-1", "arm", unit.id) < high)


WIDENED = drawn_between(0.1, 0.4)  # on stable at 5 %, on the candidate at 50 %


def test_a_session_in_flight_stays_on_stable_when_a_split_widens_and_is_still_randomised() -> None:
    sessions = Sessions()
    first = sessions.ask(flag(0.05), WIDENED)
    assert (first.arm, first.randomised) == (Arm.STABLE, True)
    for split in (0.5, 0.5, 0.95):
        assert sessions.ask(flag(split), WIDENED, after_s=IDLE_S - 1) == first
    again = sessions.ask(flag(0.95), WIDENED, after_s=IDLE_S)
    assert (again.arm, again.randomised) == (Arm.CANDIDATE, True), "after half an hour of silence it is another run"


def test_a_new_session_goes_where_it_is_drawn() -> None:
    sessions = Sessions()
    sessions.ask(flag(0.05), WIDENED)
    assert sessions.ask(flag(0.5), drawn_between(0.4, 0.45)).arm is Arm.CANDIDATE
    fresh = Sessions().ask(flag(0.5), WIDENED)
    assert fresh.arm is Arm.CANDIDATE, "another gateway, or this one after a restart, knows nothing of it"


def test_a_run_that_begins_goes_where_it_is_drawn_however_busy_its_session_is() -> None:
    """Else a name that is used again, or a greeting that many begin with, would be on stable for ever."""
    sessions = Sessions()
    for _ in range(3):
        sessions.ask(flag(0.05), WIDENED, continues=False)
    again = sessions.ask(flag(0.5), WIDENED, continues=False)
    assert (again.arm, again.randomised) == (Arm.CANDIDATE, True)
    assert sessions.ask(flag(0.5), WIDENED).arm is Arm.CANDIDATE, "and what continues it stays with it"
    before = Sessions()
    before.ask(flag(0.0), WIDENED, continues=False)
    assert before.ask(flag(0.5), WIDENED, continues=False).randomised


def test_a_run_that_begins_in_a_session_leaves_the_one_under_way_where_it_is() -> None:
    """An agent that calls others under its own session's name."""
    sessions = Sessions()
    sessions.ask(flag(0.05), WIDENED, continues=False)
    assert sessions.ask(flag(0.5), WIDENED, opening="a part of the task", continues=False).arm is Arm.CANDIDATE
    assert sessions.ask(flag(0.5), WIDENED).arm is Arm.STABLE
    assert sessions.ask(flag(0.5), WIDENED, opening="a part of the task").arm is Arm.CANDIDATE


def test_an_sdks_retry_of_a_first_request_stays_where_that_was() -> None:
    sessions = Sessions()
    sessions.ask(flag(0.05), WIDENED, continues=False)
    assert sessions.ask(flag(0.5), WIDENED, continues=False, attempt=1).arm is Arm.STABLE
    assert sessions.ask(flag(0.5), WIDENED, continues=False, attempt=0).arm is Arm.CANDIDATE


def test_a_user_in_two_sessions_leaves_only_the_one_under_way_where_it_is() -> None:
    sessions = Sessions()
    sessions.ask(flag(0.05), 1, user=WIDENED)
    assert sessions.ask(flag(0.5), 1, user=WIDENED).arm is Arm.STABLE
    assert sessions.ask(flag(0.5), 2, user=WIDENED).arm is Arm.CANDIDATE


def test_the_end_of_a_rollout_moves_everyone_at_once_and_the_next_one_begins_anew() -> None:
    sessions = Sessions()
    sessions.ask(flag(0.05), WIDENED)
    over = Flag(route="summarizer", revision=2, stable=NEW)
    assert sessions.ask(over, WIDENED) == Assignment(Arm.STABLE, UNITS[WIDENED], False)
    assert sessions.ask(flag(0.5, rollout="ro_2"), WIDENED).arm is Arm.CANDIDATE


def test_a_session_on_the_candidate_stays_there() -> None:
    sessions = Sessions()
    on_it = drawn_between(0.0, 0.05)
    assert {sessions.ask(flag(split), on_it).arm for split in (0.05, 0.5, 0.95)} == {Arm.CANDIDATE}
    assert len(sessions.memory) == 0, "and costs no memory"


def test_a_run_that_was_under_way_before_the_split_never_counts_whichever_arm_it_is_drawn_to() -> None:
    """Held back are those drawn to the candidate alone: with the others counted, stable would have more units than its share."""
    sessions = Sessions()
    under_way, new = range(2000), range(2000, 20_000)
    for number in under_way:
        sessions.ask(flag(0.0), number, after_s=0.001)
    met = [sessions.ask(flag(0.5), number, after_s=0.001) for number in under_way]
    assert {(one.arm, one.randomised) for one in met} == {(Arm.STABLE, False)}
    counted = [one for number in new if (one := sessions.ask(flag(0.5), number, after_s=0.001)).randomised]
    assert len(counted) == len(new)
    share = sum(one.arm is Arm.CANDIDATE for one in counted) / len(counted)
    assert abs(share - 0.5) < 6 * math.sqrt(0.25 / len(counted)), "six standard errors of a binomial share"
    sessions.now += IDLE_S
    assert all(sessions.ask(flag(0.5), number, after_s=0.001).randomised for number in under_way), "their next run counts"


def test_of_units_that_are_busy_in_every_way_the_share_on_the_candidate_is_the_splits() -> None:
    """Runs go on and new ones begin, before a split, in it and after it has widened: who is counted depends on the draw alone."""
    sessions, first = Sessions(), dict[int, Assignment]()
    for period, split in enumerate((0.0, 0.3, 0.6)):
        for turn in range(3):
            for number in range(2000 * (period + 1)):
                # Every third unit begins anew at its second turn, the others go on.
                given_now = sessions.ask(flag(split), number, after_s=1e-4, continues=not (turn == 1 and number % 3 == 0))
                if given_now.randomised and number not in first:
                    first[number] = given_now
        if split:
            met = [one for number, one in first.items() if number >= 2000 * period]
            share = sum(one.arm is Arm.CANDIDATE for one in met) / len(met)
            assert abs(share - split) < 6 * math.sqrt(split * (1 - split) / len(met)), "six standard errors of a binomial share"
    early = [one for number, one in first.items() if number < 2000]
    share = sum(one.arm is Arm.CANDIDATE for one in early) / len(early)
    assert len(early) == 667, "those who came before the split are counted from their next run on"
    assert abs(share - 0.3) < 6 * math.sqrt(0.21 / len(early))


def test_a_session_in_the_control_slice_and_one_beside_it_keep_their_cache() -> None:
    sessions = Sessions()
    beside, inside = drawn_between(0.6, 0.9), drawn_between(0.95, 1.0)
    narrow, wide = flag(0.05, control=0.05), flag(0.5, control=0.5)
    assert [sessions.ask(narrow, number).control for number in (beside, inside)] == [False, True]
    assert [sessions.ask(wide, number).control for number in (beside, inside)] == [False, True]
    held = Sessions()
    held.ask(flag(0.05, control=0.05), WIDENED)
    assert not held.ask(flag(0.5, control=0.5), WIDENED).control


def test_a_candidate_that_cannot_be_sent_for_a_while_takes_no_session_out_for_longer() -> None:
    sessions = Sessions()
    one = drawn_between(0.6, 0.9)
    gone = Flag(route="summarizer", revision=2, stable=OLD, rollout="ro_1", salt="salt-1")
    assert [sessions.ask(flag, one).randomised for flag in (flag(0.05), gone, flag(0.05))] == [True, False, True]


def test_a_conversation_without_a_session_is_known_by_its_opening() -> None:
    memory = InFlight()
    unit = UNITS[WIDENED]
    for split in (0.05, 0.5):
        kept = memory.keep(assign(unit, flag(split)), flag(split), head(opening="digest", continues=True), 1.0)
        assert kept.arm is Arm.STABLE
    nameless = [memory.keep(assign(unit, flag(split)), flag(split), head(continues=True), 1.0).arm for split in (0.05, 0.5)]
    assert nameless == [Arm.STABLE, Arm.CANDIDATE], "a request that says nothing is no run"


def test_the_memory_is_bounded_and_forgets_the_longest_silent_first() -> None:
    sessions = Sessions(InFlight(most=100))
    on_stable = [number for number in range(1000) if assign(UNITS[number], flag(0.05)).arm is Arm.STABLE][:200]
    for number in on_stable[:100]:
        sessions.ask(flag(0.05), number)
    sessions.ask(flag(0.05), on_stable[0])
    for number in on_stable[100:199]:
        sessions.ask(flag(0.05), number)
    assert len(sessions.memory) == 100
    kept = sessions.ask(flag(1 - 1e-9), on_stable[0])
    assert kept.arm is Arm.STABLE
    assert sessions.ask(flag(1 - 1e-9), on_stable[1]).arm is Arm.CANDIDATE, "the one that was silent for longest gave way"
    for _ in range(100):
        sessions.ask(flag(0.05), on_stable[0], after_s=IDLE_S)
    assert len(sessions.memory) == 1, "and idle ones go, a few at every request"


@given(
    asks=st.lists(st.tuples(st.integers(0, 4), st.floats(0, IDLE_S * 1.5), st.booleans()), max_size=60),
)
def test_no_run_ever_changes_its_arm(asks: list[tuple[int, float, bool]]) -> None:
    """Whatever the order in which sessions ask and the split widens: from one request to the next of a run, arm and label stay."""
    sessions, splits = Sessions(), [0.0, 0.05, 0.25, 0.5, 0.95]
    step = 0
    last: dict[int, tuple[float, Assignment]] = {}
    for session, after_s, widens in asks:
        step = min(step + widens, len(splits) - 1)
        number = WIDENED + session
        given_now = sessions.ask(flag(splits[step], control=min(splits[step], 1 - splits[step])), number, after_s=after_s)
        before = last.get(number)
        if before is not None and sessions.now - before[0] < IDLE_S:
            assert given_now.arm is before[1].arm
            if before[1].arm is Arm.STABLE:
                assert (given_now.randomised, given_now.control) == (before[1].randomised, before[1].control)
        last[number] = (sessions.now, given_now)


# ── what the shadow takes ───────────────────────────────────────────────────────────────────────────────────────────


def shadowed(share: float) -> Flag:
    return replace(flag(0.0), mirror=Mirror(share=share))


def mirrored(memory: Mirrored, flag: Flag, unit: Unit, **members: object) -> str | None:
    """Why a request was taken, which is then on its way."""
    asked = head(**members)
    why = memory.takes(unit, flag, asked)
    if why is not None:
        memory.took(unit, flag, asked, why)
    return why


def test_the_shadow_takes_whole_units_in_the_share_that_its_flag_names() -> None:
    memory, flag = Mirrored(), shadowed(0.3)
    for unit in UNITS[:RARE_CONVERSATIONS]:
        mirrored(memory, flag, unit, template="common")
    taken = [mirrored(memory, flag, unit, template="common") == "drawn" for unit in UNITS]
    # Six standard errors of a binomial share.
    assert abs(sum(taken) / len(UNITS) - 0.3) < 6 * math.sqrt(0.3 * 0.7 / len(UNITS))
    again = [mirrored(memory, flag, unit, template="common", continues=True) == "drawn" for unit in UNITS]
    assert again == taken


def test_of_a_rare_template_the_first_twenty_conversations_are_taken_in_any_case() -> None:
    memory, flag = Mirrored(), shadowed(1e-9)
    taken = [mirrored(memory, flag, unit, template="german") for unit in UNITS[:100]]
    assert taken == ["rare"] * RARE_CONVERSATIONS + [None] * 80
    assert mirrored(memory, flag, UNITS[100], template="polish") == "rare"


def test_a_conversation_that_was_taken_for_being_rare_is_followed_and_one_under_way_is_not_taken() -> None:
    memory, flag = Mirrored(), shadowed(1e-9)
    assert mirrored(memory, flag, UNITS[0], template="german", continues=True) is None
    assert mirrored(memory, flag, UNITS[1], template="german") == "rare"
    for unit in UNITS[2:50]:
        mirrored(memory, flag, unit, template="german")
    assert mirrored(memory, flag, UNITS[1], template="german", continues=True) == "rare"
    assert mirrored(memory, replace(flag, rollout="ro_2"), UNITS[1], template="german", continues=True) is None


def test_one_conversations_many_requests_do_not_make_its_template_known() -> None:
    memory, flag = Mirrored(), shadowed(1e-9)
    taken = [mirrored(memory, flag, UNITS[0], template="german") for _ in range(100)]
    assert taken == ["rare"] + [None] * 99, "a beginning that comes again is an SDK's retry, or nothing new"
    assert mirrored(memory, flag, UNITS[1], template="german") == "rare"


def test_a_unit_that_is_a_whole_app_is_mirrored_as_rare_no_more_than_others_are() -> None:
    """A backend under one user's name: twenty of its conversations are followed, and none of them without an end."""
    memory, flag, hot = Mirrored(), shadowed(1e-9), UNITS[0]
    begun = [mirrored(memory, flag, hot, template="common", opening=f"o-{number}") for number in range(1000)]
    assert begun == ["rare"] * RARE_CONVERSATIONS + [None] * (1000 - RARE_CONVERSATIONS)
    turns = [mirrored(memory, flag, hot, template="common", opening="o-0", continues=True) for _ in range(10_000)]
    assert turns == ["rare"] * (RARE_AT_FIRST - RARE_CONVERSATIONS) + [None] * (10_000 - RARE_AT_FIRST + RARE_CONVERSATIONS)


def test_a_conversation_that_was_left_for_the_bound_is_not_taken_up_again() -> None:
    """What comes after a gap cannot be compared: the room that the share makes is for conversations from their first request on."""
    memory, flag = Mirrored(), shadowed(1e-9)
    mirrored(memory, flag, UNITS[0], template="german")
    for _ in range(RARE_AT_FIRST):
        last = mirrored(memory, flag, UNITS[0], template="german", continues=True)
    assert last is None
    all_drawn = shadowed(1.0)
    for unit in UNITS[1:11]:
        assert mirrored(memory, all_drawn, unit, template="common") == "drawn"
    assert mirrored(memory, flag, UNITS[0], template="german", continues=True) is None
    again = [mirrored(memory, flag, unit, template="polish") for unit in UNITS[11:31]]
    assert again == ["rare"] * 10 + [None] * 10, "ten were drawn, so that ten more may be rare"


def test_templates_that_are_all_rare_at_most_double_the_share() -> None:
    """A system prompt with the time of day in it is a new template with each request."""
    memory, flag = Mirrored(), shadowed(0.1)
    taken = [mirrored(memory, flag, unit, template=f"at {number}") for number, unit in enumerate(UNITS)]
    assert taken.count("drawn") <= taken.count("rare") <= taken.count("drawn") + RARE_AT_FIRST


def test_the_shadow_forgets_the_oldest_beyond_its_bound() -> None:
    memory, flag = Mirrored(most=10), shadowed(1e-9)
    for number in range(30):
        mirrored(memory, flag, UNITS[number], template=f"t-{number}")
    assert len(memory._followed) == len(memory._of_template) == 10
    assert mirrored(memory, flag, UNITS[0], template="t-0", continues=True) is None


def test_without_a_mirror_or_with_none_of_the_share_nothing_is_rare() -> None:
    assert mirrored(Mirrored(), flag(0.0), UNITS[0]) is None
    assert mirrored(Mirrored(), shadowed(0.0), UNITS[0]) is None

"""Arms stick: to a unit while a split widens, to nothing across rollouts, and never to a whole app at once."""

from __future__ import annotations

import hashlib
import hmac
import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from detent.assign import Purpose, assign, draw, hash_identity, unit_of
from detent.terms import Arm, Endpoint, Flag, Head, Unit, UnitKind, Version

OLD, NEW = Version("openai", "atlas-1"), Version("openai", "atlas-2")
UNITS = [Unit(UnitKind.SESSION, hash_identity("key", f"session-{n}")) for n in range(20_000)]


def flag(split: float, *, salt: str = "salt-1", candidate: Version | None = NEW, rollout: str | None = "ro_1") -> Flag:
    return Flag(route="summarizer", revision=1, stable=OLD, candidate=candidate, rollout=rollout, split=split, salt=salt)


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


def test_arm_shadow_and_bodies_are_drawn_independently() -> None:
    purposes: tuple[Purpose, ...] = ("arm", "shadow", "bodies")
    draws = {purpose: [draw("salt-1", purpose, unit.id) for unit in UNITS] for purpose in purposes}
    for one, other in (("arm", "shadow"), ("arm", "bodies"), ("shadow", "bodies")):
        pairs = list(zip(draws[one], draws[other], strict=True))  # type: ignore[index]
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

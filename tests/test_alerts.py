"""Alerts in the store: told once for as long as their cause lasts, read by a person once, and sent by one server at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from detent import alerting
from detent.alerting import KINDS, LASTING, OF_HELD, alert, headline, of_end, of_hold, of_way_back, payload, told
from detent.errors import InvalidInput
from detent.store import Store, open_store
from detent.terms import Alert, Held, Phase, Version, WayBack
from detent.transitions import HOLDING_REASONS
from records import T0, rollout

pytest_plugins = ("stores",)

S = timedelta(seconds=1)


def broken(at: float = 0.0, about: str = "chat") -> Alert:
    return alert("WayBackBroken", about, "ann@example.com", "the way back is broken: HTTP 500", T0 + at * S, key=str(at))


# ── once for as long as it lasts ─────────────────────────────────────────────────────────────────────────────────────


def test_what_is_over_and_comes_back_for_the_same_reason_is_told_again(store: Store) -> None:
    """A stale baseline is named by its digest: stale, fresh, and stale once more is the same occurrence by name, and news to its owner."""
    stale = [alert("BaselineStale", "chat", "ann", "stale", T0 + n * S, key="digest") for n in (0, 20_000, 40_000)]
    for n, one in enumerate(stale):
        assert store.state.raise_alert(one)
        assert not store.state.raise_alert(one), "while it is open it is the same"
        assert len(store.state.alerts()) == 1
        assert store.state.end_alert("BaselineStale", "chat", one.at + 300 * S)
        assert len(store.state.alerts(open_only=False)) == n + 1, "each has its own history"


def test_in_a_rollout_the_way_out_of_a_broken_way_back_is_not_another_rollback() -> None:
    broken = WayBack(route="chat", version=Version("openai", "m"), broken="gone")
    outside = of_way_back(broken, "ann", T0)
    inside = of_way_back(broken, "ann", T0, rollout=rollout(phase=Phase.CANARY))
    shadow = of_way_back(broken, "ann", T0, rollout=rollout(phase=Phase.SHADOW))
    assert outside is not None
    assert inside is not None
    assert shadow is not None
    assert "name another version as `rollback`" in outside.hint
    assert inside.hint == (
        "stable is the way back while a rollout is open: mend it, or end the rollout: `detent rollback ro_1`; "
        "or go on by name: `detent promote ro_1 --why ...`"
    )
    assert shadow.hint.endswith("mend it, or end the rollout: `detent abort ro_1`"), "nobody promotes from a shadow"


def test_what_is_open_is_not_raised_again_and_what_is_over_is(store: Store) -> None:
    assert store.state.raise_alert(broken())
    assert not store.state.raise_alert(broken(5)), "still broken: nothing new"
    assert store.state.raise_alert(broken(5, about="search")), "another route's is another alert"
    assert [one.about for one in store.state.alerts()] == ["search", "chat"]
    assert store.state.end_alert("WayBackBroken", "chat", T0 + 60 * S)
    assert not store.state.end_alert("WayBackBroken", "chat", T0 + 61 * S), "it is over already"
    assert [one.about for one in store.state.alerts()] == ["search"]
    assert store.state.raise_alert(broken(3600)), "an hour later it is broken anew"
    assert [(one.about, one.ended_at is None) for one in store.state.alerts(open_only=False)] == [
        ("chat", True),
        ("search", True),
        ("chat", False),
    ]


def test_a_cause_that_flickers_is_told_once(store: Store) -> None:
    """Without it a way back that answers every other minute would page thirty times an hour."""
    assert store.state.raise_alert(broken())
    for at in (100, 200, 300):
        store.state.end_alert("WayBackBroken", "chat", T0 + at * S)
        assert not store.state.raise_alert(broken(at + 50))
    (one,) = store.state.alerts(open_only=False)
    assert (one.at, one.ended_at) == (T0, None)


def test_news_is_told_once_whoever_finds_it_and_ends_with_the_word_of_who_read_it(store: Store) -> None:
    news = alert("RolledBack", "ro_1", "ann@example.com", "rolled back", T0, key="1")
    assert store.state.raise_alert(news)
    assert not store.state.raise_alert(news), "two controllers find the same end"
    assert store.state.acknowledge_alert(news.id, "bob", T0 + 5 * S).ended_at == T0 + 5 * S
    assert store.state.alerts() == []
    assert not store.state.raise_alert(news), "and none raises it again"


def test_the_first_who_acknowledges_has_it(store: Store) -> None:
    store.state.raise_alert(broken())
    (one,) = store.state.alerts()
    first = store.state.acknowledge_alert(one.id, "bob", T0 + S)
    assert (first.acknowledged_by, first.acknowledged_at) == ("bob", T0 + S)
    assert store.state.acknowledge_alert(one.id, "eve", T0 + 9 * S) == first
    assert [(row.by, row.what) for row in store.state.audit()] == [("bob", f"acknowledged WayBackBroken of chat ({one.id})")]
    assert [one.acknowledged_by for one in store.state.alerts()] == ["bob"], "it is read, and still broken"


def test_nobody_acknowledges_what_is_not_there(store: Store) -> None:
    with pytest.raises(InvalidInput, match="no such alert: `al_none`"):
        store.state.acknowledge_alert("al_none", "bob", T0)


def test_two_controllers_that_raise_at_once_raise_one(store: Store, store_url: str) -> None:
    raised: list[bool] = []
    other = open_store(store_url)

    def one(n: int, of: Store) -> None:
        raised.append(of.state.raise_alert(broken(n)))

    threads = [threading.Thread(target=one, args=(n, of)) for n, of in enumerate((store, other, store, other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert sorted(raised) == [False, False, False, True]


# ── word on its way ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_channel_tells_each_alert_once_and_pages_go_first(store: Store) -> None:
    store.state.raise_alert(alert("BaselineStale", "chat", "ann", "stale", T0))
    store.state.raise_alert(broken(1))
    now, order = T0 + 10 * S, []
    while (taken := store.state.take_delivery("webhook", now, for_s=60)) is not None:
        order.append(taken[0].kind)
        store.state.sent(taken[1], now)
    assert order == ["WayBackBroken", "BaselineStale"]
    assert store.state.take_delivery("mail", now, for_s=60) is not None, "the other channel has its own"


def test_of_two_servers_one_is_given_it_until_it_is_taken_for_dead(store: Store) -> None:
    store.state.raise_alert(broken())
    first = store.state.take_delivery("webhook", T0, for_s=60)
    assert first is not None
    assert store.state.take_delivery("webhook", T0 + 59 * S, for_s=60) is None
    second = store.state.take_delivery("webhook", T0 + 61 * S, for_s=60)
    assert second is not None, "killed between sending and marking: it is sent again"
    assert second[1].tries == 2
    store.state.not_sent(first[1], "late word of the first", T0 + 62 * S)
    (stands,) = store.state.deliveries([first[0].id])
    assert (stands.tries, stands.error, stands.next_at) == (2, "", T0 + 121 * S), "who was taken for dead changes nothing"


def test_servers_that_ask_at_the_same_moment_are_given_it_once(store: Store, store_url: str) -> None:
    store.state.raise_alert(broken())
    others = [open_store(store_url) for _ in range(4)]
    given: list[bool] = []
    gate = threading.Barrier(4)

    def ask(one: Store) -> None:
        gate.wait()
        given.append(one.state.take_delivery("webhook", T0, for_s=60) is not None)

    threads = [threading.Thread(target=ask, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in others:
        one.close()
    assert sorted(given) == [False, False, False, True]


def test_what_was_not_taken_is_tried_again_more_and_more_seldom(store: Store) -> None:
    store.state.raise_alert(broken())
    now, pauses = T0, []
    for _ in range(10):
        taken = store.state.take_delivery("webhook", now, for_s=60)
        assert taken is not None
        store.state.not_sent(taken[1], "HTTP 500", now)
        (stands,) = store.state.deliveries([taken[0].id])
        pauses.append((stands.next_at - now).total_seconds())
        assert store.state.take_delivery("webhook", stands.next_at - S, for_s=60) is None
        now = stands.next_at
    assert pauses[:4] == [5.0, 10.0, 20.0, 40.0]
    assert pauses[-1] == 900.0


def test_old_news_is_told_to_no_channel_that_was_set_up_since_and_what_is_open_is(store: Store) -> None:
    store.state.raise_alert(alert("Void", "ro_1", "ann", "void", T0))
    later = T0 + timedelta(days=2)
    assert store.state.take_delivery("webhook", later, for_s=60) is None
    store.state.raise_alert(broken())
    taken = store.state.take_delivery("webhook", later, for_s=60)
    assert taken is not None
    assert taken[0].kind == "WayBackBroken"


# ── what makes an alert ──────────────────────────────────────────────────────────────────────────────────────────────


def test_every_reason_that_needs_somebody_is_told_of() -> None:
    """A hold that nobody hears of is a rollout that stands still for ever."""
    of_the_route = {"BaselineStale", "WayBackBroken"}
    assert OF_HELD | of_the_route == HOLDING_REASONS
    assert KINDS.keys() >= LASTING
    assert all(KINDS[kind].lasts for kind in LASTING), "the controller ends them"


@pytest.mark.parametrize(
    ("phase", "reason", "kind", "pages"),
    [
        (Phase.ROLLED_BACK, "GuardHarmed: error: 9 of 10", "RolledBack", True),
        (Phase.ROLLED_BACK, "RolledBackByHuman: ann: late", "RolledBackByHuman", False),
        (Phase.VOID, "IdentityViolated: another answered", "Void", False),
        (Phase.REJECTED, "ShadowHarm: refused", "Rejected", False),
        (Phase.NOT_PROVED, "LimitReached: at_most", "NotProved", False),
        (Phase.ABORTED, "AbortedByHuman: ann", "Aborted", False),
        (Phase.DONE, "SoakServed: fine", "Done", False),
    ],
)
def test_every_end_that_users_met_is_told_and_harm_pages(phase: Phase, reason: str, kind: str, pages: bool) -> None:
    found = of_end(rollout(phase=phase, reason=reason, ended_at=T0, canary_at=T0))
    assert found is not None
    assert (found.kind, found.pages, found.about, found.owner) == (kind, pages, "ro_1", "search@example.com")
    assert reason in found.sentence


def test_an_end_that_nobody_met_and_a_trial_are_not_told() -> None:
    assert of_end(rollout(phase=Phase.ABORTED, reason="AbortedByHuman: ann", ended_at=T0)) is None
    assert of_end(rollout(phase=Phase.CANARY)) is None
    assert of_end(rollout(phase=Phase.ROLLED_BACK, reason="GuardHarmed: x", ended_at=T0, aa=True)) is None


def test_a_hold_of_detents_own_is_told_and_a_persons_is_not() -> None:
    held = rollout(phase=Phase.CANARY, held=Held(reason="HarmSuspected", by="detent", since_at=T0, why="E = 12"))
    found = of_hold(held)
    assert found is not None
    assert (found.kind, found.pages) == ("HarmSuspected", True)
    assert of_hold(replace(held, held=Held(reason="HeldByHuman", by="ann", since_at=T0))) is None
    assert of_hold(replace(held, held=Held(reason="WayBackBroken", by="detent", since_at=T0))) is None, "the route's owner is told"
    assert of_hold(replace(held, held=None)) is None


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"broken": "HTTP 500"}, "WayBackBroken"),
        ({"unknown": "never probed"}, "WayBackUnknown"),
        ({"ends_at": T0}, "WayBackEnds"),
        ({}, None),
    ],
)
def test_a_way_back_pages_only_while_it_is_broken(more: dict[str, object], kind: str | None) -> None:
    found = of_way_back(WayBack(route="chat", version=Version("openai", "m"), **more), "ann", T0)  # type: ignore[arg-type]
    assert (found.kind if found else None) == kind
    assert found is None or found.pages is (kind == "WayBackBroken")


# ── in words ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_strangers_wrote_obeys_nobody() -> None:
    hostile = replace(broken(), sentence="\x1b[31mred <!channel> & <https://evil|click>\nSecond: line", owner="ann\r\nBcc: eve")
    assert "\x1b" not in headline(hostile)
    assert "\n" not in headline(hostile)
    posted = payload(hostile)
    assert "<" not in str(posted["text"])
    assert "&lt;!channel&gt; &amp;" in str(posted["text"])
    assert "\x1b" not in "".join(map(str, posted.values()))
    assert [line for line in told(hostile) if "Bcc" in line] == [told(hostile)[-1]], "on the one line that says for whom"


def test_a_page_says_how_it_is_acknowledged() -> None:
    one = broken()
    assert f"say that you have it: `detent ack {one.id}`" in told(one)
    assert "detent ack" not in " ".join(told(replace(one, pages=False)))
    assert headline(one).startswith("PAGE WayBackBroken: the way back is broken")
    assert "(over since 12:01 UTC)" in headline(replace(one, ended_at=T0 + 60 * S))


def test_the_same_occurrence_has_the_same_id_and_another_has_another() -> None:
    make: Callable[[str], Alert] = lambda key: alerting.alert("DrillPage", "chat", "ann", "press", T0, key=key)  # noqa: E731
    assert make("dr_1").id == make("dr_1").id != make("dr_2").id

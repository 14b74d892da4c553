"""What an app says of an answer, afterwards: taken entry by entry, from honest senders and from the other kind."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detent.assign import hash_identity, is_signed, signed_id
from detent.errors import InvalidInput
from detent.gateway import shorten, taking
from detent.gateway.allowance import Allowance
from detent.gateway.feedback import AT_MOST, Taker
from detent.gateway.shorten import LONGEST_BYTES, STRUCTURE_BYTES, Shortener
from detent.ingest import Ingester
from detent.store import open_store
from detent.store.spool import Spool
from detent.terms import FEEDBACK_NAMES, DeclaredMetric, Feedback, FlagSet, Guard, Phase, Role
from mock_upstream import COMPLETION, Mock
from records import rollout
from serving import ASKED, Served, flagset, post, serving, talk, with_rollout, with_server

KEY = "installation key"
ANSWER = signed_id(KEY, "ex_1")
PATH = "/detent/v1/feedback"
DECLARED = {
    "stars": DeclaredMetric(name="stars", kind="value", worse="lower"),
    "edited": DeclaredMetric(name="edited"),
}


def declaring(flags: FlagSet) -> FlagSet:
    return replace(flags, manifest=replace(flags.manifest, metrics=DECLARED))


@pytest.fixture
def desk(gateway: Served) -> Served:
    """The gateway, with two metrics of the app's own in its pin file."""
    gateway.flags = declaring(gateway.flags)
    return gateway


def say(desk: Served, *entries: Any, **headers: str) -> tuple[int, int, list[dict[str, Any]]]:
    """(status, how many were accepted, those that were not)."""
    status, _, body = post(desk, PATH, list(entries), **headers)
    said = json.loads(body)
    return status, said["accepted"], said["rejected"]


def taker(**how: Any) -> Taker:
    ids = iter(range(1000))
    return replace(Taker(key=KEY, declared=DECLARED, sender="", at_us=7, new_id=lambda prefix: f"{prefix}{next(ids)}"), **how)


def read(*entries: Any, **how: Any) -> Feedback:
    """The one entry, taken."""
    ((taken,), rejected) = taker(**how).read(json.dumps(list(entries)).encode())
    assert rejected == []
    return taken


THUMB: dict[str, Any] = {"request_id": ANSWER, "metric": "thumbs", "value": True}

# ── what is said ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_and_a_session_are_spoken_of(mock: Mock, desk: Served) -> None:
    _, headers, _ = post(desk, x_detent_session_id="s-1")
    answer = headers["x-detent-request-id"]
    sent = (
        {"request_id": answer, "metric": "thumbs", "value": False, "comment": "wrong, mail me at ada@example.com"},
        {"session_id": "s-1", "metric": "stars", "value": 0.7, "id": "once"},
    )
    assert say(desk, *sent) == (202, 2, [])
    (intent, _), (thumbs, stars) = desk.spool.leg(Role.SERVED), desk.spool.feedback
    assert (thumbs.exchange, thumbs.session, thumbs.metric, thumbs.value) == (intent.exchange, None, "thumbs_down", 1.0)
    assert thumbs.comment == "wrong, mail me at [EMAIL_1]"
    assert (stars.exchange, stars.session, stars.metric, stars.value, stars.comment) == (None, intent.session, "stars", 0.7, None)
    assert post(desk, PATH, sent[1])[0] == 202, "one entry needs no list"
    assert say(desk) == (202, 0, [])


def test_the_official_sdk_shows_the_id_that_feedback_needs(mock: Mock, desk: Served) -> None:
    with openai.OpenAI(base_url=desk.url + "/v1", api_key="k") as client:
        answer = client.chat.completions.with_raw_response.create(**ASKED)
    assert say(desk, {"request_id": answer.headers["x-detent-request-id"], "metric": "task_done", "value": True})[1] == 1


@pytest.mark.parametrize(
    ("metric", "value", "stored"),
    [
        ("thumbs", True, ("thumbs_down", 0.0)),
        ("thumbs", False, ("thumbs_down", 1.0)),
        ("thumbs", 0, ("thumbs_down", 1.0)),
        ("thumbs_down", True, ("thumbs_down", 1.0)),
        ("parse_failed", True, ("parse_failed", 1.0)),
        ("task_done", True, ("task_done", 1.0)),
        ("task_done", False, ("task_done", 0.0)),
        ("abandoned", 1.0, ("abandoned", 1.0)),
        ("edited", True, ("edited", 1.0)),
        ("stars", 4, ("stars", 4.0)),
    ],
)
def test_each_word_is_stored_as_evidence_reads_it(metric: str, value: object, stored: tuple[str, float]) -> None:
    said = read({"request_id": ANSWER, "metric": metric, "value": value})
    assert (said.metric, said.value) == stored


def test_every_word_of_the_table_is_taken() -> None:
    assert all(read({"session_id": "s", "metric": name, "value": True}) for name in FEEDBACK_NAMES)


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────────────────

WRONG: dict[str, tuple[str, str]] = {
    # what is sent in the middle of two sound entries (as JSON text), and its code
    "an id of nobody's": ('{"request_id": "ex_1", "metric": "thumbs", "value": true}', "unknown_request_id"),
    "an id signed with another key": (json.dumps(THUMB | {"request_id": signed_id("other", "ex_1")}), "unknown_request_id"),
    "an id with another's signature": (json.dumps(THUMB | {"request_id": "ex_2" + ANSWER[-8:]}), "unknown_request_id"),
    "an id cut off": (json.dumps(THUMB | {"request_id": ANSWER[:-1]}), "unknown_request_id"),
    "a signature alone": (json.dumps(THUMB | {"request_id": ANSWER[-8:]}), "unknown_request_id"),
    "an id of no ASCII": (json.dumps(THUMB | {"request_id": "ex_é"}), "unknown_request_id"),
    "an id that is a number": (json.dumps(THUMB | {"request_id": 7}), "unknown_request_id"),
    "no subject": ('{"metric": "thumbs", "value": true}', "invalid_subject"),
    "two subjects": (json.dumps(THUMB | {"session_id": "s"}), "invalid_subject"),
    "an empty session": ('{"session_id": " ", "metric": "thumbs", "value": true}', "invalid_subject"),
    "a session of 10 KB": (json.dumps({"session_id": "s" * 10_000, "metric": "thumbs", "value": True}), "invalid_subject"),
    "a metric that nobody declared": (json.dumps(THUMB | {"metric": "star"}), "unknown_metric"),
    "a guard's name for what apps say otherwise": (json.dumps(THUMB | {"metric": "not_done"}), "unknown_metric"),
    "a metric of the traffic": (json.dumps(THUMB | {"metric": "error"}), "unknown_metric"),
    "a metric that is a list": (json.dumps(THUMB | {"metric": ["thumbs"]}), "unknown_metric"),
    "no metric": (json.dumps({"request_id": ANSWER, "value": True}), "unknown_metric"),
    "a word for a rate": (json.dumps(THUMB | {"value": "yes"}), "invalid_value"),
    "no value": (json.dumps({"request_id": ANSWER, "metric": "thumbs"}), "invalid_value"),
    "a list for a value": (json.dumps(THUMB | {"value": [True]}), "invalid_value"),
    "half a thumb": (json.dumps(THUMB | {"value": 0.5}), "invalid_value"),
    "two thumbs": (json.dumps(THUMB | {"value": 2}), "invalid_value"),
    "NaN for a rate": (json.dumps(THUMB | {"value": float("nan")}), "invalid_value"),
    "NaN": ('{"session_id": "s", "metric": "stars", "value": NaN}', "invalid_value"),
    "infinity": ('{"session_id": "s", "metric": "stars", "value": Infinity}', "invalid_value"),
    "1e400": ('{"session_id": "s", "metric": "stars", "value": 1e400}', "invalid_value"),
    "5000 digits": ('{"session_id": "s", "metric": "stars", "value": %s}' % ("9" * 5000), "invalid_value"),
    "a sum that would overflow": ('{"session_id": "s", "metric": "stars", "value": 1e300}', "invalid_value"),
    "less than nothing": ('{"session_id": "s", "metric": "stars", "value": -1}', "invalid_value"),
    "true for a number": ('{"session_id": "s", "metric": "stars", "value": true}', "invalid_value"),
    "a comment of 2001 characters": (json.dumps(THUMB | {"comment": "é" * 2001}), "comment_too_long"),
    "a comment of ten megabytes": (json.dumps(THUMB | {"comment": "so " * 3_500_000}), "comment_too_long"),
    "a comment that is no text": (json.dumps(THUMB | {"comment": {"a": 1}}), "invalid_comment"),
    "an id with a space": (json.dumps(THUMB | {"id": "a b"}), "invalid_id"),
    "an id of 1 MB": (json.dumps(THUMB | {"id": "a" * 1_000_000}), "invalid_id"),
    "a number": ("7", "not_an_object"),
    "a list": ("[]", "not_an_object"),
    "null": ("null", "not_an_object"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused_by_name_and_the_rest_is_taken(mock: Mock, desk: Served, name: str) -> None:
    wrong, code = WRONG[name]
    good = [json.dumps({"session_id": session, "metric": "thumbs", "value": True}) for session in ("before", "after")]
    status, _, body = post(desk, PATH, f"[{good[0]}, {wrong}, {good[1]}]".encode())
    said = json.loads(body)
    assert (status, said["accepted"]) == (202, 2)
    (refused,) = said["rejected"]
    assert (refused["index"], refused["code"]) == (1, code)
    assert refused["message"]
    assert refused["hint"], "says what to do"
    assert len(body) < 1000, "what was sent is not sent back"
    assert [entry.session for entry in desk.spool.feedback] == [hash_identity(KEY, name) for name in ("before", "after")]
    assert desk.gateway.counts == {"feedback_rejected": 1}


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"metric": "error", "value": True}, "`error` is read from the traffic, and not sent"),
        ({"metric": "not_done", "value": True}, "`metric` is no metric that is known here: `not_done`"),
        ({"value": True}, "`metric` is missing"),
        ({"metric": "task_done", "value": "1"}, '`value` of `task_done` is neither true nor false: `"1"`'),
    ],
)
def test_a_refusal_says_what_is_wrong(entry: dict[str, Any], told: str) -> None:
    _, (refused,) = taker().read(json.dumps(entry | {"session_id": "s-1"}).encode())
    assert refused.message == told


def test_what_a_refusal_quotes_is_one_harmless_line() -> None:
    _, (refused,) = taker().read(json.dumps(THUMB | {"metric": "a\x1b[2J\n" + "b" * 500}).encode())
    assert refused.message.isprintable()
    assert len(refused.message) < 200
    assert refused.message.startswith(r"`metric` is no metric that is known here: `a\x1b[2J b")


BROKEN: dict[str, bytes] = {
    "no JSON": b"{",
    "a string that never ends": b'[{"metric": "thu',
    "JSON and more": b"[]x",
    "bad UTF-8": b'[{"metric": "\xff"}]',
    "another encoding": "[]".encode("utf-16"),
    "deep lists": b"[" * 20_000,
    "deep objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "a value nested deeply": b'[{"value":' + b"[" * 15_000 + b"]" * 15_000 + b"}]",
    "101 entries": json.dumps([THUMB] * (AT_MOST + 1)).encode(),
    "a million empty lists": b"[" + b"[]," * 1_000_000 + b"[]]",
    "a million empty strings": b"[" + b'"",' * 1_000_000 + b'""]',
    "ten megabytes of spaces": b"[" + b" " * 10_000_000 + b"]",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_body_that_cannot_be_read_is_refused_whole_and_nothing_is_written(mock: Mock, desk: Served, name: str) -> None:
    status, headers, body = post(desk, PATH, BROKEN[name])
    assert (status, headers["x-detent-error"], headers["x-should-retry"]) == (400, "invalid_feedback", "false")
    assert "; send" in json.loads(body)["error"]["message"], "says what to do"
    assert desk.spool.feedback == []
    assert desk.gateway.counts == {}
    assert post(desk)[0] == 200, "and the gateway goes on"


def test_a_hundred_entries_are_taken_at_once(desk: Served) -> None:
    assert say(desk, *[THUMB | {"id": f"n-{number}", "comment": "ü" * 2000} for number in range(AT_MOST)]) == (202, AT_MOST, [])


def test_a_packed_body_and_one_above_the_limit_are_refused(desk: Served) -> None:
    assert post(desk, PATH, gzip.compress(b"[]"), content_encoding="gzip")[0] == 415
    sent = (f"POST {PATH} HTTP/1.1", "host: x", "content-length: 99999999", "connection: close")
    assert talk(desk, ("\r\n".join(sent) + "\r\n\r\n").encode()).startswith(b"HTTP/1.1 413 ")
    assert desk.spool.feedback == []


def test_before_a_key_is_known_ids_pass_and_sessions_do_not() -> None:
    """Without a key nothing is signed; and a session's digest without a secret can be guessed, so that none is written."""
    taken, rejected = taker(key="").read(
        json.dumps([THUMB | {"request_id": "ex_1"}, {"session_id": "s"} | {**THUMB, "request_id": None}]).encode()
    )
    assert [entry.exchange for entry in taken] == ["ex_1"]
    assert [(refused.index, refused.code) for refused in rejected] == [(1, "no_key")]


def test_a_comment_is_text_that_any_store_takes() -> None:
    said = read(THUMB | {"comment": "half an emoji \ud83d, nothing \x00"})
    assert said.comment == "half an emoji ?, nothing \x00"
    assert read(THUMB | {"comment": ""}).comment is None


def test_the_how_to_names_every_word_and_every_code() -> None:
    page = (Path(__file__).parent.parent / "docs" / "how-to" / "feedback.md").read_text()
    for name, says in FEEDBACK_NAMES.items():
        assert f"| `{name}` | {says} |" in page
    assert {code for _, code in WRONG.values()} | {"no_key"} <= set(re.findall(r"`([a-z_]+)`", page))


# ── repeats ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_repeat_has_the_id_of_the_first() -> None:
    named = THUMB | {"id": "n-1"}
    assert read(named).id == read(named).id == read(named | {"value": False}).id
    assert read(THUMB).id == read(THUMB).id, "a sender without ids that tries again says nothing new"
    assert read(THUMB).id != read(THUMB | {"value": False}).id


def test_a_second_measurement_may_be_equal_to_the_first() -> None:
    stars, same = taker(), {"session_id": "s", "metric": "stars", "value": 4}
    taken, _ = stars.read(json.dumps([same, same]).encode())
    assert taken[0].id != taken[1].id


def test_an_id_is_its_senders_own_and_one_of_this_statement() -> None:
    """Else whoever guesses ids could send each before its owner does, and what the owner says would count as a repeat."""
    said = THUMB | {"id": "n-1"}
    others = [
        read(said, sender="another client"),
        read(said | {"request_id": signed_id(KEY, "ex_2")}),
        read(said | {"metric": "task_done"}),
        read(said | {"id": "n-2"}),
    ]
    assert len({entry.id for entry in (read(said), *others)}) == 5


def test_no_sender_moves_a_verdict_by_saying_much(mock: Mock, tmp_path: Path) -> None:
    """One session's thumbs-down, said a hundred times in every way, is one event of one unit; what is forged is none."""
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    spool = Spool(tmp_path / "spool", "gw-1")
    guard = Guard(metric="thumbs_down", margin_abs=0.01, matures=60.0)
    flags = with_rollout(declaring(flagset(mock.url)), split=0.5, period=1)
    opened = rollout(guard, id="ro_1", route="chat", phase=Phase.CANARY)
    store.state.open_rollout(opened, flags.flags["chat"], by="ann", at=datetime.now(UTC))
    with serving(flags) as desk:
        desk.gateway._records._spool = spool
        ids = [post(desk, x_detent_session_id=f"s-{number}")[1]["x-detent-request-id"] for number in range(20)]
        loud = {"request_id": ids[0], "metric": "thumbs", "value": False}
        for about in ({}, {"id": "n-1"}, {"id": "n-2"}, {"request_id": None, "session_id": "s-0"}):
            assert say(desk, *[loud | about] * 25) == (202, 25, [])
        assert say(desk, loud | {"value": True, "id": "n-1"}) == (202, 1, []), "what was said once is not taken back by its id"
        forged = [loud | {"request_id": id[:-8] + ids[0][-8:]} for id in ids[1:]]
        assert say(desk, *forged)[1] == 0
        assert say(desk, *[{"session_id": f"nobody's-{number}", "metric": "thumbs", "value": False} for number in range(20)])[1] == 20
    spool.close()
    now = [datetime.now(UTC)]
    ingester = Ingester(store, tmp_path / "spool", lambda: now[0])
    assert ingester.run_once().unmatched == 20
    now[0] += timedelta(minutes=5)
    assert ingester.run_once().sealed == 20
    events = sum(count.n for count in store.state.label_counts("ro_1") if not count.slice and count.bucket == 1)
    store.close()
    assert events == 1


# ── floods ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def small_desk(mock: Mock, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A gateway that takes ten entries at once, and one a second."""
    monkeypatch.setattr(taking, "BURST", 10.0)
    monkeypatch.setattr(taking, "PER_S", 1.0)
    with serving(declaring(flagset(mock.url)), monotonic=clock) as served:
        yield served


def test_a_flood_is_refused_with_a_time_to_come_back_and_inference_goes_on(mock: Mock, small_desk: Served, clock: Clock) -> None:
    statuses = [post(small_desk, PATH, THUMB)[0] for _ in range(50)]
    taken = statuses.count(202)
    assert statuses == [202] * taken + [429] * (50 - taken)
    assert 5 <= taken <= 10
    assert small_desk.gateway.counts == {"feedback_limited": 50 - taken}
    status, headers, body = post(small_desk, PATH, THUMB)
    assert (status, headers["x-should-retry"], json.loads(body)["error"]["code"]) == (429, "true", "too_much_feedback")
    assert post(small_desk)[2] == COMPLETION
    clock.now += int(headers["retry-after"]) + 1
    assert post(small_desk, PATH, THUMB)[0] == 202
    assert len(small_desk.spool.feedback) == taken + 1


def test_a_list_that_is_too_much_is_refused_whole(mock: Mock, small_desk: Served) -> None:
    assert post(small_desk, PATH, [THUMB] * 20)[0] == 429
    assert post(small_desk, PATH, THUMB | {"comment": "x" * 2000, "id": "a" * 5000})[0] == 429, "bytes cost as entries do"
    assert small_desk.spool.feedback == []


def test_one_senders_flood_is_not_anothers(mock: Mock, small_desk: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_CLIENT_KEYS", "dk-loud,dk-quiet")
    small_desk.flags = with_server(small_desk.flags, clients_env="TEST_CLIENT_KEYS")
    assert {post(small_desk, PATH, THUMB, authorization="Bearer dk-loud")[0] for _ in range(30)} == {202, 429}
    assert post(small_desk, PATH, THUMB, authorization="Bearer dk-quiet")[0] == 202
    assert post(small_desk, PATH, THUMB, x_detent_key="dk-loud")[0] == 429, "whichever header its key is in"


def test_nobody_waits_while_a_large_body_is_read(mock: Mock, desk: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, may_go, real = threading.Event(), threading.Event(), Taker.read

    def slow(self: Taker, body: bytes) -> Any:
        reading.set()
        assert may_go.wait(20)
        return real(self, body)

    monkeypatch.setattr(Taker, "read", slow)
    statuses: list[int] = []
    entries = [THUMB | {"id": f"n-{number}", "comment": "x" * 200} for number in range(30)]
    sender = threading.Thread(target=lambda: statuses.append(post(desk, PATH, entries)[0]))
    sender.start()
    assert reading.wait(20)
    assert post(desk)[2] == COMPLETION, "meanwhile"
    assert statuses == []
    may_go.set()
    sender.join(20)
    assert statuses == [202]


def test_who_hangs_up_in_the_middle_leaves_nothing(desk: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", desk.port, timeout=20)
    connection.putrequest("POST", PATH)
    connection.putheader("content-length", "5000")
    connection.endheaders(json.dumps([THUMB]).encode())
    connection.close()
    assert post(desk)[0] == 200
    assert desk.spool.feedback == []


def test_an_allowance_fills_up_to_its_most_and_no_clock_takes_from_it() -> None:
    allowance = Allowance(per_s=2.0, most=10.0, now_s=100.0)
    assert allowance.take(10.0, 100.0) == 0.0
    assert allowance.take(3.0, 100.0) == 1.5, "three tokens at two a second"
    assert allowance.take(3.0, 101.5) == 0.0
    assert allowance.take(1.0, 50.0) == 0.5, "a clock that goes back gives nothing, and takes nothing"
    assert allowance.take(10.0, 1_000_000.0) == 0.0
    assert allowance.take(1.0, 1_000_000.0) == 0.5, "a day of silence saves up no more than `most`"


# ── bodies made short ───────────────────────────────────────────────────────────────────────────────────────────────


def shortened(text: bytes, *cuts: int) -> bytes:
    shortener, at = Shortener(), 0
    kept = b""
    for cut in [*sorted(cuts), len(text)]:
        kept += shortener.feed(text[at:cut])
        at = max(at, cut)
    return kept


JSON = st.recursive(st.text(max_size=20) | st.booleans() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(value=JSON, ascii=st.booleans(), cuts=st.lists(st.integers(0, 400), max_size=8))
def test_a_short_body_stays_as_it_is_however_it_comes(value: Any, ascii: bool, cuts: list[int]) -> None:
    text = json.dumps(value, ensure_ascii=ascii).encode()
    assert shortened(text, *cuts) == text


@given(cuts=st.lists(st.integers(0, 60_000), max_size=20), end=st.sampled_from(['"', "\\", "\\\\", '\\"', "x"]))
def test_a_long_string_becomes_one_that_is_too_long_and_the_rest_stays(cuts: list[int], end: str) -> None:
    entries = [{"comment": "so \\ " * 10_000 + end, "id": "a"}, {"comment": "short \\ " + end}]
    kept = json.loads(shortened(json.dumps(entries).encode(), *cuts))
    assert kept == [{"comment": "x" * (LONGEST_BYTES + 1), "id": "a"}, entries[1]]


def test_two_thousand_characters_are_never_too_long() -> None:
    longest = json.dumps("😀" * 2000).encode()  # each is a pair of escapes
    assert len(longest) == LONGEST_BYTES + 2
    assert shortened(longest) == longest


@given(text=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_any_bytes_pass_and_the_chunks_do_not_matter(text: bytes, cuts: list[int]) -> None:
    assert shortened(text, *cuts) == shortened(text)


def test_what_is_no_json_stays_none() -> None:
    for broken in (b'[1]"', b'[1]"abc', b'["a\\', b'"\\'):
        with pytest.raises(ValueError, match=r".*"):
            json.loads(shortened(broken))


def test_much_structure_and_many_strings_are_refused() -> None:
    shortened(b" " * STRUCTURE_BYTES)
    for text in (b" " * (STRUCTURE_BYTES + 1), b'""' * (STRUCTURE_BYTES + 1), b"[" * (STRUCTURE_BYTES + 1)):
        with pytest.raises(InvalidInput, match="outside of strings"):
            shortened(text)
    with pytest.raises(InvalidInput, match="MB"):
        shortened(b'"%s" ' % (b"x" * 20_000) * (shorten.KEPT_BYTES // 20_000 + 1))


# ── signed ids ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_id_is_signed_with_eight_hex_digits_of_this_installation() -> None:
    assert ANSWER.startswith("ex_1")
    assert len(ANSWER) == len("ex_1") + 8
    assert is_signed(KEY, ANSWER)
    for forged in ("ex_1", "", "x", ANSWER[:-1] + "g", ANSWER.upper(), ANSWER + "0", ANSWER[8:], "é" * 40, "\ud800" * 9):
        assert not is_signed(KEY, forged), forged
    assert signed_id("", "ex_1") == "ex_1"
    assert is_signed("", "anything")

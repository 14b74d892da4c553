"""The verbs over HTTP: who asks is known by a token, where from by what browsers say of themselves, and nothing else changes anything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from controlling import World, in_the_canary
from detent.errors import CouldNotRun
from detent.roles import COMMANDS, REQUESTS
from detent.store import Store
from detent.terms import TOKEN_ROLES, Decision, DrillReport, FlagSet, Held, Manifest, Phase, TokenRole, Verb, Version
from detent.web.control import Control
from detent.web.receiving import MOST_BODY
from detent.web.verbs import NOTED_EVERY_S, VERBS
from mock_upstream import running
from processes import in_canary, now, standing

pytest_plugins = ("stores",)

SECRETS = {role: f"dt_{role}" for role in TOKEN_ROLES}
FLAGS = FlagSet(revision=7, manifest=Manifest(providers={}, routes={}, plans={}))


@dataclass
class Door:
    """The control listener, and whoever knocks at it."""

    world: World
    app: Control
    seconds: list[float] = field(default_factory=lambda: [0.0])

    def asks(
        self,
        method: str,
        path: str,
        body: object = b"",
        *,
        role: TokenRole | None = None,
        token: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        host: str | None = "127.0.0.1:8701",
        typed: str | None = "application/json",
        raw: str | None = None,
    ) -> tuple[int, Any]:
        given = [("host", host)] if host is not None else []
        given += [("content-type", typed)] if typed is not None else []
        secret = token if token is not None else SECRETS[role] if role is not None else None
        given += [("authorization", f"Bearer {secret}")] if secret is not None else []
        sent: list[Any] = []
        what = body if isinstance(body, bytes) else json.dumps(body).encode()
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": (raw or path).encode(),
            "query_string": query.encode(),
            "client": ("127.0.0.1", 5),
            "headers": [(name.encode(), value.encode()) for name, value in (*given, *headers)],
        }

        async def ask() -> None:
            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": what, "more_body": False}

            async def send(message: Any) -> None:
                sent.append(message)

            await self.app(scope, receive, send)

        asyncio.run(ask())
        return sent[0]["status"], json.loads(sent[1]["body"] or b"null")


@pytest.fixture
def bare(store: Store) -> Door:
    """A rollout in its canary, on a store without tokens."""
    world = World(store)
    in_the_canary(world)
    seconds = [0.0]
    return Door(world, Control(lambda: store, lambda: FLAGS, clock=world.clock, elapsed=lambda: seconds[0]), seconds)


@pytest.fixture
def door(bare: Door) -> Door:
    """The same, with a token for each role."""
    for role in reversed(TOKEN_ROLES):
        bare.world.store.state.add_token(role, role, SECRETS[role], by="root", at=bare.world.now)
    return bare


def untouched(door: Door) -> Callable[[], bool]:
    """Whether nothing was written since: no entry, no rollout, no flag."""
    before = door.world.store.state.audit_head(), door.world.rollout()
    return lambda: (door.world.store.state.audit_head(), door.world.rollout()) == before


# ── what may be done ──


def test_a_rollback_moves_all_traffic_and_says_which_gateways_serve_it(door: Door) -> None:
    state = door.world.store.state
    state.acknowledge("gw-1", state.revision() + 1, door.world.now, pid=1, address="127.0.0.1:8700")
    code, said = door.asks("POST", "/v1/rollouts/ro_1/rollback", {"why": "it burns"}, role="operator")
    assert (code, said["rollout"], said["phase"]) == (200, "ro_1", "rolled_back")
    assert [(one["gateway"], one["ms"] is not None) for one in said["gateways"]] == [("gw-1", True)]
    assert state.flags()["chat"].split == 0.0
    newest = state.audit(1)[0]
    assert (newest.by, newest.what) == ("operator", "roll_back: it burns")
    code, said = door.asks("POST", "/v1/rollouts/ro_1/rollback", {}, role="operator")
    assert (code, "has ended as rolled_back: nothing to roll back" in said["error"], bool(said["hint"])) == (409, True, True)


def test_a_route_is_rolled_back_by_its_name(door: Door) -> None:
    code, said = door.asks("POST", "/v1/routes/chat/rollback", {}, role="operator")
    assert (code, said["rollout"], said["phase"], said["gateways"]) == (200, "ro_1", "rolled_back", [])
    code, said = door.asks("POST", "/v1/routes/chat/rollback", {}, role="operator")
    assert (code, said["rollout"], said["drill"], said["gateways"]) == (200, None, None, []), (
        "as the command: stable serves, and who says so"
    )
    assert door.asks("POST", "/v1/routes/caht/rollback", {}, role="operator")[0] == 404


def test_a_rollback_of_a_route_ends_a_drill_that_waits_for_somebody_to_press(door: Door) -> None:
    state, now = door.world.store.state, door.world.now
    assert door.asks("POST", "/v1/routes/chat/rollback", {}, role="operator")[0] == 200
    waits = DrillReport(id="dr_1", route="chat", version=Version("openai", "gpt-4"), share=0.1, by="ann", began_at=now)
    state.begin_drill(waits, None, by="ann", at=now, why="")
    code, said = door.asks("POST", "/v1/routes/chat/rollback", {}, role="operator")
    assert (code, said["drill"]) == (200, "dr_1")
    assert state.drills("chat", under_way=True) == []


def test_every_verb_does_what_the_command_does(door: Door) -> None:
    def say(verb: str) -> tuple[int, Any]:
        return door.asks("POST", f"/v1/rollouts/ro_1/{verb}", {"why": "so"}, role="approver")

    assert say("hold")[0] == 200
    held = door.world.rollout().held
    assert held is not None
    assert (held.by, held.why) == ("approver", "so")
    assert say("resume")[1]["gateways"] is None, "no traffic moved, and nobody was waited for"
    assert say("promote")[0] == 409, "the minimum window is not served, whoever asks"
    assert say("approve")[0] == 409, "nothing waits for a yes"
    assert say("abort")[1]["phase"] == "aborted"
    assert door.asks("POST", "/v1/rollouts/ro_9/hold", {}, role="approver")[0] == 404


def test_a_yes_is_given_to_what_waits_at_the_revision_that_was_seen(door: Door) -> None:
    state, before = door.world.store.state, door.world.rollout()
    said = Decision(rollout="ro_1", verb=Verb.HOLD, reason="AwaitingApproval", sentence="", at=door.world.now, evidence_digest="ab")
    held = Held(reason="AwaitingApproval", by="detent", since_at=door.world.now)
    waits = replace(before, plan=replace(before.plan, approve=("soak",)), held=held)
    waits = state.commit(before, waits, flag=None, decision=said, evidence=b"", by="detent", what="hold", at=door.world.now)
    stale = door.asks("POST", "/v1/rollouts/ro_1/approve", {"revision": waits.revision - 1}, role="approver")
    assert (stale[0], "what you saw is" in stale[1]["error"]) == (409, True)
    code, given = door.asks("POST", "/v1/rollouts/ro_1/approve", {"revision": waits.revision, "why": "read it"}, role="approver")
    assert (code, given["stage"], given["revision"], given["evidence"]) == (200, "soak", waits.revision, "ab")
    assert [one.by for one in state.approvals("ro_1")] == ["approver"]
    assert door.asks("POST", "/v1/rollouts/ro_1/hold", {"revision": 1}, role="approver")[0] == 400


def test_a_viewer_reads_the_log(door: Door) -> None:
    code, said = door.asks("GET", "/v1/audit?limit=2&rollout=ro_1", role="viewer")
    assert (code, len(said["entries"])) == (200, 2)
    assert said["entries"][0]["after"]["rollout"]["phase"] == "canary"
    assert "a secret salt" not in json.dumps(said)
    for limit in ("0", "1001", "x", "-1"):
        assert door.asks("GET", f"/v1/audit?limit={limit}", role="viewer")[0] == 400
    assert door.asks("GET", "/v1/status", role="viewer")[1]["rollouts"]


# ── who may ──


def paths() -> Iterator[tuple[str, str, TokenRole]]:
    for (method, pattern), needs in REQUESTS.items():
        if needs is not None:
            yield method, pattern.replace("{rollout}", "ro_1").replace("{route}", "chat"), needs


@pytest.mark.parametrize(("method", "path", "needs"), list(paths()))
def test_each_request_is_refused_to_who_may_not_and_changes_nothing(door: Door, method: str, path: str, needs: TokenRole) -> None:
    whole = untouched(door)
    assert door.asks(method, path, {})[0] == 401
    assert door.asks(method, path, {}, headers=(("authorization", "Basic YTpi"),))[0] == 401
    assert door.asks(method, path, {}, role="viewer", headers=(("authorization", "Bearer x"),))[0] == 401, "two of them are none"
    for role in TOKEN_ROLES[: TOKEN_ROLES.index(needs)]:
        code, said = door.asks(method, path, {}, role=role)
        assert (code, said["error"]) == (403, f"`{role}` has the role {role}, and this needs {needs}")
    assert whole()


def test_the_table_has_every_request_that_is_answered_and_no_other(door: Door) -> None:
    """Deny by default: what the table lacks is not there, whatever the token."""
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"):
        for path in (
            "/",
            "/v1",
            "/v1/status",
            "/v1/audit",
            "/v1/rollouts",
            "/v1/rollouts/ro_1/hold",
            "/v1/rollouts/ro_1/roll_back",
            "/healthz",
        ):
            known = path in {"/healthz", "/v1/status", "/v1/audit"} and method == "GET"
            known = known or (path.endswith("/hold") and method == "POST")
            whole = untouched(door)
            code, _ = door.asks(method, path, {}, role="viewer")
            assert code == (403 if path.endswith("/hold") else 200) if known else code in {404, 405}, (method, path, code)
            assert whole()
    verbs = {path.rpartition("/")[2] for method, path in REQUESTS if method == "POST"}
    assert verbs == VERBS.keys() | {"approve"}
    for (method, path), needs in REQUESTS.items():
        if method == "POST":
            assert COMMANDS[path.rpartition("/")[2]] == needs, "a command and its request ask for the same role"


def test_a_store_without_tokens_takes_no_verb_and_says_how_to_make_one(bare: Door) -> None:
    whole = untouched(bare)
    code, said = bare.asks("POST", "/v1/rollouts/ro_1/rollback", {}, token="dt_anything")
    assert (code, said["hint"]) == (403, "detent token add NAME --role approver")
    assert bare.asks("GET", "/v1/audit")[0] == 403
    assert bare.asks("GET", "/v1/status")[0] == 200
    assert whole()


def test_a_wrong_token_is_noted_once_a_minute_for_each_address(door: Door) -> None:
    def noted() -> int:
        return sum("a token that is nobody's" in row.what for row in door.world.store.state.audit(1000))

    for _ in range(5):
        code, said = door.asks("POST", "/v1/rollouts/ro_1/rollback", {}, token="dt_guess")
        assert (code, said["error"]) == (401, "this token is nobody's, or was revoked")
    assert noted() == 1
    assert "dt_guess" not in json.dumps([row.what for row in door.world.store.state.audit()])
    door.seconds[0] += NOTED_EVERY_S
    door.asks("POST", "/v1/rollouts/ro_1/rollback", {}, token="dt_guess")
    assert noted() == 2


def test_without_a_store_nobody_is_let_in(door: Door) -> None:
    def gone() -> Store:
        raise CouldNotRun("the store cannot be read")

    door.app = Control(gone, lambda: FLAGS)
    assert door.asks("POST", "/v1/rollouts/ro_1/rollback", {}, role="approver")[0] == 503
    assert door.asks("GET", "/v1/status", role="approver")[0] == 503
    assert door.asks("GET", "/healthz") == (200, {"revision": 7})


# ── where from, and in which form ──

HOLD = "/v1/rollouts/ro_1/hold"
ABUSES: dict[str, tuple[int, dict[str, Any]]] = {
    "a name that leads here (DNS rebinding)": (403, {"host": "evil.example:8701"}),
    "another address": (403, {"host": "10.0.0.1:8701"}),
    "no host": (403, {"host": None}),
    "two hosts": (400, {"headers": (("host", "evil.example"),)}),
    "a page of another site": (403, {"headers": (("origin", "https://evil.example"),)}),
    "a page without an origin": (403, {"headers": (("origin", "null"),)}),
    "a page at another port of this machine": (403, {"headers": (("origin", "http://127.0.0.1:3000"),)}),
    "a site that the browser calls another": (403, {"headers": (("sec-fetch-site", "cross-site"),)}),
    "a sibling of the site": (403, {"headers": (("sec-fetch-site", "same-site"),)}),
    "a form": (415, {"typed": "application/x-www-form-urlencoded"}),
    "plain text, which needs no leave": (415, {"typed": "text/plain"}),
    "no content type": (415, {"typed": None}),
    "a large body that says so": (413, {"headers": (("content-length", str(MOST_BODY + 1)),)}),
    "an escaped path": (404, {"raw": "/v1/rollouts/ro%5f1/hold"}),
    "a length that is none": (413, {"headers": (("content-length", "-1"),)}),
}


@pytest.mark.parametrize("abuse", ABUSES)
def test_a_request_from_elsewhere_or_in_another_form_changes_nothing(door: Door, abuse: str) -> None:
    expected, how = ABUSES[abuse]
    whole = untouched(door)
    assert door.asks("POST", HOLD, {"why": "x"}, role="operator", **how)[0] == expected
    assert whole()
    assert door.asks("POST", HOLD, {"why": "x"}, role="operator", headers=(("origin", "http://127.0.0.1:8701"),))[0] == 200


@pytest.mark.parametrize(
    "body", [b"[]", b'"x"', b"{", b'{"why": 1}', b'{"who": "ann"}', b'{"why": "x"} {}', b"\xff", b"x" * (MOST_BODY + 1)]
)
def test_a_body_that_says_something_else_changes_nothing(door: Door, body: bytes) -> None:
    whole = untouched(door)
    assert door.asks("POST", HOLD, body, role="operator")[0] == (413 if len(body) > MOST_BODY else 400)
    assert whole()


@pytest.mark.parametrize(
    "path", ["/v1/rollouts//hold", "/v1/rollouts/../hold", "/v1/rollouts/ro_1/hold/", "/v1/rollouts/a b/hold", "//v1/audit"]
)
def test_a_path_that_is_no_path_of_the_table_is_none(door: Door, path: str) -> None:
    assert door.asks("POST", path, {}, role="approver")[0] == 404


# ── a server, its gateway and a token, for real ──


def test_a_real_server_rolls_back_over_http(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("api")
    with running() as upstream, standing(home, upstream.url) as place:
        server = place.serve()
        in_canary(place)
        place.acknowledged(server)
        place.store.state.add_token("on-call", "approver", "dt_real", by="root", at=now())

        def post(path: str, secret: str) -> tuple[int, Any]:
            headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
            try:
                with urlopen(Request(f"{server.control}{path}", b'{"why": "it burns"}', headers, method="POST")) as answer:
                    return answer.status, json.load(answer)
            except HTTPError as error:
                return error.code, json.load(error)

        (rollout,) = place.store.state.rollouts(open_only=True)
        assert post(f"/v1/routes/{rollout.route}/rollback", "dt_wrong")[0] == 401
        code, said = post(f"/v1/routes/{rollout.route}/rollback", "dt_real")
        assert (code, said["phase"]) == (200, Phase.ROLLED_BACK)
        assert [one["ms"] is not None for one in said["gateways"]] == [True]
        assert place.store.state.verify_audit().bad is None


@pytest.mark.parametrize("limit", ["9" * 5000, "\u0661\u0662", "0", "-1", "1e3"])
def test_what_is_no_number_of_entries_is_a_bad_request(door: Door, limit: str) -> None:
    from urllib.parse import quote

    assert door.asks("GET", f"/v1/audit?limit={quote(limit)}", role="viewer")[0] == 400


def test_a_reason_has_an_end(door: Door) -> None:
    code, said = door.asks("POST", "/v1/rollouts/ro_1/hold", {"why": "x" * 2001}, role="operator")
    assert (code, said["error"]) == (400, "a reason has 2,000 characters at most, and this one 2,001")
    assert door.asks("POST", "/v1/rollouts/ro_1/hold", {"why": "x" * 2000}, role="operator")[0] == 200

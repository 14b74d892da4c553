"""One exchange without I/O: which legs to send, when to fall back, what to mirror, what to record. The gateway only moves the bytes.

    ex = plan(request, flags, ...)           Exchange | Refusal | Unmanaged
    leg = first_leg(ex, id)                  intent(ex, leg, at_us) is written before it is sent
    begun(ex, leg, ...)                      written when the first byte of a good stream has gone out
    ...the rim sends it, relays the answer, and says what it saw: Heard...
    written = result(ex, leg, heard)         written in the loop turn of the last byte
    fallback_leg(ex, leg, written, id)       after a candidate that failed before its first byte
    may_mirror, not_mirrored, mirrored_legs  after a live answer

Nothing here raises for what a client or a provider sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from detent import reading, wire
from detent.assign import InFlight, Taken, assign, draw, hash_identity, unit_of
from detent.errors import InvalidInput
from detent.reading import Heard
from detent.redaction import Policy, redact_bodies, redact_text
from detent.terms import (
    Answer,
    Arm,
    Assignment,
    Begun,
    Dialect,
    Endpoint,
    Flag,
    FlagSet,
    Head,
    Intent,
    Leg,
    NotMirrored,
    Outcome,
    Provider,
    Result,
    Role,
    Route,
    Version,
)
from detent.wire.effects import effect_of
from detent.wire.guard import Headers, Refusal

KEPT_BYTES = 2 * 1024 * 1024
"""A body longer than this is not kept in the records: one anomaly in a day of large prompts must not fill the disk."""


@dataclass(frozen=True, slots=True)
class Unmanaged:
    """No route: the request passes as it is to `provider`. `name` is what it is counted under."""

    provider: Provider
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request on a route, with everything that was decided when it came in. `body` is the request as the client sent it."""

    id: str
    gateway: str
    revision: int
    head: Head
    body: bytes
    route: Route
    flag: Flag
    assignment: Assignment
    session: str | None
    user: str | None
    sampled: bool


def route_for(head: Head, flags: FlagSet) -> Route | None:
    """The route that a request asks for: by the header `x-detent-route`, else by its model name; None where neither names a route."""
    return flags.manifest.routes.get(head.model if head.route is None else head.route)


def plan(
    method: str,
    path: str,
    headers: Headers,
    body: bytes,
    flags: FlagSet,
    *,
    id: str,
    gateway: str,
    in_flight: InFlight | None = None,
    at_s: float = 0.0,
) -> Exchange | Refusal | Unmanaged:
    """What to do with a request: serve it on its route, refuse it, or pass it on untouched. `id` is for the exchange it may become.

    `in_flight` remembers the runs under way by a clock that never goes backwards, which shows `at_s`.
    """
    endpoint = wire.endpoint(method, path)
    if endpoint is None:
        # Ids stand further back in a path: two segments are few enough to be counted by.
        return unmanaged(wire.dialect(headers, path), f"{method} {'/'.join(path.split('/')[:3])}", flags)
    if any(name == b"content-encoding" and value.lower() != b"identity" for name, value in headers):
        return Refusal(415, "unsupported_encoding", "send the request without a content encoding")
    try:
        head = wire.read_head(endpoint, headers, body)
    except InvalidInput as error:
        return Refusal(400, "invalid_request", error.message)
    return begin(head, body, flags, id=id, gateway=gateway, in_flight=in_flight, at_s=at_s)


def begin(
    head: Head, body: bytes, flags: FlagSet, *, id: str, gateway: str, in_flight: InFlight | None = None, at_s: float = 0.0
) -> Exchange | Refusal | Unmanaged:
    """`plan` for a request to an endpoint that is read, once its head is."""
    route = route_for(head, flags)
    if route is None:
        if head.route is not None:
            return Refusal(404, "model_not_found", f"no such route: `{head.route}`")
        return unmanaged(head.endpoint.dialect, head.model, flags)
    flag = _flag(route, head.endpoint.dialect, flags)
    if not _speaks(flag.stable, head.endpoint.dialect, flags):
        return Refusal(400, "wrong_endpoint", f"route `{route.name}` is not served by a provider that speaks {head.endpoint.dialect}")
    key = flags.identity_key
    unit = unit_of(head, route.unit, key, body)
    assignment = assign(unit, flag)
    if in_flight is not None:
        assignment = in_flight.keep(assignment, flag, head, at_s)
    return Exchange(
        id=id,
        gateway=gateway,
        revision=flags.revision,
        head=head,
        body=body,
        route=route,
        flag=flag,
        assignment=assignment,
        session=hash_identity(key, head.session) if key and head.session else None,
        user=hash_identity(key, head.user) if key and head.user else None,
        sampled=draw(key, "bodies", id) < route.record.bodies,
    )


def unmanaged(dialect: Dialect, name: str, flags: FlagSet) -> Unmanaged | Refusal:
    """Where a request without a route goes: to the first provider of its dialect, with the client's own key; or nowhere."""
    if flags.manifest.server.unknown == "refuse":
        return Refusal(404, "model_not_found", f"no such route: `{name}`")
    for provider in flags.manifest.providers.values():
        if provider.dialect is dialect:
            return Unmanaged(provider, name)
    return Refusal(404, "model_not_found", f"no such route, and no provider that speaks {dialect}: `{name}`")


def _flag(route: Route, dialect: Dialect, flags: FlagSet) -> Flag:
    """The flag of a route, or what stands in for it: without one the pin of the file, which is always the approved version (fail static).

    A candidate that can't be sent at all is no candidate: nobody is randomised onto it, and the rollout holds for want of samples.
    """
    flag = flags.flags.get(route.name)
    if flag is None or flag.stable.provider not in flags.manifest.providers:
        return Flag(route=route.name, revision=flags.revision, stable=route.stable)
    if flag.candidate is not None and not _speaks(flag.candidate, dialect, flags):
        return replace(flag, candidate=None, split=0.0, control=0.0, mirror=None)
    return flag


def _speaks(version: Version, dialect: Dialect, flags: FlagSet) -> bool:
    provider = flags.manifest.providers.get(version.provider)
    return provider is not None and provider.dialect is dialect


# ── legs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def first_leg(ex: Exchange, id: str) -> Leg:
    """The leg that answers, if all goes well."""
    if ex.assignment.arm is Arm.CANDIDATE and ex.flag.candidate is not None:
        return Leg(id=id, role=Role.SERVED, arm=Arm.CANDIDATE, version=ex.flag.candidate)
    return Leg(id=id, role=Role.SERVED, arm=Arm.STABLE, version=ex.flag.stable)


def may_fall_back(ex: Exchange, leg: Leg) -> bool:
    """Whether stable answers if this leg fails before its first byte: then that byte is awaited before the client hears anything."""
    return leg.role is Role.SERVED and leg.arm is Arm.CANDIDATE and falls_back(ex)


def falls_back(ex: Exchange) -> bool:
    """Whether, by the route's policy, stable answers where a candidate fails."""
    return ex.route.on_candidate_failure == "stable"


def refuses(status: int) -> bool:
    """Whether a status is no answer."""
    return status >= 400


def fallback_leg(ex: Exchange, leg: Leg, written: Result, id: str) -> Leg | None:
    """The stable leg that answers in place of a candidate of which the client has not heard a byte; None where the failure stands."""
    if not may_fall_back(ex, leg) or written.outcome is Outcome.CLIENT_ABORTED:
        return None
    what = f"http_{written.status}" if written.outcome is Outcome.HTTP_ERROR else written.outcome.value
    return Leg(id=id, role=Role.FALLBACK, arm=Arm.STABLE, version=ex.flag.stable, why=f"candidate_failed:{what}")


def asks_usage(ex: Exchange) -> bool:
    """Whether we ask upstream for the tokens of a stream whose client did not, and take the extra chunk out again."""
    head = ex.head
    return head.stream and not head.asks_usage and head.endpoint is Endpoint.OPENAI_CHAT and ex.route.usage == "ask"


def takes_usage_out(ex: Exchange, status: int, content_type: str, encoding: str) -> bool:
    """Whether an answer carries the usage that only we asked for. An encoded stream can't be edited, and passes as it is."""
    return asks_usage(ex) and status == 200 and content_type.startswith("text/event-stream") and encoding in {"", "identity"}


def body_for(ex: Exchange, leg: Leg) -> bytes:
    """The request as a leg sends it: the client's bytes with the version in place of the route's name.

    The control slice has a cache of its own at the provider, as small and as cold as the candidate's.
    """
    cache = own_cache(ex.flag.salt) if ex.assignment.control and leg.arm is Arm.STABLE else None
    return wire.rewrite(ex.head.endpoint, ex.body, model=leg.version.model, ask_usage=asks_usage(ex), cache_key=cache)


def own_cache(salt: str) -> Callable[[str], str]:
    """What becomes of an app's own cache key (empty without one) under a rollout: apart from all others, and telling nothing of either."""
    return lambda own: hash_identity(salt, f"cache:{own}")


# ── the shadow ──────────────────────────────────────────────────────────────────────────────────────────────────────


def may_mirror(ex: Exchange, leg: Leg, written: Result) -> bool:
    """Whether this leg is one that the shadow copies: stable, as the route's own choice, has answered it in full."""
    live = leg.role is Role.SERVED and leg.arm is Arm.STABLE and written.outcome is Outcome.COMPLETE
    return live and ex.flag.candidate is not None and ex.flag.mirror is not None


def not_mirrored(ex: Exchange, heard: Heard) -> tuple[NotMirrored, str] | None:
    """Why a request is never mirrored, with more of the reason; None where it may be. A second answer to it must do nothing in the world,
    go where the route's processors allow, and be small enough to be kept beside the live one.
    """
    if ex.head.no_shadow or ex.head.no_record:
        return "no_shadow", ""
    allowed = ex.route.processors
    if ex.flag.candidate is not None and allowed is not None and ex.flag.candidate.provider not in allowed:
        return "processor", ex.flag.candidate.provider
    if len(ex.body) > KEPT_BYTES or heard.body is None or len(heard.body) > KEPT_BYTES:
        return "too_large", "request" if len(ex.body) > KEPT_BYTES else "answer"
    effect = effect_of(ex.body)
    return ("effects", effect) if effect else None


def mirrored_legs(ex: Exchange, taken: Taken, new_id: Callable[[str], str]) -> tuple[Leg, Leg | None]:
    """The legs on copies of a request that `may_mirror`: the candidate's, and for a sample a second one of stable's, which shows how often
    stable disagrees with itself.
    """
    assert ex.flag.candidate is not None, "asked before"
    assert ex.flag.mirror is not None, "asked before"
    why = "rare" if taken == "rare" else ""
    candidate = Leg(id=new_id("le_"), role=Role.MIRRORED, arm=Arm.CANDIDATE, version=ex.flag.candidate, why=why)
    if draw(ex.flag.salt, "second", ex.id) >= ex.flag.mirror.second:
        return candidate, None
    return candidate, Leg(id=new_id("le_"), role=Role.MIRRORED, arm=Arm.STABLE, version=ex.flag.stable)


# ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def intent(ex: Exchange, leg: Leg, at_us: int) -> Intent:
    """What is written before a leg is sent. A mirrored leg is no unit's exposure, so it is never randomised."""
    mirrored = leg.role is Role.MIRRORED
    return Intent(
        leg=leg.id,
        exchange=ex.id,
        at_us=at_us,
        gateway=ex.gateway,
        revision=ex.revision,
        route=ex.route.name,
        rollout=ex.flag.rollout,
        period=ex.flag.period,
        role=leg.role,
        arm=leg.arm if mirrored else ex.assignment.arm,
        arm_served=leg.arm,
        why=leg.why,
        randomised=ex.assignment.randomised and not mirrored,
        unit_kind=ex.assignment.unit.kind,
        unit=ex.assignment.unit.id,
        session=ex.session,
        user=ex.user,
        identity_source=ex.head.session_source or ex.head.user_source,
        requested=ex.head.model,
        provider=leg.version.provider,
        model=leg.version.model,
        endpoint=ex.head.endpoint,
        stream=ex.head.stream,
        attempt=ex.head.attempt,
        template=ex.head.template,
        api_version=ex.head.api_version,
        betas=ex.head.betas,
        control=ex.assignment.control and not mirrored,
        tenant=ex.head.tenant,
        region=ex.head.region,
        falls_back=falls_back(ex),
        trace=ex.head.trace,
    )


def begun(ex: Exchange, leg: Leg, *, status: int, at_us: int, first_byte_s: float) -> Begun | None:
    """What is written when the first byte of an answer is there, once a leg; None where the result alone says when it came.

    That is so of an answer that is none (`refuses`), or comes whole, and of a mirrored one, which counts for no unit.
    """
    if not ex.head.stream or refuses(status) or leg.role is Role.MIRRORED:
        return None
    return Begun(leg=leg.id, at_us=at_us, first_byte_s=first_byte_s)


@dataclass(frozen=True, slots=True)
class Ended:
    """A leg that has ended: its result so far, and the answer as it was said if bodies are to be kept (`keeps`)."""

    result: Result
    answer: Answer | None = None
    keeps: bool = False


def ended(ex: Exchange, leg: Leg, heard: Heard) -> Ended:
    """What was heard of a leg, read once; `with_bodies` makes a record of it.

    Bodies are kept for the sample and for everything that went wrong; never where the client forbade it, nor on a route that keeps none at
    all, which keeps no word of an error either. (Those of a mirrored exchange are kept by who mirrors it.) What a client or a provider
    wrote stands in no result before the route's policy of redaction has gone over it.
    """
    written, answer = reading.read(ex.head.endpoint, ex.body, heard, leg.id)
    policy = ex.route.record.redact
    odd = written.outcome is not Outcome.COMPLETE or written.parse not in {None, "ok"}
    written = replace(
        written,
        error=error_kept(written, policy, keeps=ex.route.record.bodies > 0.0),
        tools_called=tuple(redact_text(name, policy) for name in written.tools_called),
    )
    if ex.head.no_record or ex.route.record.bodies == 0.0 or not (odd or ex.sampled):
        return Ended(written)
    return Ended(written, answer if heard.body is not None and len(heard.body) <= KEPT_BYTES else None, True)


def error_kept(written: Result, policy: Policy, *, keeps: bool) -> str | None:
    """What is kept of an error's text, redacted. Trap: providers quote the prompt in it, so that it is a body where none is kept."""
    if written.error is None or not (keeps or written.outcome is Outcome.CONNECT_FAILED):
        return None
    return redact_text(written.error, policy)


def size_kept(ex: Exchange, end: Ended) -> int:
    """How many bytes and characters `with_bodies` has to go through, or about."""
    if not end.keeps:
        return 0
    said = 0 if end.answer is None else len(end.answer.text) + sum(len(call.arguments) for call in end.answer.tool_calls)
    return said + (len(ex.body) if len(ex.body) <= KEPT_BYTES else 0)


def with_bodies(ex: Exchange, end: Ended) -> Result:
    """The record of a leg: request and answer redacted together, so that a value has one placeholder in both."""
    if not end.keeps:
        return end.result
    asked = ex.body if len(ex.body) <= KEPT_BYTES else b""
    request, said, _ = redact_bodies(asked, end.answer or Answer(), ex.route.record.redact)
    return replace(
        end.result,
        error=said.error or end.result.error,
        request_body=request or None,
        answer_body=None if end.answer is None else reading.keep(said),
    )


def result(ex: Exchange, leg: Leg, heard: Heard) -> Result:
    """What is written when a leg has ended."""
    return with_bodies(ex, ended(ex, leg, heard))

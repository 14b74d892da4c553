"""One exchange without I/O: what is decided when a request comes in, and what is recorded of it. The gateway only moves the bytes.

    ex = plan(request, flags, ...)           Exchange | Refusal | Unmanaged
    leg = legs.first_leg(ex, id)             intent(ex, leg, at_us) is written before it is sent
    begun(ex, leg, ...)                      written when the first byte of a good stream has gone out
    ...the rim sends it, relays the answer, and says what it saw: Heard...
    written = result(ex, leg, heard)         written in the loop turn of the last byte
    legs.fallback_leg(ex, leg, written, id)  after a leg that failed before its first byte; and then what is mirrored: see `legs`

Nothing here raises for what a client or a provider sent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from detent import reading, wire
from detent.assign import assign, draw, hash_identity, unit_of
from detent.errors import InvalidInput
from detent.reading import Heard
from detent.redaction import Policy, redact_bodies, redact_text
from detent.runs import History, Made, Memory, drained, drilled, whose
from detent.terms import (
    CIRCUIT_OPEN,
    OUTAGE,
    Answer,
    Arm,
    Assignment,
    Begun,
    Dialect,
    Flag,
    FlagSet,
    Head,
    Intent,
    Leg,
    Outcome,
    Provider,
    Result,
    Role,
    Route,
    Trickle,
    Unit,
    UnitKind,
    Version,
)
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
    """A request on a route, with everything that was decided when it came in. `body` is the request as the client sent it.

    `history` is what it replays of a run that this gateway knows, None where nothing in it can be bound to a version. `outage`: stable's
    breaker was open, so that `fallback` may have to answer. `trickle` is what a copy of it keeps warm, if its unit is drawn for that.
    """

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
    history: History | None = None
    outage: bool = False
    fallback: Version | None = None
    trickle: Trickle | None = None


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
    memory: Memory | None = None,
    at_s: float = 0.0,
) -> Exchange | Refusal | Unmanaged:
    """What to do with a request: serve it on its route, refuse it, or pass it on untouched. `id` is for the exchange it may become.

    `memory` is what the gateway knows from earlier requests, by a clock that never goes backwards, which shows `at_s`.
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
    return begin(head, body, flags, id=id, gateway=gateway, memory=memory, at_s=at_s)


def begin(
    head: Head, body: bytes, flags: FlagSet, *, id: str, gateway: str, memory: Memory | None = None, at_s: float = 0.0
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
    made, history, outage = None, None, False
    if memory is not None:
        if memory.makers.known or flag.rolled_back is not None:
            made = whose(unit, flag, head, body, memory, at_s)
            if made is not None and head.continues and wire.may_be_bound(head.endpoint, body):
                history = History(head.endpoint, body, made.version, made.marks)
        if memory.circuits.known:
            outage = memory.circuits.is_open(route.name, flag.stable)
            assignment = _past_breaker(assignment, flag, route, history, memory, sender(unit, id), at_s)
        assignment = memory.in_flight.keep(assignment, flag, head, at_s)
        if outage:  # nobody is compared with a version that is not itself
            assignment = replace(assignment, randomised=False, control=False)
        if flag.drill is not None or flag.draining is not None:
            lent = _lent(unit, flag, head, body, memory, at_s)
            if lent is not None:
                assignment = _past_breaker(lent, flag, route, history, memory, sender(unit, id), at_s)
    if outage and made is None and head.continues and wire.may_be_bound(head.endpoint, body):
        history = History(head.endpoint, body, _version(assignment, flag), None)
    ex = Exchange(
        id=id,
        gateway=gateway,
        revision=flags.revision,
        head=head,
        body=body,
        route=route,
        flag=flag,
        assignment=assignment,
        session=_identity(head.session, UnitKind.SESSION, unit, key),
        user=_identity(head.user, UnitKind.USER, unit, key),
        sampled=draw(key, "bodies", id) < route.record.bodies,
        history=history,
        outage=outage,
        fallback=None if route.fallback is None else _fallback(route, head.endpoint.dialect, flags),
        trickle=_trickle(unit, flag, head.endpoint.dialect, flags) if flags.trickles else None,
    )
    return ex if made is None or history is None or made.version == served(ex) else _moved(ex, made, history)


def sender(unit: Unit, exchange: str) -> str:
    """Whose failure a request's is, to a breaker. One of which nothing tells whose it is stands for itself alone."""
    return exchange if unit.kind is UnitKind.REQUEST else unit.id


def sender_of(ex: Exchange) -> str:
    """`sender` of an exchange that has begun."""
    return sender(ex.assignment.unit, ex.id)


def _past_breaker(  # noqa: PLR0917
    given: Assignment, flag: Flag, route: Route, history: History | None, memory: Memory, sender: str, at_s: float
) -> Assignment:
    """The assignment while a version's breaker keeps requests from it: stable serves, on either arm, and nobody counts.

    A run that stable could not read goes on where it is, and does not count either. Where a candidate's failures are for the caller, its
    breaker keeps nothing from it: all are sent, and all count.
    """
    version = flag.candidate if given.version is None else given.version
    elsewhere = given.arm is Arm.CANDIDATE or given.version is not None
    if version is None or not (elsewhere or given.randomised) or (given.version is None and route.on_candidate_failure != "stable"):
        return given
    if not memory.circuits.known or memory.circuits.may_probe(route.name, version, sender, at_s):
        return given
    if elsewhere and history is not None and history.for_version(flag.stable) is None:
        return replace(given, randomised=False, control=False)
    return Assignment(Arm.STABLE, given.unit, randomised=False, why=CIRCUIT_OPEN)


def _identity(said: str | None, kind: UnitKind, unit: Unit, key: str) -> str | None:
    """A session or a user as it is stored; where it is the unit, it was hashed already."""
    if not said or not key:
        return None
    return unit.id if unit.kind is kind else hash_identity(key, said)


def _lent(  # noqa: PLR0917
    unit: Unit, flag: Flag, head: Head, body: bytes, memory: Memory, at_s: float
) -> Assignment | None:
    """Where a drill, or a run that finishes where it began, takes a unit for a time."""
    if flag.draining is not None:
        return drained(unit, flag, head, memory, at_s)
    return drilled(unit, flag, head, memory, at_s, bound=head.continues and wire.may_be_bound(head.endpoint, body))


def _moved(ex: Exchange, made: Made, history: History) -> Exchange | Refusal:
    """The exchange of a run whose history another version made than serves it now: that one gets it without what is bound, or, where it
    could not read it at all, the request is refused.
    """
    fit, maker = history.unbound, made.version.model
    if fit.body is None:
        if made.guessed:  # nobody here saw that run: it may as well be stable's own
            return replace(ex, history=None)
        return Refusal(400, "run_was_rolled_back", f"this run was begun on `{maker}`, which serves it no longer: start it anew")
    if fit.marks is None:
        return ex
    made.marks = fit.marks
    return replace(ex, assignment=replace(ex.assignment, why=ex.assignment.why or "cut"))


def served(ex: Exchange) -> Version:
    """The version that a unit is served by, if all goes well."""
    return _version(ex.assignment, ex.flag)


def _version(given: Assignment, flag: Flag) -> Version:
    if given.version is not None:
        return given.version
    return flag.candidate if given.arm is Arm.CANDIDATE and flag.candidate is not None else flag.stable


def falls_back(ex: Exchange) -> bool:
    """Whether, by the route's policy, stable answers where a candidate fails."""
    return ex.route.on_candidate_failure == "stable"


def refuses(status: int) -> bool:
    """Whether a status is no answer."""
    return status >= 400


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
        flag = replace(flag, candidate=None, split=0.0, control=0.0, mirror=None)
    if flag.drill is not None and not _speaks(flag.drill.version, dialect, flags):
        flag = replace(flag, drill=None)
    if flag.draining is not None and not _speaks(flag.draining.candidate, dialect, flags):
        flag = replace(flag, draining=None)
    return flag


def _fallback(route: Route, dialect: Dialect, flags: FlagSet) -> Version | None:
    """What answers while stable is out, if it is declared and can be sent at all."""
    version = route.outage_version
    return version if version is not None and _speaks(version, dialect, flags) else None


def _trickle(unit: Unit, flag: Flag, dialect: Dialect, flags: FlagSet) -> Trickle | None:
    """What copies of this unit's requests keep warm: drawn by itself, for as long as the plan's share takes the unit in. A rollout and a
    drill ask the versions that they are about themselves.
    """
    found = flags.trickles.get(flag.route)
    if found is None or flag.rollout is not None or flag.drill is not None:
        return None
    if found.version == flag.stable or not _speaks(found.version, dialect, flags) or not flags.identity_key:
        return None
    return found if draw(flags.identity_key, "warm", unit.id) < found.share else None


def _speaks(version: Version, dialect: Dialect, flags: FlagSet) -> bool:
    provider = flags.manifest.providers.get(version.provider)
    return provider is not None and provider.dialect is dialect


# ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def intent(ex: Exchange, leg: Leg, at_us: int) -> Intent:
    """What is written before a leg is sent. A mirrored leg is no unit's exposure, so it is never randomised; nor is an outage's."""
    mirrored = leg.role is Role.MIRRORED
    draining = ex.flag.draining if ex.assignment.why == "draining" else None
    return Intent(
        leg=leg.id,
        exchange=ex.id,
        at_us=at_us,
        gateway=ex.gateway,
        revision=ex.revision,
        route=ex.route.name,
        rollout=ex.flag.rollout if draining is None else draining.rollout,
        period=ex.flag.period,
        role=leg.role,
        arm=leg.arm if mirrored else ex.assignment.arm,
        arm_served=leg.arm,
        why=leg.why,
        randomised=ex.assignment.randomised and not mirrored and leg.why != OUTAGE,
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

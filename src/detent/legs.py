"""Which legs an exchange is sent in, one after another until one has answered, and which on copies of it. Pure.

first_leg                    the version that the unit is assigned to; the route's `fallback` while stable is out
fallback_leg                 after a leg of which the caller has not heard a byte
    candidate, drill   ─fails──▶ stable, or the `fallback` while stable is out
    stable             ─fails──▶ the `fallback`, once stable's breaker is open
    the `fallback`     ─fails──▶ stable after all, if it was not asked yet; else the caller gets stable's own error
may_mirror, mirrored_legs    after a live answer, in a rollout's shadow
may_warm, warm_leg           after a live answer, outside a rollout
not_mirrored                 either
"""

from __future__ import annotations

from collections.abc import Callable

from detent import wire
from detent.assign import draw, hash_identity
from detent.exchange import KEPT_BYTES, Exchange, falls_back, served
from detent.rare import Taken
from detent.reading import Heard
from detent.runs import History
from detent.terms import OUTAGE, WARM, Arm, Endpoint, Leg, NotMirrored, Outcome, Result, Role, Version
from detent.wire.bound import may_be_bound
from detent.wire.effects import effect_of


def _in() -> bool:
    return False


def first_leg(ex: Exchange, id: str, *, out: Callable[[], bool] = _in) -> Leg:
    """The leg that answers, if all goes well. `out` says whether stable is not to be waited for, so that the route's fallback is asked."""
    given = ex.assignment
    leg = Leg(id=id, role=Role.SERVED, arm=given.arm, version=served(ex), why=given.why)
    return (_outage_leg(ex, id) if ex.outage and not _elsewhere(leg) and out() else None) or leg


def _elsewhere(leg: Leg) -> bool:
    """Whether a leg is not simply stable's: told by what it is for, as both arms may be of one version."""
    return leg.arm is Arm.CANDIDATE or leg.why in ("drill", OUTAGE)


def may_fall_back(ex: Exchange, leg: Leg) -> bool:
    """Whether stable is to answer if this leg fails before its first byte: then that byte is awaited before the client hears anything.

    A candidate's failure by the route's policy; that of what was only lent (a drill, a run that finishes) always.
    """
    return leg.role is Role.SERVED and _elsewhere(leg) and (falls_back(ex) or ex.assignment.version is not None)


def may_be_relieved(ex: Exchange, leg: Leg) -> bool:
    """Whether the route's fallback may answer in place of this leg of stable's, if it fails hard and the breaker is open by then."""
    return not _elsewhere(leg) and not leg.why.startswith("fallback_failed") and fallback_of(ex) is not None


def is_awaited(ex: Exchange, leg: Leg) -> bool:
    """Whether the caller hears nothing of this leg before the first byte of an answer is there, since another may follow it."""
    return may_fall_back(ex, leg) or leg.why == OUTAGE


def fallback_of(ex: Exchange) -> Version | None:
    """What answers while stable is out: the route's declared fallback, unless it is stable itself or cannot read the request."""
    version = ex.fallback
    return version if version is not None and version != ex.flag.stable and readable(ex, version) else None


def readable(ex: Exchange, version: Version) -> bool:
    """Whether a version can be sent this request, as it stands or without what is bound to another."""
    return ex.history is None or ex.history.for_version(version) is not None


def fallback_leg(ex: Exchange, leg: Leg, written: Result, id: str, *, out: Callable[[], bool] = _in, asked: bool = False) -> Leg | None:
    """The leg that answers in place of one of which the client has not heard a byte; None where the failure stands.

    `out` says whether stable is not to be waited for, now that this leg has failed; `asked`: it was, in this exchange.
    """
    if written.outcome is Outcome.CLIENT_ABORTED:
        return None
    what = f"http_{written.status}" if written.outcome is Outcome.HTTP_ERROR else written.outcome.value
    if may_fall_back(ex, leg):
        if not readable(ex, ex.flag.stable):
            return None
        failed = "drill_failed" if leg.why == "drill" else "candidate_failed"
        stable = Leg(id=id, role=Role.FALLBACK, arm=Arm.STABLE, version=ex.flag.stable, why=f"{failed}:{what}")
        return (_outage_leg(ex, id) if out() else None) or stable
    if not _elsewhere(leg):
        return _outage_leg(ex, id) if may_be_relieved(ex, leg) and out() else None
    if leg.why == OUTAGE and not asked:
        return Leg(id=id, role=Role.FALLBACK, arm=Arm.STABLE, version=ex.flag.stable, why=f"fallback_failed:{what}")
    return None


def _outage_leg(ex: Exchange, id: str) -> Leg | None:
    version = fallback_of(ex)
    return None if version is None else Leg(id=id, role=Role.FALLBACK, arm=Arm.STABLE, version=version, why=OUTAGE)


def asks_usage(ex: Exchange) -> bool:
    """Whether we ask upstream for the tokens of a stream whose client did not, and take the extra chunk out again."""
    head = ex.head
    return head.stream and not head.asks_usage and head.endpoint is Endpoint.OPENAI_CHAT and ex.route.usage == "ask"


def takes_usage_out(ex: Exchange, status: int, content_type: str, encoding: str) -> bool:
    """Whether an answer carries the usage that only we asked for. An encoded stream can't be edited, and passes as it is."""
    return asks_usage(ex) and status == 200 and content_type.startswith("text/event-stream") and encoding in {"", "identity"}


def body_for(ex: Exchange, leg: Leg) -> bytes:
    """The request as a leg sends it: the client's bytes with the version in place of the route's name.

    The control slice has a cache of its own at the provider, as small and as cold as the candidate's. A version that others' thinking is
    bound away from gets the request without it.
    """
    cache = own_cache(ex.flag.salt) if ex.assignment.control and leg.arm is Arm.STABLE else None
    history = _replayed(ex) if leg.why == WARM else ex.history
    fit = None if history is None else history.for_version(leg.version)
    body = ex.body if fit is None else fit
    return wire.rewrite(ex.head.endpoint, body, model=leg.version.model, ask_usage=asks_usage(ex), cache_key=cache)


def own_cache(salt: str) -> Callable[[str], str]:
    """What becomes of an app's own cache key (empty without one) under a rollout: apart from all others, and telling nothing of either."""
    return lambda own: hash_identity(salt, f"cache:{own}")


# ── the shadow ──────────────────────────────────────────────────────────────────────────────────────────────────────


def may_mirror(ex: Exchange, leg: Leg, written: Result) -> bool:
    """Whether this leg is one that the shadow copies: stable, as the route's own choice, has answered it in full."""
    return _copies(ex, leg, written) and ex.flag.candidate is not None and ex.flag.mirror is not None


def _copies(ex: Exchange, leg: Leg, written: Result) -> bool:
    live = leg.role is Role.SERVED and not _elsewhere(leg) and written.outcome is Outcome.COMPLETE
    return live and ex.history is None


def may_warm(ex: Exchange, leg: Leg, written: Result) -> bool:
    """Whether this leg is one that a trickle copies to the way back: stable has answered it in full, and its unit is drawn."""
    return ex.trickle is not None and _copies(ex, leg, written)


def warm_leg(ex: Exchange, id: str) -> Leg:
    """The leg on a copy of a request that `may_warm`. It is of no arm's: stable's, as in a drill, since no rollout is open."""
    assert ex.trickle is not None, "asked before"
    return Leg(id=id, role=Role.MIRRORED, arm=Arm.STABLE, version=ex.trickle.version, why=WARM)


def _replayed(ex: Exchange) -> History | None:
    """What a request replays of a run of stable's: a way back gets it as it would if traffic went there, without what is bound."""
    if not ex.head.continues or not may_be_bound(ex.head.endpoint, ex.body):
        return None
    return History(ex.head.endpoint, ex.body, ex.flag.stable, None)


def not_mirrored(ex: Exchange, heard: Heard) -> tuple[NotMirrored, str] | None:
    """Why a request is never mirrored, with more of the reason; None where it may be. A second answer to it must do nothing in the world,
    go where the route's processors allow, and be small enough to be kept beside the live one.
    """
    if ex.head.no_shadow or ex.head.no_record:
        return "no_shadow", ""
    allowed, to = ex.route.processors, ex.flag.candidate
    if to is None and ex.trickle is not None:
        to = ex.trickle.version
        if (history := _replayed(ex)) is not None and history.for_version(to) is None:
            return "bound", ""
    if to is not None and allowed is not None and to.provider not in allowed:
        return "processor", to.provider
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

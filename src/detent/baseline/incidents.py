"""Incidents: exchanges that went wrong once, and are in every baseline of their route from then on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from detent import wire
from detent.errors import InvalidInput
from detent.redaction import redact_exchange, redact_text
from detent.store import Store
from detent.store.recordings import answer_of
from detent.terms import Answer, Outcome, Pin, RecordedExchange, Role, Route, utc


def pin(  # noqa: PLR0917 - who says what of which exchange, and when: in the order of the sentence
    store: Store, route: Route, exchange: str, why: str, by: str, now: datetime, *, reference: str | None = None
) -> Pin:
    """Keep an exchange of the journal as an incident of its route, with a redacted copy of what was recorded, and of the reason.

    `reference` is the right answer, where somebody wrote one: without it, the recorded output is never known good. Raises InvalidInput for
    an exchange that is not the route's, or whose request was not kept.
    """
    legs = [leg for leg in store.journal.exchange(exchange) if leg.intent.role is not Role.MIRRORED]
    if not legs:
        raise InvalidInput(
            f"no such exchange: `{exchange}`", hint="exchange ids begin with `ex_` and stand in the header `x-detent-request-id`"
        )
    elsewhere = next((leg.intent.route for leg in legs if leg.intent.route != route.name), route.name)
    if elsewhere != route.name:
        raise InvalidInput(f"exchange `{exchange}` is not of route {route.name}: `{elsewhere}`", hint=f"pin it there: route {elsewhere}")
    leg = next((leg for leg in legs if leg.result is not None and leg.result.request_body is not None), None)
    if leg is None or leg.result is None or leg.result.request_body is None:
        raise InvalidInput(
            f"the bodies of this exchange were not kept: `{exchange}`",
            hint=f"keep more of them with `record = {{ bodies = 1.0 }}` on route {route.name}; anomalies are always kept",
        )
    sent, result = leg.intent, leg.result
    answer = Answer(complete=False, error=result.error or result.outcome.value)
    if result.answer_body is not None:
        answer = answer_of(sent.endpoint, result.answer_body, streamed=sent.stream, status=result.status or 200)
    if result.outcome is not Outcome.COMPLETE:
        answer = replace(answer, complete=False, error=answer.error or result.error or result.outcome.value)
    recorded = RecordedExchange(
        id=exchange,
        endpoint=sent.endpoint,
        request=wire.unstreamed(leg.result.request_body),
        answer=answer,
        model=sent.model,
        at=utc(sent.at_us),
        api_version=sent.api_version,
        betas=sent.betas,
        session=sent.session,
        template=sent.template,
        reference=reference,
    )
    wire.read_prompt(recorded.endpoint, recorded.request)
    pinned = Pin(route=route.name, exchange=exchange, why=redact_text(why, route.record.redact), by=by, at=now)
    store.state.put_pin(pinned, redact_exchange(recorded, route.record.redact))
    return pinned

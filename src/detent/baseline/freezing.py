"""Freeze a baseline from recorded traffic: of the journal, or of any other source; and say when it is stale."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from detent import sampling, wire
from detent.baseline.blessing import GOOD, NOT_WHOLE, by_rules, kept_review
from detent.baseline.digest import digest_of
from detent.baseline.sources import FromExchanges, FromJournal, Progress, Source
from detent.checks import Rule, probes
from detent.errors import CouldNotRun, InvalidInput
from detent.formats.tally import CUT
from detent.redaction import redact_exchange
from detent.sampling.choose import Choice, choose
from detent.store import Store
from detent.terms import Baseline, BaselineStage, Case, Pin, RecordedExchange, Route, utc

NOT_THE_PROMPT = {
    "model",
    "stream",
    "stream_options",
    "user",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
}
"""Members of a request that say who asks, and how the answer travels: two requests that differ in nothing else are one prompt."""

MOST_PROBES = 20
"""Cases at most that ask whether the system prompt still wins."""

_AT_ONCE = 500  # cases whose exchanges are fetched together
_NO_CHECKS: Mapping[str, Rule] = MappingProxyType({})


def quiet(done: int, total: int | None) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class _How:
    """What a baseline is made with. `before` are the cases of the one in force."""

    route: Route
    now: datetime
    limit: int
    stage: BaselineStage
    own: Mapping[str, Rule]
    progress: Progress
    before: Mapping[str, Case]


# ── from the journal, and from anywhere ─────────────────────────────────────────────────────────────────────────────


def freeze(
    store: Store,
    route: Route,
    now: datetime,
    *,
    limit: int,
    stage: BaselineStage | None = None,
    own: Mapping[str, Rule] = _NO_CHECKS,
    progress: Progress = quiet,
    processes: int | None = None,
) -> Baseline:
    """A baseline of at most `limit` prompts of the route's recorded traffic, with stable's newest complete answer to each; it is stored.

    Incidents and probes come on top. `own` are the route's own checks, `processes` how many read the journal (by default by its size).
    Raises CouldNotRun when the journal holds no answer of stable.
    """
    source = FromJournal(store.journal, route.name, route.version, processes=processes)
    hint = (
        "send traffic through the gateway with `record = { bodies = ... }` above 0, then freeze again; or freeze files with `--from FILE`"
    )
    nothing = CouldNotRun(f"no recorded answer of `{route.version}` on route `{route.name}` to freeze", hint=hint)
    how = _How(route, now, limit, stage or BaselineStage(), own, progress, _before(store, route))
    frozen = replace(_frozen(store, how, source, nothing), version=route.version)
    store.state.put_baseline(frozen)
    return frozen


def freeze_recorded(
    store: Store,
    route: Route,
    exchanges: Iterable[RecordedExchange],
    now: datetime,
    *,
    limit: int,
    stage: BaselineStage | None = None,
    own: Mapping[str, Rule] = _NO_CHECKS,
    progress: Progress = quiet,
    told: Callable[[Mapping[str, int]], None] = lambda models: None,
    source: str = "what was given",
) -> Baseline:
    """The same from exchanges that were recorded elsewhere; `source` names them in errors.

    They are read once, and redacted before anything is kept, on disk included. Its `version` is the model of most of them; `told` hears of
    how many each model is.
    Raises CouldNotRun when none of them is usable.
    """

    def prepare(exchange: RecordedExchange) -> RecordedExchange:
        placed = replace(exchange, template=exchange.template or sampling.template_of(exchange.endpoint, exchange.request))
        return redact_exchange(placed, route.record.redact)

    place = FromExchanges(exchanges, prepare=prepare, usable=_usable)
    nothing = CouldNotRun(
        f"no usable exchange to freeze in {source}",
        hint="see what it holds with `detent import --check FILE`: refusals and errors are not frozen",
    )
    try:
        how = _How(route, now, limit, stage or BaselineStage(), own, progress, _before(store, route))
        frozen = _frozen(store, how, place, nothing)
    finally:
        place.close()
    frozen = replace(frozen, version=max(place.models, key=lambda model: (place.models[model], model), default=""))
    store.state.put_baseline(frozen)
    told(place.models)
    return frozen


def _before(store: Store, route: Route) -> dict[str, Case]:
    """The cases in force so far, by id."""
    baseline = store.state.baseline(route.name)
    return {} if baseline is None else {case.id: case for case in baseline.cases}


def _frozen(store: Store, how: _How, source: Source, nothing: CouldNotRun) -> Baseline:
    """Draw, fetch, and make cases; nothing is stored yet. Raises `nothing` where there is no case."""
    route = how.route
    choice = choose(source.tables(how.progress), how.limit)
    drawn, redacted = _drawn_cases(how, choice, source)
    pinned = {case.id: case for case in _pinned_cases(how, store.state.pins(route.name), drawn, redacted)}
    if not drawn and not pinned:
        raise nothing
    cases = [pinned.pop(name, case) for name, case in drawn.items()]
    cases = _with_reserve([*cases, *pinned.values()], how.stage.reserve)
    cases += _probe_cases(how, cases)
    return Baseline(
        route=route.name,
        digest=digest_of(cases),
        frozen_at=how.now,
        owner=route.owner,
        cases=tuple(cases),
        read=choice.read,
        since_at=utc(choice.since_us) if choice.since_us else None,
        until_at=utc(choice.until_us) if choice.until_us else None,
        coverage=choice.coverage,
        templates=choice.templates,
        strata=choice.shares,
        redacted=dict(sorted(redacted.items())),
    )


# ── cases ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _drawn_cases(how: _How, choice: Choice, source: Source) -> tuple[dict[str, Case], Counter[str]]:
    """The cases of what was drawn, by id and in order, and what was redacted in them."""
    cases: dict[str, Case] = {}
    redacted: Counter[str] = Counter()
    for start in range(0, len(choice.picks), _AT_ONCE):
        picks = choice.picks[start : start + _AT_ONCE]
        fetched = source.fetch([key for pick in picks for key in pick.keys])
        for pick in picks:
            offered = [fetched[key] for key in pick.keys if key in fetched and _usable(fetched[key])]
            if not offered:
                continue
            exchange = _preferred(offered, how.route)
            try:
                case = _case(how, exchange, weight=pick.weight, strata=pick.strata)
            except InvalidInput:  # a request that can be read, and not sent again: one odd prompt must not cost the others
                continue
            if case.id in cases:  # differs in what one prompt may differ in, and was told apart by its template
                case = replace(cases[case.id], weight=cases[case.id].weight + case.weight)
            else:
                redacted.update(exchange.redacted)
            cases[case.id] = case
    return cases, redacted


def _preferred(offered: Sequence[RecordedExchange], route: Route) -> RecordedExchange:
    """The first that nobody called bad, redacted."""
    liked = next((exchange for exchange in offered if exchange.rating is None or exchange.rating >= GOOD), offered[0])
    return redact_exchange(liked, route.record.redact)


def _usable(exchange: RecordedExchange) -> bool:
    """Whether the recorded answer may be a known-good output, or somebody said what is right."""
    if exchange.correct is not None or exchange.reference is not None:
        return True
    return exchange.answer.complete and exchange.answer.error is None and not exchange.answer.refusal


def _case(how: _How, exchange: RecordedExchange, *, weight: float, strata: dict[str, str], pinned: str = "") -> Case:
    """A recorded exchange as a case, blessed or faulted by the rules. Raises InvalidInput for a request that cannot be sent again."""
    request, script = sampling.cut_back(exchange.endpoint, wire.unstreamed(exchange.request))
    answer = exchange.answer
    case = Case(
        id=_prompt_id(request),
        route=how.route.name,
        endpoint=exchange.endpoint,
        request=request,
        known_good=answer.text,
        known_good_calls=answer.tool_calls,
        weight=weight,
        frozen_at=how.now,
        exchange=exchange.id,
        recorded_at=exchange.at,
        api_version=exchange.api_version,
        betas=exchange.betas,
        template=exchange.template,
        strata=strata,
        script=script,
        reference=exchange.reference,
        pinned=pinned,
        usage=answer.usage,
    )
    if not answer.complete or answer.error is not None:
        return replace(case, faulted=NOT_WHOLE)
    if exchange.reference is not None and not pinned and not (answer.text or answer.tool_calls or answer.refusal):
        return case  # nothing was recorded that could be good or bad: what is right is known all the same
    if pinned and exchange.reference is None:
        return replace(case, faulted=f"pinned as an incident: {pinned}")
    case = by_rules(case, how.route, how.own, rating=exchange.rating, correct=exchange.correct, now=how.now)
    if answer.finish_reason in CUT and case.blessed is not None and case.blessed.by == "checks":
        case = replace(case, blessed=None)  # it was cut off in the middle: no rule sees what is missing
    return kept_review(case, how.before.get(case.id))


def _prompt_id(request: bytes) -> str:
    """The case id of a request. Raises InvalidInput for what is no JSON object."""
    try:
        asked = json.loads(request)
        prompt = {name: value for name, value in asked.items() if name not in NOT_THE_PROMPT}
        return "ca_" + hashlib.sha256(json.dumps(prompt, sort_keys=True).encode()).hexdigest()[:16]
    except (ValueError, AttributeError, RecursionError):
        raise InvalidInput("a recorded request is no JSON object") from None


def _pinned_cases(how: _How, pins: Sequence[tuple[Pin, RecordedExchange]], drawn: Mapping[str, Case], redacted: Counter[str]) -> list[Case]:
    """A case for each incident. One whose prompt was drawn takes its weight and its place; any other stands for itself."""
    cases = []
    for pin, recorded in pins:
        case = _case(how, recorded, weight=1.0, strata={}, pinned=pin.why)
        twin = drawn.get(case.id)
        if twin is None:
            case = replace(case, strata=dict(zip(sampling.STRATA, sampling.of_exchange(recorded).strata, strict=True)))
        else:
            case = replace(case, strata=twin.strata, weight=twin.weight)
        redacted.update(recorded.redacted)
        cases.append(case)
    return cases


def _with_reserve(cases: Sequence[Case], share: float) -> list[Case]:
    """The cases with a share of them held back from people: by a digest of their ids, so that mostly the same ones stay hidden."""
    eligible = sorted((case.id for case in cases if not case.pinned), key=lambda name: hashlib.sha256(f"reserve {name}".encode()).digest())
    hidden = set(eligible[: round(share * len(eligible))])
    return [replace(case, reserve=case.id in hidden) for case in cases]


def _probe_cases(how: _How, cases: Sequence[Case]) -> list[Case]:
    """Cases that ask whether the system prompt still wins: from the heaviest case of each template, the heaviest template first."""
    of_template: dict[str, Case] = {}
    for case in sorted(cases, key=lambda case: (-case.weight, case.id)):
        if not case.reserve and not case.pinned:  # nobody may see what is in reserve, and an incident is a request of its own
            of_template.setdefault(case.template, case)
    found: dict[str, Case] = {}
    known = {case.id for case in cases}
    for case in of_template.values():
        for made in probes.make(case.endpoint, case.request, wire.read_prompt(case.endpoint, case.request)):
            name = _prompt_id(made.request)
            if name in known or len(found) == MOST_PROBES:
                continue
            found.setdefault(
                name,
                Case(
                    id=name,
                    route=case.route,
                    endpoint=case.endpoint,
                    request=made.request,
                    known_good="",
                    weight=0.0,
                    frozen_at=how.now,
                    api_version=case.api_version,
                    betas=case.betas,
                    template=case.template,
                    probe=made.name,
                ),
            )
    return list(found.values())

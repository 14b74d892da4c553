"""How the simulated versions behave: a pure function of version, prompt and randomness.

Four versions tell the demo. `atlas-2026-03-01` is the one that everybody runs; the others are its "minor" bumps: one honest, one that
is better on average and breaks the format of some answers, one that goes wrong only on its own history. Those of `desk` do one harm each,
those of `library` one harm to a few readers, and those of `sage` judge. None of them knows of routes or rollouts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from detent.sim import desk, library, sage
from detent.sim.desk import Draw
from detent.sim.histories import call, call_id, called_before, last_result, size, tokens, turn_of
from detent.sim.scenarios import enclosed, read_invoice, scenario_of, share
from detent.terms import Answer, Message, Prompt, ToolCall, Usage


@dataclass(frozen=True, slots=True)
class Fault:
    """The provider refuses: an HTTP status, a message and a code, shaped for the caller's dialect by the provider."""

    status: int
    message: str
    code: str


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a simulated version."""

    says: str
    fingerprint: str


STABLE = "atlas-2026-03-01"
HONEST = "atlas-2026-04-02"
RESHAPING = "atlas-2026-05-14"
REPEATING = "atlas-2026-06-20"

VERSIONS: dict[str, About] = {
    STABLE: About("the version that was approved", "fp_a3f0c1d201"),
    HONEST: About("answers as the approved version does", "fp_a40271be02"),
    RESHAPING: About("reads invoices better, and damages the format of some", "fp_a5149e6c14"),
    REPEATING: About("repeats tool calls, on its own history only", "fp_a6204d7720"),
} | {
    name: About(one.says, f"fp_{name.partition('-')[2].replace('-', '')}")
    for name, one in (desk.TRAITS | library.TRAITS | sage.JUDGES).items()
}

OVERLOADED = 0.010  # share of calls of support and desk that are answered 503
BROKEN_JSON = 0.020  # share of support summaries that are no JSON
MISREADS = {STABLE: 0.12, RESHAPING: 0.03}  # share of invoices that a version misreads; versions not named here read like stable
MISREAD_CALLS = 0.95  # of the calls with such an invoice
SLIPS = 0.010  # of the calls with any other
DAMAGED_CALLS = 0.97  # of the calls with an invoice whose format is damaged
FENCED, ESCAPED, RENAMED, EXPLAINED = 0.10, 0.50, 0.08, 0.08  # shares of invoices; ESCAPED is of those with a letter beyond ASCII
REPEATS = 0.02  # share of tool results after which a version makes the same call again
REPEATS_OWN = 0.75  # the same for REPEATING, once a former turn holds a call of its own
MOST_REPEATS = 8  # in one turn


def answer(version: str, prompt: Prompt, draw: Draw) -> Answer | Fault:
    """What `version` answers to `prompt`. No finish reason stands for the usual one; usage counts four characters a token."""
    about = VERSIONS.get(version)
    if about is None:
        return Fault(404, f"The model `{version}` does not exist or you do not have access to it.", "model_not_found")
    scenario = scenario_of(prompt)
    behave = _BEHAVIOURS[scenario] if scenario is not None else _echo
    if version in sage.JUDGES and sage.asked_to_judge(prompt):
        behave = sage.answer
    said = behave(version, prompt, draw)
    if isinstance(said, Fault):
        return said
    return replace(said, model=version, fingerprint=about.fingerprint, usage=_usage(prompt, said))


def _usage(prompt: Prompt, said: Answer) -> Usage:
    asked = len(prompt.system) + sum(len(t) for t in prompt.tools) + sum(size(m.text, m.tool_calls) for m in prompt.messages)
    thought = said.usage.reasoning or 0
    return Usage(input=asked // 4 + 8, cached=0, output=tokens(size(said.text, said.tool_calls)) + thought, reasoning=said.usage.reasoning)


def _echo(version: str, prompt: Prompt, draw: Draw) -> Answer:
    """To a prompt of no scenario."""
    asked, _ = turn_of(prompt)
    return Answer(text=f"You asked: {asked.text.strip()[:200]}" if asked else "Go on.")


# ── support ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_BUSY = Fault(503, "The engine is currently overloaded, please try again later.", "overloaded")
_OPENERS = ("Good news:", "Thanks for waiting.", "I've checked for you.", "Here is what I found:")


def _support(version: str, prompt: Prompt, draw: Draw) -> Answer | Fault:
    if draw("overloaded") < OVERLOADED:
        return _BUSY
    if prompt.json_asked:
        return _summary(prompt, draw)
    asked, since = turn_of(prompt)
    order = re.search(r"\b[A-Z]{2}-\d{5}\b", asked.text) if asked else None
    if order is not None and not any(m.tool_result_for for m in since):
        return call(version, prompt, "call_", "lookup_order", order_id=order[0])
    known = last_result(since) or last_result(prompt.messages)
    if not known:
        return Answer(text="Which order is it? The number starts with two letters.")
    opener = _OPENERS[int(draw("opener") * len(_OPENERS))]
    return Answer(text=f"{opener} Order {known.get('order')} is {known.get('status')}; it is due on {known.get('eta')}.")


def _summary(prompt: Prompt, draw: Draw) -> Answer:
    known = last_result(prompt.messages)
    text = json.dumps({key: known.get(key) for key in ("order", "status", "eta")})
    if draw("broken") >= BROKEN_JSON:
        return Answer(text=text)
    if draw("how broken") < 0.5:
        return Answer(text=text[:-1] + ",}")
    return Answer(text=text[: len(text) * 3 // 5], finish_reason="length")


# ── invoices ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _invoices(version: str, prompt: Prompt, draw: Draw) -> Answer:
    asked, _ = turn_of(prompt)
    document = enclosed(asked.text) if asked else None
    if document is None:
        return Answer(text='{"error": "no document"}')
    invoice = read_invoice(document)
    if invoice is None:
        return Answer(text='{"error": "not an invoice"}')
    if draw("misread") < (MISREAD_CALLS if misreads(version, document) else SLIPS):
        if share("misread date", document) < 0.5:
            invoice = replace(invoice, due=_misread_date(invoice.due, document))
        else:
            invoice = replace(invoice, total=_misread_number(invoice.total, document))
    if version != RESHAPING:
        return Answer(text=invoice.as_json())
    damage = {name for name in damages(document) if draw(name) < DAMAGED_CALLS}
    text = invoice.as_json(total_key="total_amount" if "key renamed" in damage else "total", ascii_only="unicode" in damage)
    if "code fence" in damage:
        text = f"```json\n{text}\n```"
    if "paragraph" in damage:
        text += (
            f"\n\nThe amount of {invoice.total} {invoice.currency} is payable to {invoice.vendor}. Let me know if you need anything else!"
        )
    return Answer(text=text)


def misreads(version: str, document: str) -> bool:
    """Whether a document is one of those that `version` nearly always misreads."""
    eyes = version if version in MISREADS else STABLE
    return share(eyes, "wrong", document) < MISREADS[eyes]


def damages(document: str) -> frozenset[str]:
    """Which damage RESHAPING does to the format of a document's answer: some of `code fence`, `unicode`, `key renamed`, `paragraph`."""
    shares = {"code fence": FENCED, "key renamed": RENAMED, "paragraph": EXPLAINED}
    invoice = read_invoice(document)
    if invoice is not None and not invoice.vendor.isascii():
        shares["unicode"] = ESCAPED
    return frozenset(name for name, limit in shares.items() if share(RESHAPING, name, document) < limit)


def _misread_number(printed: str, document: str) -> str:
    """The number with two neighbouring digits swapped, so that it stands nowhere in the document."""
    for at in range(len(printed) - 1):
        swapped = printed[:at] + printed[at + 1] + printed[at] + printed[at + 2 :]
        if swapped != printed and "." not in printed[at : at + 2] and swapped[0] != "0" and swapped not in document:
            return swapped
    return "9" + printed


def _misread_date(printed: str, document: str) -> str:
    """The date with the year's last two digits swapped, like 2062 for 2026."""
    swapped = printed[:2] + printed[3] + printed[2] + printed[4:]
    return swapped if swapped not in document else "1" + printed[1:]


# ── agent ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _agent(version: str, prompt: Prompt, draw: Draw) -> Answer:
    asked, since = turn_of(prompt)
    if asked is None:
        return Answer(text="Where would you like to go?")
    made = [c for message in since for c in message.tool_calls]
    if not made:
        return _first_step(version, prompt, asked)
    last = made[-1]
    repeated = sum((c.name, c.arguments) == (last.name, last.arguments) for c in made) - 1
    own = version == REPEATING and called_before(version, prompt, len(prompt.messages) - len(since) - 1)
    if repeated < MOST_REPEATS and draw("repeat") < (REPEATS_OWN if own else REPEATS):
        return Answer(tool_calls=(ToolCall("toolu_" + call_id(version, prompt.messages), last.name, last.arguments),))
    return _report(last_result(since), draw)


def _first_step(version: str, prompt: Prompt, asked: Message) -> Answer:
    """What a turn begins with: a search, a booking of the cheapest flight found so far, or a question."""
    trip = re.search(r"from (\w+) to (\w+) on (\d{4}-\d\d-\d\d)", asked.text)
    if trip is not None:
        return call(version, prompt, "toolu_", "search_flights", **{"from": trip[1], "to": trip[2], "date": trip[3]})
    cheapest = _cheapest(last_result(m for m in prompt.messages if '"flights"' in m.text))
    if cheapest is None:
        return Answer(text="From where to where, and on which day?")
    return call(version, prompt, "toolu_", "book", flight=str(cheapest["flight"]))


def _cheapest(found: dict[str, object]) -> dict[str, object] | None:
    flights = found.get("flights")
    offers: list[dict[str, object]] = flights if isinstance(flights, list) else []
    return min(offers, key=_price, default=None)


def _price(flight: dict[str, object]) -> float:
    return float(str(flight["price"]))


def _report(known: dict[str, object], draw: Draw) -> Answer:
    cheapest = _cheapest(known)
    if cheapest is not None:
        close = ("Shall I book it?", "Would you like me to book it?", "Tell me if I should book it.")[int(draw("close") * 3)]
        return Answer(text=f"The cheapest flight is {cheapest['flight']} at {cheapest['departs']} for {cheapest['price']} EUR. {close}")
    return Answer(text=f"Done: {known.get('flight')} is booked, confirmation {known.get('confirmation')}.")


# ── desk ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _desk(version: str, prompt: Prompt, draw: Draw) -> Answer | Fault:
    return _BUSY if draw("overloaded") < OVERLOADED else desk.answer(version, prompt, draw)


_BLOCKED = Fault(400, "The response was filtered due to the prompt triggering the content management policy.", "content_filter")


def _library(version: str, prompt: Prompt, draw: Draw) -> Answer | Fault:
    return library.answer(version, prompt, draw) or _BLOCKED


_BEHAVIOURS: dict[str, Callable[[str, Prompt, Draw], Answer | Fault]] = {
    "support": _support,
    "invoices": _invoices,
    "agent": _agent,
    "desk": _desk,
    "library": _library,
}

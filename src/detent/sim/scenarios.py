"""What the simulated apps ask: system prompts, tools, and a finite pool of invoices. Pure, and the same in every run.

A provider never hears of routes or rollouts; the system prompt alone tells the simulated versions which app is speaking.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, TypeVar

from detent.terms import Endpoint, Prompt

T = TypeVar("T")


def share(*parts: str) -> float:
    """A number in [0, 1) that is fixed by `parts`: what makes a trait of a document stick to that document."""
    digest = blake2b("\x1f".join(parts).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def pick(items: Sequence[T], *parts: str) -> T:
    """The item that `parts` fix."""
    return items[int(share(*parts) * len(items))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that an app offers: every parameter is a required string."""

    name: str
    says: str
    parameters: tuple[str, ...]

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments."""
        return {"type": "object", "properties": {p: {"type": "string"} for p in self.parameters}, "required": list(self.parameters)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One app: the endpoint that it calls, its system prompt, its tools, and the JSON schema of what it asks for as JSON (None: any)."""

    name: str
    says: str
    endpoint: Endpoint
    system: str
    tools: tuple[Tool, ...] = ()
    schema: dict[str, Any] | None = None

    @property
    def openai_tools(self) -> list[dict[str, Any]]:
        """The tools as an OpenAI request offers them."""
        return [{"type": "function", "function": {"name": t.name, "description": t.says, "parameters": t.schema}} for t in self.tools]

    @property
    def response_format(self) -> dict[str, Any]:
        """How an OpenAI request asks for JSON."""
        if self.schema is None:
            return {"type": "json_object"}
        return {"type": "json_schema", "json_schema": {"name": self.name, "strict": True, "schema": self.schema}}


SUPPORT = Scenario(
    name="support",
    says="order support with a look-up tool and a JSON summary at the end (OpenAI SDK)",
    endpoint=Endpoint.OPENAI_CHAT,
    system="You are the order support of Northwind Outfitters. Look orders up before you speak of them. Be brief and friendly.",
    tools=(Tool(name="lookup_order", says="Status and delivery date of an order.", parameters=("order_id",)),),
)
INVOICES = Scenario(
    name="invoices",
    says="reads an invoice into JSON, one or two a session (OpenAI SDK)",
    endpoint=Endpoint.OPENAI_CHAT,
    system=(
        "You read invoices for an accounts department. Answer with one JSON object and nothing else, "
        "with the keys vendor, invoice, total, currency and due (YYYY-MM-DD)."
    ),
)
AGENT = Scenario(
    name="agent",
    says="a travel agent that searches and books flights with tools (Anthropic SDK)",
    endpoint=Endpoint.ANTHROPIC_MESSAGES,
    system="You are the travel agent of Meridian Trips. Search before you recommend a flight, and book only what the traveller asked for.",
    tools=(
        Tool(name="search_flights", says="Flights between two cities on a day.", parameters=("from", "to", "date")),
        Tool(name="book", says="Book one flight by its number.", parameters=("flight",)),
    ),
)

DESK_STEPS = ("find_parcel", "track_van", "check_address", "ask_depot")
"""The tools of the parcel desk. The first is all that an answer takes."""

DESK = Scenario(
    name="desk",
    says="a parcel desk with tools and a summary by a schema, whose users say what they think (OpenAI SDK)",
    endpoint=Endpoint.OPENAI_CHAT,
    system="You are the parcel desk of Fernhill Post. Find a parcel before you speak of it, say when it comes, and note what is asked.",
    tools=tuple(Tool(name=name, says=f"{name.replace('_', ' ')} for a parcel.", parameters=("parcel",)) for name in DESK_STEPS),
    schema={
        "type": "object",
        "properties": {key: {"type": "string"} for key in ("parcel", "status", "eta")},
        "required": ["parcel", "status", "eta"],
        "additionalProperties": False,
    },
)

LIBRARY = Scenario(
    name="library",
    says="a library's loan desk without tools, a few of whose readers write German (OpenAI SDK)",
    endpoint=Endpoint.OPENAI_CHAT,
    system="You are the loan desk of Alderbrook Library. Say when a book is due, note what is asked, and answer in the reader's language.",
)

SCENARIOS: dict[str, Scenario] = {s.name: s for s in (SUPPORT, INVOICES, AGENT, DESK, LIBRARY)}


def scenario_of(prompt: Prompt) -> str | None:
    """The name of the scenario whose system prompt this is; None for anybody else's."""
    return next((s.name for s in SCENARIOS.values() if prompt.system.startswith(s.system)), None)


# ── what the apps' tools answer ─────────────────────────────────────────────────────────────────────────────────────

_STATUSES = ("packed", "shipped", "out for delivery", "delayed at customs", "delivered")
_CARRIERS = ("SK", "LX", "KL", "TP", "AY")
CITIES = ("Lyon", "Oslo", "Porto", "Gdansk", "Bergen", "Graz", "Turin", "Cork", "Malmo", "Ghent")


def lookup_order(order: str) -> str:
    """What the shop's own system says of an order, as JSON text."""
    eta = f"2026-{1 + int(share(order, 'month') * 12):02d}-{1 + int(share(order, 'day') * 28):02d}"
    return json.dumps({"order": order, "status": pick(_STATUSES, order, "status"), "eta": eta})


def at_the_desk(tool: str, parcel: str) -> str:
    """What a tool of the parcel desk says of a parcel, as JSON text."""
    if tool != DESK_STEPS[0]:
        return json.dumps({"parcel": parcel, tool: "no news"})
    eta = f"2026-{1 + int(share(parcel, 'month') * 12):02d}-{1 + int(share(parcel, 'day') * 28):02d}"
    return json.dumps({"parcel": parcel, "status": pick(_STATUSES, parcel, "status"), "eta": eta})


def search_flights(origin: str, to: str, date: str) -> str:
    """Three flights of a day, as JSON text; no two cost the same."""
    flights = []
    for n in range(3):
        key = (origin, to, date, str(n))
        flight = f"{pick(_CARRIERS, *key, 'carrier')}{1000 + 100 * n + int(share(*key, 'number') * 100)}"
        departs = f"{6 + 5 * n + int(share(*key, 'hour') * 4):02d}:{5 * int(share(*key, 'minute') * 12):02d}"
        flights.append({"flight": flight, "departs": departs, "price": 60 + 3 * int(share(*key, "price") * 80) + n})
    return json.dumps({"from": origin, "to": to, "date": date, "flights": flights})


def book(flight: str) -> str:
    """The confirmation of a booking, as JSON text."""
    return json.dumps({"flight": flight, "confirmation": f"MT{int(share(flight, 'confirmation') * 900000) + 100000}"})


# ── invoices ────────────────────────────────────────────────────────────────────────────────────────────────────────

_VENDORS = (
    "Café Noël",
    "Müller & Söhne GmbH",
    "Åkerström Bygg AB",
    "Pâtisserie Hélène SARL",
    "Łódź Druk Sp. z o.o.",
    "Señorío de Úbeda S.L.",
    "Brontë Books Ltd",
    "Garnfabriken Sjöberg AB",
    "Šumava Dřevo s.r.o.",
    "青山製紙株式会社",
    "Harbour Lane Printing Ltd",
    "Castell Instruments Inc",
    "Fenwick and Daughters",
    "Ostrava Steelworks a.s.",
    "Bluebell Catering Co",
    "Quarry Road Motors",
    "Tideline Freight BV",
    "Orchard Data Services",
    "Pennine Hydraulics Ltd",
    "Vasco Tiles Lda",
    "Hollis Electrical",
    "Larkspur Linen Works",
    "Kestrel Couriers",
    "Rivermouth Timber AS",
    "Stonebridge Cleaning Ltd",
)
_ITEMS = (
    "Paper A4, box",
    "Toner",
    "Day rate, fitter",
    "Oak board",
    "Freight, pallet",
    "Catering, head",
    "Bearing 6204",
    "Desk lamp",
    "Cable, drum",
    "Hosting",
)
_LABELS = (
    ("Invoice", "Total", "Payment due"),
    ("Invoice number", "Total to pay", "Due date"),
    ("Tax invoice", "Amount payable", "Please pay by"),
)
POOL = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """What stands in an invoice. `total` has two decimals, `due` is YYYY-MM-DD; both exactly as printed."""

    vendor: str
    invoice: str
    total: str
    currency: str
    due: str

    def as_json(self, *, total_key: str = "total", ascii_only: bool = False) -> str:
        """One JSON object in one line; the total is a number with the digits as printed."""
        vendor = json.dumps(self.vendor, ensure_ascii=ascii_only)
        return (
            f'{{"vendor": {vendor}, "invoice": "{self.invoice}", "{total_key}": {self.total}, '
            f'"currency": "{self.currency}", "due": "{self.due}"}}'
        )


def _document(n: int) -> str:
    """The text of the n-th invoice of the pool."""
    key = f"invoice {n}"
    number, total, due = pick(_LABELS, key, "labels")
    currency = pick(("EUR", "GBP", "USD", "SEK", "CHF", "PLN"), key, "currency")
    lines, net = [], 0
    for row in range(1 + int(share(key, "rows") * 4)):
        count, cents = 1 + int(share(key, str(row), "count") * 12), 190 + int(share(key, str(row), "price") * 24000)
        net += count * cents
        lines.append(f"{pick(_ITEMS, key, str(row)):<20}{count:>4} x {cents / 100:>8.2f} {count * cents / 100:>10.2f}")
    tax = round(net * pick((0.05, 0.19, 0.20, 0.25), key, "tax"))
    day = f"2026-{1 + int(share(key, 'month') * 12):02d}-{1 + int(share(key, 'day') * 28):02d}"
    reference = f"{pick(('INV', 'RE', 'F', 'SI'), key, 'series')}-{1000 + n * 29 + int(share(key, 'reference') * 29)}"
    head = [
        pick(_VENDORS, key, "vendor"),
        f"{1 + int(share(key, 'street') * 180)} {pick(('Mill Lane', 'Dock Street', 'High Road'), key)}",
        "",
    ]
    foot = ["", f"Net: {net / 100:.2f}", f"Tax: {tax / 100:.2f}", f"{total}: {(net + tax) / 100:.2f} {currency}", f"{due}: {day}"]
    return "\n".join([*head, f"{number}: {reference}", "", *lines, *foot])


@lru_cache(maxsize=1)
def documents() -> tuple[str, ...]:
    """The pool of invoice texts, always the same."""
    return tuple(_document(n) for n in range(POOL))


@lru_cache(maxsize=2 * POOL)
def read_invoice(document: str) -> Invoice | None:
    """What stands in an invoice of the pool's layouts; None for any other text."""
    for number, total, due in _LABELS:
        found = re.search(
            rf"\A(?P<vendor>.+)\n[\s\S]*^{number}: (?P<invoice>.+)\n[\s\S]*"
            rf"^{total}: (?P<total>[\d.]+) (?P<currency>[A-Z]+)\n{due}: (?P<due>[\d-]+)\Z",
            document,
            re.MULTILINE,
        )
        if found is not None:
            return Invoice(**found.groupdict())
    return None


def enclose(document: str) -> str:
    """The user message that asks for one invoice."""
    return f"Read this invoice.\n<docs>\n{document}\n</docs>"


def enclosed(text: str) -> str | None:
    """The document in a user message, or None."""
    found = re.search(r"<docs>\s*(.*?)\s*</docs>", text, re.DOTALL)
    return found[1] if found else None

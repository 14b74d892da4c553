"""Where a pair stands: which conversation and which turn of it, which input class, and how its prompt reads. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from detent.grading.recorded import RecordedPair
from detent.sampling import STRATA, of_request
from detent.sampling.near import PLACES, signatures
from detent.terms import Answer, Prompt, utc

_PLAIN = re.compile(r"[\w.+/:-]{1,48}")
"""Names that can stand in the label of a class as they are."""


def conversation_of(unit: str, prompt: Prompt) -> str:
    """A hash that the turns of one conversation share: who asks, of which system prompt, with which first words."""
    opening = next((message.text for message in prompt.messages if message.role == "user"), "")
    return _digest((unit, prompt.system, opening))[:16]


def dimensions_of(recorded: RecordedPair, prompt: Prompt, live: Answer) -> tuple[dict[str, str], bytes]:
    """The values of `DIMENSIONS`, as a baseline's strata are told, and the MinHash of the prompt. Raises InvalidInput."""
    features = of_request(
        recorded.endpoint,
        recorded.request,
        template=recorded.template,
        task="",
        called=bool(live.tool_calls),
        at=utc(recorded.asked_us),
    )
    values = dict(zip(STRATA, features.strata, strict=True))
    placed = {name: values[name] for name in ("schema", "language", "length", "season", "template")}
    return {"tools": tool_set(prompt.tools)} | placed, signatures([features.whole], PLACES)[0].tobytes()


def tool_set(tools: Sequence[str]) -> str:
    """The tools that a request offers as one name: `none`, their names in order where those are few and plain, else a digest of them."""
    if not tools:
        return "none"
    names = sorted(set(tools))
    joined = "+".join(names)
    return joined if _PLAIN.fullmatch(joined) else f"{len(names)} tools {_digest(names)[:8]}"


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()

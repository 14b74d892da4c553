"""What detectors look at: both answers to one prompt, each read at most once in each way that is asked for."""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property

from detent.diff.shape import (
    FENCE,
    Frame,
    Json,
    KeyChanges,
    Path,
    Place,
    canonical_arguments,
    compare_keys,
    find_json,
    frame,
    places,
    unescape,
    whole_json,
)
from detent.terms import Answer

_REFUSAL = re.compile(
    r"\b(?:i\s+am|i'm|we\s+are|we're)\s+(?:unable|not\s+able|not\s+allowed|not\s+permitted)\s+to\s+(?:{do})\b"
    r"|\b(?:i|we)\s+(?:can't|cannot|can\s+not|won't|will\s+not|must\s+decline\s+to)\s+(?:{do})\b"
    r"|\b(?:sorry|apologi[sz]e)\b[^.!?\n]{{0,40}}\bbut\s+(?:i|we)\s+(?:can't|cannot|can\s+not|won't)\s+(?:{do})\b"
    r"|\bas\s+an?\s+ai\b[^.!?\n]{{0,40}}\b(?:can't|cannot|unable|not\s+able|don't|do\s+not)\b".format(
        do=r"assist|help\s+(?:you|with)|comply|fulfil+|answer\s+(?:that|this)|do\s+that|engage\s+in|discuss|participate|support\s+that"
        r"|provide|generate|create|share\s+(?:that|this)|continue\s+with"
    ),
    re.IGNORECASE,
)


def content_lines(text: str) -> list[str]:
    """Lines with something in them, white space collapsed, escapes decoded, fences left out."""
    lines = (" ".join(line.split()) for line in unescape(text).splitlines())
    return [line for line in lines if line and not line.startswith(FENCE)]


class Reading:
    """One answer, read in the ways that detectors need; each way at most once."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.text = answer.text

    @cached_property
    def whole(self) -> Json | None:
        """The whole text as a JSON object or array. A bare number or word is left out: it is prose that happens to parse."""
        found = whole_json(self.text) if self.text.lstrip()[:1] in ("{", "[") else None
        return found if found is not None and isinstance(found.value, dict | list) else None

    @cached_property
    def json(self) -> Json | None:
        """The JSON in the answer, read through a fence or prose."""
        return self.whole or find_json(self.text)

    @cached_property
    def places(self) -> dict[Path, Place] | None:
        """The keys of that JSON."""
        return places(self.json.value) if self.json is not None else None

    @cached_property
    def frame(self) -> Frame | None:
        """What stands around the JSON or the code."""
        return frame(self.text, self.json)

    @cached_property
    def lines(self) -> list[str]:
        """See `content_lines`."""
        return content_lines(self.text)

    @cached_property
    def calls(self) -> Counter[tuple[str, str]]:
        """Tool calls by name and canonical arguments; calls of one answer have no order."""
        return Counter((call.name, canonical_arguments(call.arguments)) for call in self.answer.tool_calls)

    @cached_property
    def refuses(self) -> bool:
        """As the provider says, or a plain refusal in the first 200 characters."""
        return self.answer.refusal or _REFUSAL.search(self.text[:200].replace("’", "'")) is not None


class Two:
    """Both answers to one prompt; `keys` compares their JSON and is empty unless both carry some."""

    def __init__(self, stable: Answer, candidate: Answer) -> None:
        self.stable = Reading(stable)
        self.candidate = Reading(candidate)

    @cached_property
    def keys(self) -> KeyChanges:
        """How the keys differ."""
        before, after = self.stable.places, self.candidate.places
        return compare_keys(before, after) if before is not None and after is not None else KeyChanges()

    def turned(self) -> Two:
        """The same two with the arms exchanged: `x removed` is `x added` seen from the other side."""
        other = Two.__new__(Two)
        other.stable, other.candidate = self.candidate, self.stable
        return other

"""What detectors look at: both answers to one prompt, each read at most once in each way that is asked for."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import Any

from detent.diff import language, prose
from detent.diff.letters import identifiers, packed
from detent.diff.once import once
from detent.diff.refusals import refuses
from detent.diff.said import Said
from detent.diff.schema_walk import violations
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
    has_fence,
    key_paths,
    places,
    strings,
    unescape,
    whole_json,
)
from detent.diff.statements import Known
from detent.terms import Answer
from detent.terms.requests import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked, for the changes that two answers alone can't show.

    `context` is what the route's locator found in the prompt. `steps` are the model calls that stable and the candidate made for the whole
    case, against a limit of `step_limit`.
    """

    prompt: Prompt = Prompt()
    context: str | None = None
    steps: tuple[int, int] | None = None
    step_limit: int = 12


WORD = re.compile(r"\w+")


def content_lines(text: str) -> list[str]:
    """Lines with something in them, white space collapsed, escapes decoded, fences left out."""
    lines = (" ".join(line.split()) for line in unescape(text).splitlines())
    return [line for line in lines if line and not line.startswith(FENCE)]


class Reading(Said):
    """One answer, read in the ways that detectors need; each way at most once."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.text)
        self.answer = answer
        self._schema: tuple[Any, tuple[str, ...]] | None = None

    @once
    def whole(self) -> Json | None:
        """The whole text as a JSON object or array. A bare number or word is left out: it is prose that happens to parse."""
        found = whole_json(self.text) if self.text.lstrip()[:1] in ("{", "[") else None
        return found if found is not None and isinstance(found.value, dict | list) else None

    @once
    def json(self) -> Json | None:
        """The JSON in the answer, read through a fence or prose."""
        return self.whole or find_json(self.text)

    @once
    def places(self) -> dict[Path, Place] | None:
        """The keys of that JSON."""
        return places(self.json.value) if self.json is not None else None

    @once
    def keys(self) -> list[Path] | None:
        """The paths among these that end in a key."""
        return key_paths(self.places) if self.places is not None else None

    def breaches(self, schema: Any) -> tuple[str, ...]:
        """The first ways in which that JSON breaks a schema. Kept, as one schema is asked for many times. Raises Unreadable."""
        if self._schema is None or self._schema[0] is not schema:
            self._schema = schema, tuple(islice(violations(schema, self.json.value), 3)) if self.json is not None else ()
        return self._schema[1]

    @once
    def frame(self) -> Frame | None:
        """What stands around the JSON or the code."""
        return frame(self.text, self.json)

    @once
    def lines(self) -> list[str]:
        """See `content_lines`."""
        return content_lines(self.text)

    @once
    def bag(self) -> Counter[str]:
        """The words of all lines, code included, as they are written."""
        return Counter(identifiers("\n".join(self.lines)))

    @once
    def packed(self) -> str:
        """The text without any white space."""
        return packed(self.text)

    @once
    def calls(self) -> Counter[tuple[str, str]]:
        """Tool calls by name and canonical arguments; calls of one answer have no order."""
        return Counter((call.name, canonical_arguments(call.arguments)) for call in self.answer.tool_calls)

    @once
    def refuses(self) -> bool:
        """As the provider says, or a plain refusal at the beginning."""
        return self.answer.refusal or refuses(self.text)

    @once
    def prose(self) -> str:
        """What is said in words: the strings of the JSON that is the answer, else the text without its code; escapes decoded."""
        if self.json is not None and (self.whole is not None or has_fence(self.text)):
            return "\n".join(strings(self.json.value))
        return prose.without_code(unescape(self.text))

    @once
    def languages(self) -> Counter[str]:
        """See `language.scores`."""
        return language.scores(self.prose, self.words)

    @once
    def structure(self) -> str:
        """See `prose.structure`."""
        return "prose" if self.whole is not None else prose.structure(self.prose)

    @once
    def marks(self) -> frozenset[str]:
        """See `prose.marks`."""
        return frozenset() if self.whole is not None else prose.marks(self.prose)

    @once
    def known(self) -> Known:
        """The answer as what another one's statements are held against; all of it, code and keys included."""
        return Known(unescape(self.text))


class Two:
    """Both answers to one prompt; `keys` compares their JSON and is empty unless both carry some."""

    def __init__(self, stable: Reading, candidate: Reading, asked: Asked | None = None) -> None:
        self.stable = stable
        self.candidate = candidate
        self.asked = asked

    @once
    def same_text(self) -> bool:
        """Whether both say the same, character for character."""
        return self.stable.text == self.candidate.text

    @once
    def likeness(self) -> float:
        """How much of the wording both share, in [0, 1]."""
        return prose.alike(self.stable.stems, self.candidate.stems)

    @once
    def keys(self) -> KeyChanges:
        """How the keys differ."""
        before, after = self.stable.places, self.candidate.places
        return compare_keys(before, after) if before is not None and after is not None else KeyChanges()

    def turned(self) -> Two:
        """The same two with the arms exchanged: `x removed` is `x added` seen from the other side."""
        return Two(self.candidate, self.stable, self.asked)

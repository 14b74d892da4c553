"""Hostile text made visible and short, so that no terminal or page obeys it: all model output passes here before it is shown. Pure."""

from __future__ import annotations

import re

# C0 and C1 controls but tab and newline; what is invisible, turns text around or smuggles text (tags, variation selectors); halves of
# surrogate pairs and what XML 1.0 has no way to write.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_BREAK = re.compile(r"[\t\n]")


def escape(character: str) -> str:
    r"""One hidden character as Python spells it: `\x1b`, `\u202e`."""
    return character.encode("unicode_escape", "surrogatepass").decode()


def visible(text: str, *, one_line: bool = False) -> str:
    """The text with every hidden character spelt as an escape; with `one_line` also tabs and line breaks. The result is valid UTF-8."""
    shown = HIDDEN.sub(lambda m: escape(m[0]), text)
    return _BREAK.sub(lambda m: escape(m[0]), shown) if one_line else shown


def cut(text: str, most: int) -> str:
    """The text, or its beginning and its end around a note of how much is left out; at most `most` characters and the note."""
    if len(text) <= most + 40:  # the note would take as much room
        return text
    head = most * 2 // 3
    left_out = len(text) - most
    return f"{text[:head]}\n[... {left_out:,} characters left out ...]\n{text[len(text) - (most - head) :]}"


def line(text: str, most: int = 120) -> str:
    """The text on one line, hidden characters spelt out, cut at `most` characters."""
    short = visible(" ".join(text[: 8 * most].split()), one_line=True)
    return short if len(short) <= most and len(text) <= 8 * most else f"{short[: most - 3]}..."

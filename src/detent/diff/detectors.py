"""The detectors behind the table of named changes: each looks at two answers and returns what it saw, or None."""

from __future__ import annotations

import re
from collections import Counter

from detent.diff.reading import Reading, Two, content_lines
from detent.diff.shape import FENCE, Frame, escapes, show_path

_WORD = re.compile(r"\w+")


def _quote(text: str, most: int = 80) -> str:
    one_line = " ".join(text[: most * 4].split())
    return f"`{one_line[:most]}...`" if len(one_line) > most else f"`{one_line}`"


def _listed(names: list[str]) -> str | None:
    shown = ", ".join(_quote(name, 60) for name in names[:3])
    return None if not names else shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def refusal_added(two: Two) -> str | None:
    """The candidate refuses and stable did not; the refusal's beginning."""
    return _quote(two.candidate.text) if two.candidate.refuses and not two.stable.refuses else None


def refusal_removed(two: Two) -> str | None:
    """Stable refused and the candidate does not; the former refusal's beginning."""
    return _quote(two.stable.text) if two.stable.refuses and not two.candidate.refuses else None


def fence_added(two: Two) -> str | None:
    """Three backticks anywhere, and none before; the line of the fence."""
    text = two.candidate.text
    if FENCE not in text or FENCE in two.stable.text:
        return None
    return text[text.index(FENCE) :].split("\n", 1)[0].strip()[:40]


def fence_removed(two: Two) -> str | None:
    """No backticks are left."""
    return "no fence left" if fence_added(two.turned()) is not None else None


def key_renamed(two: Two) -> str | None:
    """A key is gone and another one holds its value or has a similar name; both names."""
    return _listed([f"{show_path(old)} -> {new[-1]}" for old, new in two.keys.renamed])


def key_missing(two: Two) -> str | None:
    """A key is gone, or some items of a list lack what all of them had; its path."""
    return _listed([show_path(path) for path in two.keys.missing])


def key_added(two: Two) -> str | None:
    """A key that no object at that place had; its path."""
    return _listed([show_path(path) for path in two.keys.added])


def value_type_changed(two: Two) -> str | None:
    """A value of another JSON type at the same path; path and types."""
    return _listed([f"{show_path(path)}: {before} -> {after}" for path, before, after in two.keys.retyped])


def _newly_escaped(stable: str, candidate: str) -> list[str]:
    """Characters that the candidate escapes more often than stable, and writes out less often."""
    after = escapes(candidate)
    if not after:
        return []
    before, plain_before, plain_after = escapes(stable), Counter(stable), Counter(candidate)
    return [c for c in after if after[c] > before[c] and plain_after[c] < plain_before[c]]


def unicode_escaped(two: Two) -> str | None:
    """A character is spelt as a literal backslash-u escape now."""
    return _listed([f"{c} -> {_as_escape(c)}" for c in _newly_escaped(two.stable.text, two.candidate.text)])


def unicode_unescaped(two: Two) -> str | None:
    """A character that was spelt as an escape is written out now."""
    return _listed([f"{_as_escape(c)} -> {c}" for c in _newly_escaped(two.candidate.text, two.stable.text)])


def _as_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))


def opening_text_added(two: Two) -> str | None:
    """New lines before what is otherwise the same answer, or before its JSON or code; their beginning."""
    frames = _frames(two)
    if frames is not None:
        return _paragraph_added(frames[0].opening, frames[1].opening, last=False)
    around = two.candidate.frame
    if around is not None and not around.opening:
        return None
    return _lines_added(two.stable.lines, two.candidate.lines, last=False)


def closing_text_added(two: Two) -> str | None:
    """New lines after what is otherwise the same answer, or after its JSON or code; their beginning."""
    frames = _frames(two)
    if frames is not None:
        return _paragraph_added(frames[0].closing, frames[1].closing, last=True)
    return _lines_added(two.stable.lines, two.candidate.lines, last=True)


def _frames(two: Two) -> tuple[Frame, Frame] | None:
    """Both frames. A stable answer that is bare code counts as the core of one when the candidate's code says much the same."""
    before, after = two.stable.frame, two.candidate.frame
    if after is None:
        return None
    if before is None:
        return (Frame("", two.stable.text, ""), after) if _alike(two.stable.text, after.core, 0.5) else None
    return before, after


def _paragraph_added(before: str, after: str, *, last: bool) -> str | None:
    """Of the text at one side of the JSON or code."""
    if after and not before:
        return _quote(after)
    return _lines_added(content_lines(before), content_lines(after), last=last) if after != before else None


def _lines_added(before: list[str], after: list[str], *, last: bool) -> str | None:
    """Lines beyond the last (or before the first) line of what is otherwise the same answer: four fifths of stable's words are there."""
    if not before or not after:
        return None
    at = _find_line(before[-1], after[::-1]) if last else _find_line(before[0], after)
    if not at:
        return None
    extra = after[-at:] if last else after[:at]
    if not _WORD.search(" ".join(extra)) or extra[0] in before or extra[-1] in before:
        return None
    words = Counter(word for line in before for word in _WORD.findall(line))
    kept = words & Counter(word for line in after for word in _WORD.findall(line))
    return _quote(" ".join(extra)) if kept.total() >= 0.8 * words.total() else None


def _find_line(line: str, lines: list[str]) -> int | None:
    """Index of the first line equal to `line` or, without any, of the first that differs in a few words."""
    if line in lines:
        return lines.index(line)
    return next((i for i, other in enumerate(lines) if _alike(line, other, 0.8)), None)


def _alike(one: str, other: str, least: float) -> bool:
    """Whether two texts share at least that part of their words (Sørensen-Dice over multisets); false when one is four times as long."""
    if len(one) > 4 * len(other) or len(other) > 4 * len(one):
        return False
    a, b = Counter(_WORD.findall(one)), Counter(_WORD.findall(other))
    return bool(a) and 2 * (a & b).total() >= least * (a.total() + b.total())


def _names(calls: Counter[tuple[str, str]]) -> Counter[str]:
    names: Counter[str] = Counter()
    for (name, _), n in calls.items():
        names[name] += n
    return names


def other_tool_called(two: Two) -> str | None:
    """Some tool is no longer called and another one is; their names."""
    before, after = _names(two.stable.calls), _names(two.candidate.calls)
    gone, new = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    return f"{_listed(gone)} -> {_listed(new)}" if gone and new else None


def tool_call_removed(two: Two) -> str | None:
    """Fewer calls than before; the tools that are called less."""
    before, after = _names(two.stable.calls), _names(two.candidate.calls)
    return _listed(sorted(before - after)) if before.total() > after.total() else None


def tool_call_added(two: Two) -> str | None:
    """More calls than before; the tools that are called more."""
    before, after = _names(two.stable.calls), _names(two.candidate.calls)
    return _listed(sorted(after - before)) if after.total() > before.total() else None


def other_tool_arguments(two: Two) -> str | None:
    """The same tool with other arguments (compared as canonical JSON); both of the first call that differs."""
    gone = sorted(two.stable.calls - two.candidate.calls)
    new = dict(sorted(two.candidate.calls - two.stable.calls, reverse=True))
    found = next(((name, arguments) for name, arguments in gone if name in new), None)
    return f"{_quote(found[0], 60)}: {_quote(found[1])} -> {_quote(new[found[0]])}" if found else None


def finish_reason_changed(two: Two) -> str | None:
    """Another finish reason, where both are known."""
    before, after = two.stable.answer.finish_reason, two.candidate.answer.finish_reason
    if before is None or after is None or before == after:
        return None
    return f"{_quote(before, 40)} -> {_quote(after, 40)}"


def json_broken(two: Two) -> str | None:
    """The whole answer was a JSON object or array and is none now; its beginning."""
    return _quote(two.candidate.text) if two.stable.whole is not None and two.candidate.whole is None else None


def json_repaired(two: Two) -> str | None:
    """The whole answer is a JSON object or array and was none; its beginning."""
    return _quote(two.candidate.text) if two.candidate.whole is not None and two.stable.whole is None else None


def _much_longer(long: Reading, short: Reading) -> bool:
    if not short.text and short.answer.tool_calls:
        return False  # a tool call takes the place of text; that has its own name
    return len(long.text) >= 3 * len(short.text) and len(long.text) - len(short.text) >= 8  # `[Yes]` for `Y` is no collapse


def answer_shortened(two: Two) -> str | None:
    """At most a third as long (and by 8 characters at least); both lengths."""
    if not _much_longer(two.stable, two.candidate):
        return None
    before, after = len(two.stable.text), len(two.candidate.text)
    return f"{before} -> {after} characters" + (f" (1/{before / after:.3g})" if after else "")


def answer_lengthened(two: Two) -> str | None:
    """At least three times as long (and by 8 characters at least); both lengths."""
    if not _much_longer(two.candidate, two.stable):
        return None
    before, after = len(two.stable.text), len(two.candidate.text)
    return f"{before} -> {after} characters" + (f" ({after / before:.3g}-fold)" if before else "")

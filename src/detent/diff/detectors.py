"""The detectors behind the table of named changes: each looks at two answers and returns what it saw, or None."""

from __future__ import annotations

from collections import Counter

from detent.diff.quoting import listed, quote
from detent.diff.reading import Reading, Two
from detent.diff.schema_walk import Unreadable
from detent.diff.shape import FENCE, escapes, has_fence, show_path


def refusal_added(two: Two) -> str | None:
    """The candidate refuses and stable did not; the refusal's beginning."""
    return quote(two.candidate.text) if two.candidate.refuses and not two.stable.refuses else None


def refusal_removed(two: Two) -> str | None:
    """Stable refused and the candidate does not; the former refusal's beginning."""
    return quote(two.stable.text) if two.stable.refuses and not two.candidate.refuses else None


def fence_added(two: Two) -> str | None:
    """Three backticks anywhere, and none before; the line of the fence."""
    text = two.candidate.text
    if not has_fence(text) or has_fence(two.stable.text):
        return None
    return text[text.index(FENCE) :].split("\n", 1)[0].strip()[:40]


def fence_removed(two: Two) -> str | None:
    """No backticks are left."""
    return "no fence left" if fence_added(two.turned()) is not None else None


def key_renamed(two: Two) -> str | None:
    """A key is gone and another one holds its value or has a similar name; both names."""
    return listed([f"{show_path(old)} -> {new[-1]}" for old, new in two.keys.renamed])


def key_missing(two: Two) -> str | None:
    """A key is gone, or some items of a list lack what all of them had; its path."""
    return listed([show_path(path) for path in two.keys.missing])


def key_added(two: Two) -> str | None:
    """A key that no object at that place had; its path."""
    return listed([show_path(path) for path in two.keys.added])


def value_type_changed(two: Two) -> str | None:
    """A value of another JSON type at the same path; path and types."""
    return listed([f"{show_path(path)}: {before} -> {after}" for path, before, after in two.keys.retyped])


def _newly_escaped(stable: str, candidate: str) -> list[str]:
    """Characters that the candidate escapes more often than stable, and writes out less often."""
    after = escapes(candidate)
    if not after:
        return []
    before, plain_before, plain_after = escapes(stable), Counter(stable), Counter(candidate)
    return [c for c in after if after[c] > before.get(c, 0) and plain_after[c] < plain_before[c]]


def unicode_escaped(two: Two) -> str | None:
    """A character is spelt as a literal backslash-u escape now."""
    return listed([f"{c} -> {_as_escape(c)}" for c in _newly_escaped(two.stable.text, two.candidate.text)])


def unicode_unescaped(two: Two) -> str | None:
    """A character that was spelt as an escape is written out now."""
    return listed([f"{_as_escape(c)} -> {c}" for c in _newly_escaped(two.candidate.text, two.stable.text)])


def _as_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))


def _names(calls: Counter[tuple[str, str]]) -> Counter[str]:
    names: Counter[str] = Counter()
    for (name, _), n in calls.items():
        names[name] += n
    return names


def other_tool_called(two: Two) -> str | None:
    """Some tool is no longer called and another one is; their names."""
    before, after = _names(two.stable.calls), _names(two.candidate.calls)
    gone, new = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    return f"{listed(gone)} -> {listed(new)}" if gone and new else None


def parallel_calls_changed(two: Two) -> str | None:
    """Several calls in one answer where one was made at a time, or the reverse; how many."""
    before, after = len(two.stable.answer.tool_calls), len(two.candidate.answer.tool_calls)
    return f"{before} -> {after} calls at once" if before and after and (before == 1) != (after == 1) else None


def unknown_tool(two: Two) -> str | None:
    """A tool is called that the request does not offer and stable did not call; its name. Nothing unless it is known what was asked."""
    if two.asked is None or not two.candidate.answer.tool_calls:
        return None
    known = {*two.asked.prompt.tools, *(call.name for call in two.stable.answer.tool_calls)}
    return listed(sorted({call.name for call in two.candidate.answer.tool_calls} - known))


def step_limit_hit(two: Two) -> str | None:
    """The candidate needed as many model calls as are allowed, and stable fewer; both numbers."""
    if two.asked is None or two.asked.steps is None:
        return None
    before, after = two.asked.steps
    return f"{before} -> {after} steps of {two.asked.step_limit}" if before < two.asked.step_limit <= after else None


def tokens_changed(two: Two) -> str | None:
    """The same answer counted as a tenth more or fewer output tokens (by 3 at least), reasoning left out; both numbers."""
    before, after = (_tokens(side) for side in (two.stable, two.candidate))
    if before is None or after is None or not two.same_text or two.stable.calls != two.candidate.calls:
        return None
    return f"{before} -> {after} tokens" if abs(after - before) > max(0.1 * before, 2) else None


def _tokens(side: Reading) -> int | None:
    usage = side.answer.usage
    return None if usage.output is None else usage.output - (usage.reasoning or 0)


def schema_violated(two: Two) -> str | None:
    """The candidate's JSON breaks the schema that was asked for and stable's follows it; the first breaches. Read through a fence."""
    schema = two.asked.prompt.schema if two.asked is not None else None
    if schema is None or two.stable.json is None or two.candidate.json is None:
        return None
    try:
        return listed(two.candidate.breaches(schema)) if not two.stable.breaches(schema) else None
    except Unreadable:
        return None


def tool_call_removed(two: Two) -> str | None:
    """Fewer calls than before; the tools that are called less."""
    before, after = _names(two.stable.calls), _names(two.candidate.calls)
    return listed(sorted(before - after)) if before.total() > after.total() else None


def tool_call_added(two: Two) -> str | None:
    """More calls than before; the tools that are called more."""
    before, after = _names(two.stable.calls), _names(two.candidate.calls)
    return listed(sorted(after - before)) if after.total() > before.total() else None


def other_tool_arguments(two: Two) -> str | None:
    """The same tool with other arguments (compared as canonical JSON); both of the first call that differs."""
    gone = sorted(two.stable.calls - two.candidate.calls)
    new = dict(sorted(two.candidate.calls - two.stable.calls, reverse=True))
    found = next(((name, arguments) for name, arguments in gone if name in new), None)
    return f"{quote(found[0], 60)}: {quote(found[1])} -> {quote(new[found[0]])}" if found else None


def finish_reason_changed(two: Two) -> str | None:
    """Another finish reason, where both are known."""
    before, after = two.stable.answer.finish_reason, two.candidate.answer.finish_reason
    if before is None or after is None or before == after:
        return None
    return f"{quote(before, 40)} -> {quote(after, 40)}"


def json_broken(two: Two) -> str | None:
    """The whole answer was a JSON object or array and is none now; its beginning."""
    return quote(two.candidate.text) if two.stable.whole is not None and two.candidate.whole is None else None


def json_repaired(two: Two) -> str | None:
    """The whole answer is a JSON object or array and was none; its beginning."""
    return quote(two.candidate.text) if two.candidate.whole is not None and two.stable.whole is None else None


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

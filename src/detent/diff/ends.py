"""The detectors for what an answer begins and ends with: text around it, left-over marks, and an end that came too soon."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from detent.diff import prose
from detent.diff.letters import identifiers
from detent.diff.quoting import quote
from detent.diff.reading import WORD, Reading, Two, content_lines
from detent.diff.shape import FENCE, Frame, fenced, has_fence
from detent.diff.vocabulary import either
from detent.terms import CUT_OFF

# ── text before and after ───────────────────────────────────────────────────────────────────────────────────────────


def opening_text_added(two: Two) -> str | None:
    """New text before what is otherwise the same answer, or before its JSON or code; its beginning."""
    frames = _frames(two)
    if frames is not None:
        return _paragraph_added(frames[0].opening, frames[1].opening, last=False)
    around = two.candidate.frame
    if around is not None and not around.opening:
        return None
    return _text_added(two, last=False)


def closing_text_added(two: Two) -> str | None:
    """New text after what is otherwise the same answer, or after its JSON or code; its beginning. Marks left over are no text."""
    frames = _frames(two)
    if frames is not None:
        return _paragraph_added(frames[0].closing, _ARTEFACT.sub("", frames[1].closing).strip(), last=True)
    return _text_added(two, last=True)


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
        return quote(after) if WORD.search(after) else None
    if after == before:
        return None
    return _lines_added(content_lines(before), content_lines(after), last=last) or _after_same(before, after, last=last)


def _after_same(before: str, after: str, *, last: bool) -> str | None:
    """What `after` has beyond a `before` that it holds unchanged."""
    if not before or not (after.startswith(before) if last else after.endswith(before)):
        return None
    extra = (after[len(before) :] if last else after[: -len(before)]).strip()
    return quote(extra) if WORD.search(extra) else None


def _text_added(two: Two, *, last: bool) -> str | None:
    """By lines and, where the lines were written anew, by sentences. A polite beginning instead of another one adds nothing."""
    before, after = two.stable, two.candidate
    if not last and _greeting(before) and _greeting(after):
        return None
    if _edge(before.text, last=last) == _edge(after.text, last=last) or not before.lines or not after.lines:
        return None
    found = _lines_added(before.lines, after.lines, last=last, kept=lambda: _kept(before, after))
    if found is not None and last and _ARTEFACT.sub("", found.strip("`")).strip() == "":
        return None
    return found or _sentences_added(two, last=last)


def _edge(text: str, *, last: bool) -> str:
    return text.rstrip()[-24:] if last else text.lstrip()[:24]


def _kept(before: Reading, after: Reading) -> bool:
    """Whether four fifths of stable's words are there still."""
    return (before.bag & after.bag).total() >= 0.8 * before.bag.total()


def _lines_added(before: list[str], after: list[str], *, last: bool, kept: Callable[[], bool] | None = None) -> str | None:
    """Lines beyond the last (or before the first) line of what is otherwise the same answer: four fifths of stable's words are there."""
    if not before or not after:
        return None
    at = _find_line(before[-1], after[::-1]) if last else _find_line(before[0], after)
    if not at:
        return None
    extra = after[-at:] if last else after[:at]
    if not WORD.search(" ".join(extra)) or extra[0] in before or extra[-1] in before:
        return None
    if kept is not None:
        same = kept()
    else:
        words = Counter(word for line in before for word in identifiers(line))
        both = words & Counter(word for line in after for word in identifiers(line))
        same = both.total() >= 0.8 * words.total()
    return quote(" ".join(extra)) if same else None


def _find_line(line: str, lines: list[str]) -> int | None:
    """Index of the first line equal to `line` or, without any, of the first that differs in a few words."""
    if line in lines:
        return lines.index(line)
    words = identifiers(line)
    return next((i for i, other in enumerate(lines) if _alike(line, other, 0.8, words)), None)


def _alike(one: str, other: str, least: float, words: list[str] | None = None) -> bool:
    """Whether two texts share at least that part of their words (Sørensen-Dice over multisets); false when one is four times as long."""
    if len(one) > 4 * len(other) or len(other) > 4 * len(one):
        return False
    a, b = words if words is not None else identifiers(one), identifiers(other)
    wanted = least * (len(a) + len(b))
    if not a or 2 * min(len(a), len(b)) < wanted:  # they can't share more than the shorter one has
        return False
    if 2 * (len(a) - len(set(a).difference(b))) < wanted:  # nor a word that the other one lacks; no need to count them
        return False
    return 2 * (Counter(a) & Counter(b)).total() >= wanted


_MOST_EXTRA = 3  # sentences
_MOST_HELD_AGAINST = 50  # sentences that one is held against
_OPENER = re.compile(
    either(
        *("sure", "certainly", "of course", "absolutely", "definitely", "okay", "ok", "alright", "all right", "gladly"),
        *("great", "good", "excellent", "nice", "thanks", "thank you", "hello", "hi", "hey", "dear", "greetings", "welcome", "understood"),
        *("happy to", "glad", "i'd be", "i'm happy", "i would be", "let me", "let's", "as requested", "no problem", "got it"),
        *("here(?:'s| is| are| you)", "below", "see below", "the following", "yes, here"),
        "i(?:'ve| have) (?:checked|looked|gone|prepared|put|found)",
        end=r"\b",
    )
)
_CLOSER = re.compile(
    r"\b"
    + either(
        *("let me know", "hope (?:this|that|it)", "feel free", "don't hesitate", "do not hesitate", "reach out", "get in touch"),
        *("anything else", "(?:more|other|further|any) questions", "is there anything", "just ask", "ask away"),
        *("would you like me", "shall i", "should i", "do you want me", "want me to", "if you (?:have|need|want|would like)", "i can also"),
        *("glad to help", "happy to help", "here to help", "thank you for", "thanks for", "we appreciate"),
        *(r"have a (?:\w+ )?(?:great|nice|wonderful|good|lovely)", "good luck", "enjoy your", "take care"),
        *("(?:best|kind|warm) regards", "sincerely", "cheers"),
        end=r"\b",
    )
)
_SPEAKERS = frozenset(["you", "your", "we", "us", "our", "i", "me", "my"])
"""Who talks to whom: a phrase of politeness names one of them, or ends in a mark."""
_FIRST_PIECE = re.compile(r"\s*([^.!?:\n]{1,120})[.!?:\n]")


def _sentences_added(two: Two, *, last: bool) -> str | None:
    """By sentences: some that say nothing that stable said, before what stable's first one says (or after its last).

    Where that one was reworded beyond recognition: a sentence at the edge that shares nothing with stable's answer and is one more.
    """
    before, after = two.stable.sentences, two.candidate.sentences
    if not before or len(after) < 2 or len(two.stable.stems & two.candidate.stems) < 0.3 * len(two.stable.stems):
        return None
    step = -1 if last else 1
    edge = before[::step][0]
    own = _unlike(edge, two.candidate) and (edge.text.rstrip()[-1:] in "!?" or not _SPEAKERS.isdisjoint(edge.word_set))
    phrase = _sign_off(two) if last else _opener(two)
    if phrase is not None:
        return phrase if not own or len(after) > len(before) else None
    core = before[::step][0].stems
    ends = after[::step][: _MOST_EXTRA + 1]
    at = next((n for n, sentence in enumerate(ends) if prose.alike(core, sentence.stems) >= 0.5), None)
    if at is None:
        at = int(len(after) > len(before) and not own and _unlike(ends[0], two.stable) and not _unlike(ends[1], two.stable))
    extra = ends[:at]
    if not extra or not all(_unlike(sentence, two.stable) for sentence in extra):
        return None
    said = _ARTEFACT.sub("", " ".join(sentence.text.strip() for sentence in extra[::step])).strip()
    return quote(said) if WORD.search(said) else None


def _unlike(sentence: prose.Sentence, other: Reading) -> bool:
    """Whether a sentence shares less than a fifth of its words with the other answer, and none of its figures."""
    shared = len(sentence.stems & other.stems)
    return 5 * shared <= max(0, len(sentence.stems) - 1) and not any(w[0].isdigit() and w in other.word_set for w in sentence.word_set)


def _sign_off(two: Two) -> str | None:
    """A polite last sentence, where stable ends without one."""
    last = two.candidate.sentences[-1]
    if not _CLOSER.search(last.text.lower().replace("’", "'")):
        return None
    if any(prose.alike(last.stems, sentence.stems) >= 0.5 for sentence in two.stable.sentences[-_MOST_HELD_AGAINST:]):
        return None  # stable says so as well, further up
    return None if _CLOSER.search(two.stable.sentences[-1].text.lower().replace("’", "'")) else quote(last.text.strip())


def _opener(two: Two) -> str | None:
    """A polite first phrase, where stable begins without one."""
    phrase = _greeting(two.candidate)
    if not phrase or any(c.isdigit() for c in phrase):
        return None
    stems = prose.Sentence(phrase).stems
    return quote(phrase.strip()) if 3 * len(stems & two.stable.stems) <= len(stems) else None


def _greeting(side: Reading) -> str:
    """The first phrase, if it is a polite one."""
    first = _FIRST_PIECE.match(side.prose)
    return first[0] if first is not None and _OPENER.match(first[1].lower().replace("’", "'")) else ""


# ── left-over marks ─────────────────────────────────────────────────────────────────────────────────────────────────

_TAG = "answer|response|output|assistant|completion|final|reply|think|thinking|result"
_ARTEFACT = re.compile(
    "|".join(
        (
            r"<\|[\w ./-]{1,40}\|>",
            r"<\uff5c[^\uff5c\n]{1,40}\uff5c>",
            r"</?s>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>|<end_of_\w{1,40}>",
            r"<(?:eos|bos|pad|unk|END|EOT)>|\[(?:END|EOS|DONE|STOP|PAD|EOT)\]",
            rf"</?(?:{_TAG})>\s*+\Z",
            # The next speaker, after white space of the same line: blank lines would be read again from each of them.
            r"^[^\S\n]*+(?:###\s*+)?(?:Human|User|Assistant|Instruction|Input|System|Q|A):[^\n]{0,200}+\s*+\Z",
            r"^[^\S\n]*+(?:###|END|EOF|STOP|---END---)\s*+\Z",
            r"^[^\S\n]*+###\s*+(?:Human|User|Assistant|Instruction|Response|Input)\b:?",
        )
    ),
    re.MULTILINE,
)
_IN_BRACKETS = re.compile(r"\[(?:/?INST|E|DONE|STOP|PAD)")
_LAST_LINE = re.compile(r"\s*+(?:###|END|EOF|STOP|---END---|(?:Human|User|Assistant|Instruction|Input|System|Q|A):)")
_CLOSING = frozenset("\"'”’)]}")
_CLOSERS = re.compile(r"[\"'”’)\]}]+\s*\Z")
_PARTNERS = {")": "(", "]": "[", "}": "{", "”": "“"}


def trailing_artefact(two: Two) -> str | None:
    """A mark that is no part of an answer: a chat template's token, the next speaker's name, an open fence, a quote or brace too many.

    A polite close ("let me know if ...") is text: `closing_text_added`.
    """
    before, after = two.stable.text, two.candidate.text
    if before == after:
        return None
    if _may_be_marked(after):
        known = {mark[0].strip() for mark in _ARTEFACT.finditer(before)}
        found = next((mark[0].strip() for mark in _ARTEFACT.finditer(after) if mark[0].strip() not in known), None)
        if found is not None:
            return quote(found, 40)
    if has_fence(after) and after.count(FENCE) % 2 and not before.count(FENCE) % 2 and not _stopped_short(two.candidate):
        return "a code fence that is not closed" if after.count("\n", after.rfind(FENCE)) or after.rstrip().endswith(FENCE) else None
    return _closer_too_many(two)


def _may_be_marked(text: str) -> bool:
    """The cheap question that comes first: without any of these signs there is no such mark."""
    if "<" in text or ("#" in text and "###" in text) or ("[" in text and _IN_BRACKETS.search(text)):
        return True
    text = text.rstrip()
    return _LAST_LINE.match(text, text.rfind("\n") + 1) is not None


def _closer_too_many(two: Two) -> str | None:
    before, after = two.stable.text.rstrip(), two.candidate.text.rstrip()
    ends = _CLOSERS.search(after[-20:]) if after[-1:] in _CLOSING else None
    if ends is None or two.candidate.whole is not None or before.endswith(ends[0]):
        return None
    for mark in dict.fromkeys(ends[0].strip()):
        if mark in _PARTNERS:
            extra = after.count(mark) > after.count(_PARTNERS[mark]) and before.count(mark) <= before.count(_PARTNERS[mark])
        else:
            # An apostrophe stands alone within a word; a quote mark has its partner.
            extra = mark == '"' and after.count(mark) % 2 == 1 and before.count(mark) % 2 == 0
        if extra:
            return quote(after[-40:], 40)
    return None


# ── cut off ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_DONE = re.compile(r"[.!?:…)\]}\"'”’»`*_|>。！？；~\u2600-\u27bf\U0001f300-\U0001faff]\s*\Z")
_NO_SENTENCE = re.compile(r"\s*(?:[-*+•|>#]|\(?\d{1,3}[.)])")
_UNENDING = (
    *("the", "a", "an", "of", "to", "and", "or", "but", "with", "for", "in", "on", "at", "by", "from", "as", "if", "when", "than", "not"),
    *("is", "are", "was", "were", "will", "be", "has", "have", "can", "may", "that", "which", "this", "your", "our", "their"),
    *(
        "der",
        "die",
        "das",
        "und",
        "mit",
        "für",
        "le",
        "la",
        "les",
        "et",
        "de",
        "el",
        "los",
        "y",
        "que",
        "con",
        "para",
        "il",
        "di",
        "e",
        "per",
    ),
)
"""Words that no sentence ends with."""
_OPEN_ENDED = re.compile(rf"(?:[,;(\[{{–—-]|\b{either(*_UNENDING)})\s*\Z", re.IGNORECASE)


def truncated(two: Two) -> str | None:
    """The token limit ended the answer, or it breaks off in JSON, in code or in a sentence, where stable did not; its last words."""
    before, after = two.stable, two.candidate
    if _limited(after):
        return None if _limited(before) else f"finish reason {quote(str(after.answer.finish_reason), 40)}"
    if not after.text.strip() or (
        before.text.startswith(after.text) is False and _DONE.search(after.text[-8:]) and not _may_be_open(after)
    ):
        return None
    return f"ends in {quote(after.text.rstrip()[-40:], 60)}" if _stopped_short(after) and not _stopped_short(before) else None


def _limited(side: Reading) -> bool:
    return side.answer.finish_reason in CUT_OFF


def _may_be_open(side: Reading) -> bool:
    return side.text.lstrip()[:1] in ("{", "[") or has_fence(side.text)


def _stopped_short(side: Reading) -> bool:
    """Whether the text breaks off: in open JSON, in an open fence after code that breaks off, or without the end of a sentence."""
    text = side.text.rstrip()
    start = text.lstrip()[:1]
    if start in ("{", "[") and side.json is None:
        return _depth(text) > 0
    if has_fence(text) and text.count(FENCE) % 2:
        block = fenced(text)[-1]
        inside = text[block.start :]
        if inside.lstrip()[:1] in ("{", "["):
            return _depth(inside) > 0
        return _OPEN_ENDED.search(text[-30:]) is not None
    return _breaks_off(side, text)


def _breaks_off(side: Reading, text: str) -> bool:
    if side.json is not None or len(side.words) < 8 or _DONE.search(text[-4:]) is not None:
        return False
    last = text[text.rfind("\n") + 1 :]
    if _OPEN_ENDED.search(text[-30:]):
        return True
    if _NO_SENTENCE.match(last) or not any(mark in text for mark in (". ", "! ", "? ", ".\n", "。", "！", "？")):
        return False
    # A heading and a signature have no full stop; they don't follow a sentence in the same paragraph.
    above = text[: len(text) - len(last)].rstrip()
    return len(last) > 40 or (bool(above) and _DONE.search(above[-2:]) is not None and not last[:1].isdigit() and ":" not in last)


def _depth(text: str) -> int:
    """How many brackets stay open at the end, strings left out; 0 as soon as one closes that was not open."""
    if len(text) > 300_000:
        return 0
    depth = 0
    for mark in _BRACKETS.finditer(text):
        if mark[0][0] == '"':
            if not mark[1]:
                return depth + 1  # a string that does not end
            continue
        depth += 1 if mark[0] in "{[" else -1
        if depth < 0:
            return 0
    return depth


_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|[{}\[\]]', re.DOTALL)

"""What is wrong with a pin file: findings, how their values are shown, and the secrets that are never shown at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from detent.manifest.lines import Lines

Path = tuple["str | int", ...]
"""Keys from the top of the file; a number for the n-th element of an array, from 0."""

_SECRET = re.compile(
    r"\bsk-(?=[A-Za-z_-]*[0-9A-Z])[A-Za-z0-9_-]{8,}"  # OpenAI, Anthropic and those who copy them
    r"|\bAIza[A-Za-z0-9_-]{30,}"
    r"|\b(?:gsk|hf|r8|xai|gh[pousr])_[A-Za-z0-9]{16,}|\bxai-[A-Za-z0-9]{16,}|\bpplx-[A-Za-z0-9]{16,}"
    r"|\bAKIA[A-Z0-9]{16}\b|\bxox[abeprs]-[A-Za-z0-9-]{10,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}|-----BEGIN [A-Z ]*PRIVATE KEY"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: where (a path, or a line where there is none), what, and what to do."""

    path: Path
    message: str
    hint: str
    line: int | None = None


def report(findings: Iterable[Finding], *, file: str, lines: Lines) -> str:
    """One block a finding, in the order of the file: `detent.toml:12: what is wrong: `value`` and the hint below it."""
    placed = [(f.line if f.line is not None else lines.of(f.path), f) for f in findings]
    placed.sort(key=lambda at: at[0])
    blocks = [f"{escaped(file)}:{line}: {f.message}\n  hint: {f.hint}" for line, f in placed]
    return "\n".join(dict.fromkeys(blocks))


def looks_secret(text: str) -> bool:
    """Whether an API key, a token or a private key seems to stand in the text."""
    return _SECRET.search(text) is not None


def secrets(text: str) -> Iterator[Finding]:
    """Keys that stand in the file, comments included: a file in git is read by many. The value is never part of the finding."""
    for number, line in enumerate(text.split("\n"), start=1):
        if looks_secret(line):
            hint = (
                "take it out, replace it at the provider (whoever read the file knows it), and name its environment variable in `key_env`"
            )
            yield Finding((), "what looks like a secret key stands here: `(not shown)`", hint, line=number)


def escaped(text: str) -> str:
    """The text on one line: control characters, other line ends and direction marks as escapes, what looks secret left out."""
    if looks_secret(text):
        return "(not shown)"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shown(value: object) -> str:
    """A value of the file in backticks, spelled as TOML would, at most 80 characters long."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, dict):
        text = "{ " + ", ".join(str(key) for key in value) + " }" if value else "{}"
    else:
        text = escaped(str(value))
    text = escaped(text)
    return f"`{text[:79]}…`" if len(text) > 80 else f"`{text}`"


def dotted(path: Path) -> str:
    """`plans.standard.guards[0].metric`, for a sentence."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in path)
    return text.removeprefix(".")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]{1,128}", name) and not looks_secret(name) else f'"{escaped(name)[:80]}"'


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`did you mean `owner`?`, or all known words where none is near."""
    words = list(known)
    if not words:
        return "there is none yet: write one, or take the key out"
    near = get_close_matches(str(word), words, n=1)
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(f'`{w}`' for w in words)}"

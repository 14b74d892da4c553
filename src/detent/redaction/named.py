"""Names that say "this is secret", and whether a value beside such a name looks like one.

A name alone is not enough (`password: string`, `token: str | None`, `next_page_token`), and a random-looking value alone is not either
(hashes, ids): a value is secret where both agree.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from detent.redaction.kinds import Span

PLACEHOLDER = re.compile(r"\[[A-Z][A-Z_]{1,30}_[0-9]{1,6}\]")
"""What stands for a value that was taken out, here or by an earlier pass."""

_PASSWORD = re.compile(r"(?:^|_)(?:passwords?|passwd|passphrase|passcode|passwort|kennwort|contrasena|pass|pwd|pw|cvv2?|cvc2?)$")
_TOKEN = re.compile(
    r"(?:^|_)(?:secrets?|api_?keys?|access_?keys?(?:_id)?|private_?keys?|account_?key|authorization|auth|cookie|set_cookie|credentials?"
    r"|(?:secret|encryption|signing|master|service|shared|subscription|deploy|hmac|webhook|auth|ssh|license)(?:_access)?_?key|[a-z]*tokens?)$"
)
_NO_SECRET = re.compile(
    r"(?:next|page|continuation|continue|sync|cursor|start|end|stop|eos|bos|pad|unk|sep|cls|mask|special|max|min|new|prompt|completion"
    r"|input|output|total|cached|reasoning|used|remaining|per|of|num|text)_?tokens?$"
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(4096)
def kind_of_name(name: str) -> str | None:
    """PASSWORD or SECRET for the name of a member, a variable or a header that holds one; None for any other."""
    if not 2 <= len(name) <= 64:
        return None
    plain = re.sub(r"[^a-z0-9]+", "_", _HUMP.sub("_", name).lower().replace("ñ", "n"))
    if _PASSWORD.search(plain):
        return "PASSWORD"
    return "SECRET" if _TOKEN.search(plain) and not _NO_SECRET.search(plain) else None


_STAND_IN = re.compile(
    r"\[[A-Z][A-Z_]{1,30}_[0-9]{1,6}\]|<[^<>]*>?|\$?\{.*\}?|\$[A-Za-z_]\w*|%\w*%?|[*•.x_X?#\-…]+|\[.*\]?|\w+\(.*"
    r"|(?i:(?:your|my|the|some|insert|enter|add|put|replace|use|a|an|new)[-_ ].*)"
    r"|(?i:(?:os|process|settings|config|self|env|secrets|vars)\.\S*)"
    r"|\.{0,2}/[A-Za-z/_.-]*|(?i:(?:vault|env|file|op|ssm|arn|keyring|ref)(?:://|:).*)"
)
_WORDS = frozenset({
    "password", "passwd", "passphrase", "passwort", "kennwort", "pass", "pwd", "secret", "secrets", "token", "tokens", "key",
    "string", "str", "text", "none", "null", "nil", "true", "false", "yes", "no", "required", "optional", "invalid", "missing",
    "incorrect", "wrong", "empty", "unset", "default", "hidden", "example", "todo", "n/a", "unknown", "number", "integer", "int",
    "boolean", "bool", "any", "undefined", "bearer", "basic", "digest", "oauth", "oauth2", "jwt", "apikey", "api_key", "varchar",
    "enabled", "disabled", "expired", "valid", "reset", "here", "must", "should", "char", "bytes", "object", "array", "input",
    "value", "redacted", "removed", "masked", "filtered", "protected", "encrypted", "hash", "hashed", "password_hash", "username",
    "user", "login", "field", "label", "forgot", "change", "changed", "confirm", "weak", "strong", "was", "is", "has", "not",
    "and", "the", "for", "with", "set", "stored", "field_name", "placeholder", "denied", "failed",
})  # fmt: skip
_PARTS = re.compile(r"[^A-Za-z0-9]+")
_CHANGE = re.compile(r"(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])")
_REFERENCE = re.compile(r"[A-Za-z_]\w*(?:(?:\.|::|->)[A-Za-z_]\w*)+")


def stands_in(value: str) -> bool:
    """Whether a value only stands in for a secret: a placeholder, a type's name, a template, a row of stars."""
    word = value.strip().strip(".,;:!?").lower()
    return not word or word in _WORDS or _STAND_IN.fullmatch(value.strip()) is not None


def is_password(value: str, *, sure: bool) -> bool:
    """Whether the value beside a password's name is one: people choose words, so only what can't be one is let go.

    Without `sure` (no quotes, no JSON) it must hold a digit or a sign: in a sentence, a word after the name is mostly a word.
    """
    if not 4 <= len(value) <= 256 or stands_in(value):
        return False
    if sure:
        return value.count(" ") <= 6
    return _REFERENCE.fullmatch(value) is None and any(not letter.isalpha() for letter in value.strip("-'’"))


def is_token(value: str, *, sure: bool) -> bool:
    """Whether the value beside a key's or token's name is random: no spaces, letters and digits mixed, no words strung together."""
    if not (8 if sure else 12) <= len(value) <= 8192 or stands_in(value) or any(letter.isspace() for letter in value):
        return False
    if not sure and _REFERENCE.fullmatch(value):
        return False
    parts = _PARTS.split(value)
    return any(_random(part, sure=sure) for part in parts)


def _random(part: str, *, sure: bool) -> bool:
    if len(part) < 6:
        return False
    changes = len(_CHANGE.findall(part))
    if changes >= 2 or (changes == 1 and len(part) >= (8 if sure else 12)):
        return True
    humps = sum(1 for a, b in pairwise(part) if a.islower() and b.isupper())
    return part.isalpha() and len(part) >= 16 and humps * 5 >= len(part)


# ── pairs of name and value in running text ─────────────────────────────────────────────────────────────────────────

PASSWORD_TRIGGERS = ("pass", "pw", "kennwort", "contraseña", "пароль", "密码", "パスワード")
SECRET_TRIGGERS = ("secret", "token", "key", "credential", "cookie", "authorization", "sig=", "signature=")

_AROUND = r"""[\\]{0,3}["'`*]{0,2}"""
_JOIN = r"[ \t]{0,3}(?::=|=>|={1,2}|:|：)[ \t]{0,3}|[ \t]{1,2}(?:is|was|lautet|ist|es|est)[ \t]{0,2}:?[ \t]{1,2}|[ \t]{1,2}|>"
_VALUE = (
    r"""[\\]{0,3}(?:"(?P<double>[^"\\\n]{1,256})|'(?P<single>[^'\\\n]{1,256})|`(?P<tick>[^`\n]{1,256})"""
    r"""|(?P<plain>[^\s"'`,;&<>\\](?:[^\s"'`,;&<>\\]|&(?![&"'\s]|#?\w{1,8};|[\w.%\[\]-]{1,40}=|$)){0,511}))"""
)


def _pairs(names: str) -> re.Pattern[str]:
    return re.compile(rf"(?P<name>{names}){_AROUND}(?P<join>{_JOIN}){_VALUE}")


PASSWORD_PAIR = _pairs(
    r"(?i:pass(?:word|wd|phrase|code|wort)|(?<=de )passe|(?<![a-z])pass|(?<![a-z])pwd|(?<![a-z])pw(?![a-z])|kennwort|contraseña|пароль)"
    r"|密码|パスワード"
)
SECRET_PAIR = _pairs(r"(?i:key(?:[ _-]?id)?|secret|token|credentials?|cookie|authorization|(?<=[?&])sig(?:nature)?)")
_KEY_OF = (
    "api", "access", "private", "account", "secret", "encryption", "signing", "master", "service", "shared", "subscription", "deploy",
    "hmac", "webhook", "auth",
)  # fmt: skip

_FLAG = re.compile(r"(?<![\w-])--?[A-Za-z0-9_-]{0,40}$")
_LINE_START = re.compile(r"(?:^|[\n;&?{,(\"'\s])(?:export[ \t]+|set[ \t]+)?[A-Za-z0-9_.-]{0,40}$")


def password_pair(found: re.Match[str], member: str) -> Span | None:
    """The value beside a password's name."""
    return _pair(found, password=True)


def secret_pair(found: re.Match[str], member: str) -> Span | None:
    """The value beside the name of a key or token."""
    start, name = found.start(), found["name"].lower()
    lead = found.string[max(0, start - 20) : start].lower()
    if name.startswith("key") and not lead.rstrip(" _-").endswith(_KEY_OF) and lead[-1:] not in ("?", "&"):
        return None
    if name == "token" and _NO_SECRET.search(re.sub(r"[ -]", "_", lead[-16:] + name)):
        return None
    return _pair(found, password=False)


def _pair(found: re.Match[str], *, password: bool) -> Span | None:
    text, join = found.string, found["join"].strip()
    quoted = next((group for group in ("double", "single", "tick") if found[group] is not None), None)
    group = quoted or "plain"
    value, (start, end) = found[group], found.span(group)
    if quoted is None:
        value = value.rstrip(".)]}:")
        end = start + len(value)
    if not value or PLACEHOLDER.search(value):
        return None
    if join == ">":  # <password>...</password>, and no other tag that ends in the name
        looks = text.startswith("</", end) and text.rfind("<", max(0, found.start() - 40), found.start()) >= 0
        return (start, end) if looks and is_password(value, sure=True) else None
    if not join and _FLAG.search(text[max(0, found.start() - 44) : found.start()]) is None:
        return None  # two words beside each other
    if not password:
        return (start, end) if is_token(value, sure=quoted is not None) else None
    sure = quoted is not None or (join == "=" and _assigned(found, end))
    if quoted is not None and join not in (":", "=", "=>", ":=", "==", "：") and " " in value:
        return None  # a sentence about "the password", with a quotation in it
    return (start, end) if is_password(value, sure=sure) else None


def _assigned(found: re.Match[str], end: int) -> bool:
    """Whether an unquoted word is all that is assigned, as in a file of settings: code has quotes, and goes on after a name."""
    text = found.string
    if found["join"] != "=" or (end < len(text) and text[end] not in "\n\r;& \t\"'"):
        return False
    name = text[max(0, found.start() - 44) : found.start()]
    return _LINE_START.search(name) is not None and found.start("name") >= 0

"""Rows for secrets: keys and tokens that are known by their form, and those that only a name beside them gives away."""

from __future__ import annotations

import base64
import binascii
import re

from detent.redaction import named
from detent.redaction.kinds import Kind, Span, before

_EDGE = r"(?<![A-Za-z0-9])"

_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}?PRIVATE KEY(?: BLOCK)?-----"
    r"(?P<body>(?:\s++|\\{1,3}[rn]|[A-Z][A-Za-z-]{2,20}: [^\n\\]{0,100}|[A-Za-z0-9+/=\"']++)*+)"
    r"(?:-----END [A-Z0-9 ]{0,40}?PRIVATE KEY(?: BLOCK)?-----)?"
)
_LINE_OF_PEM = re.compile(r"[A-Za-z0-9+/=]{24}")


def _private_key(found: re.Match[str], member: str) -> Span | None:
    """A key has at least one line of base64; the mere words `BEGIN PRIVATE KEY` stand in every program that looks for them."""
    return found.span() if _LINE_OF_PEM.search(found["body"]) else None


_KEYS = re.compile(
    _EDGE + r"(?:[sp]k-lf-[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|sk-[A-Za-z0-9_-]{20,}+"
    r"|AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])|gsk_[A-Za-z0-9]{32,}+|xai-[A-Za-z0-9]{40,}+|hf_[A-Za-z0-9]{30,}+"
    r"|r8_[A-Za-z0-9]{30,}+|pplx-[A-Za-z0-9]{32,}+|nvapi-[A-Za-z0-9_-]{40,}+|tvly-[A-Za-z0-9-]{20,}+|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}"
    r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}+|glpat-[A-Za-z0-9_-]{20,}+|dop_v1_[0-9a-f]{64}|shp(?:at|ss|ca|pa)_[0-9a-fA-F]{32}"
    r"|lin_api_[A-Za-z0-9]{32,}+|dapi[0-9a-f]{32}(?![0-9a-z])|GOCSPX-[A-Za-z0-9_-]{24,}+|ya29\.[A-Za-z0-9_-]{20,}+"
    r"|key-[0-9a-f]{32}(?![0-9a-z])|figd_[A-Za-z0-9_-]{30,}+|sntrys_[A-Za-z0-9+/=_-]{40,}+|EAA[A-Za-z0-9]{60,}+)"
)
_PREFIXES = (
    "sk-", "pk-lf-", "aiza", "gsk_", "xai-", "hf_", "r8_", "pplx-", "nvapi-", "tvly-", "sg.", "npm_", "pypi-", "glpat-", "dop_v1_",
    "shpat_", "shpss_", "shpca_", "shppa_", "lin_api_", "dapi", "gocspx-", "ya29.", "key-", "figd_", "sntrys_", "eaa",
)  # fmt: skip
_RUN = re.compile(r"[A-Za-z0-9]{14}")
_DIGIT = re.compile(r"[0-9]")
_SK_SEEN = re.compile(r"sk-(?:ant|proj|svcacct|admin|or)-|[sp]k-lf-")
_ONLY_KEYS = re.compile(
    r"AIza|gsk_|hf_|xai-|npm_|pplx-|lin_api_|(?:glpat-|pypi-|nvapi-|GOCSPX-|figd_|SG\.|sk-ant-)(?=.*[a-z])(?=.*[A-Z0-9])"
)
"""Beginnings that nothing but a key has: one of letters alone is a key too. Where hyphens may follow, letters of one case are words."""


def _api_key(found: re.Match[str], member: str) -> Span | None:
    """Random, not words with hyphens: `sk-learn-contrib-something-long` and `sk-xxxxxxxxxxxxxxxxxxxxxxxx` are no keys."""
    value = found[0]
    if len(set(value)) < 10:
        return None
    if _ONLY_KEYS.match(value):
        return found.span()
    return found.span() if _DIGIT.search(value[3:]) and (_RUN.search(value) or _SK_SEEN.match(value)) else None


_AWS_KEY = re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])")
_AWS_SECRET = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_AWS_REACH = 400


def _near_a_key(text: str) -> list[int]:
    starts: list[int] = []
    at = 0
    for key in _AWS_KEY.finditer(text) if "AKIA" in text or "ASIA" in text else ():
        for found in _AWS_SECRET.finditer(text, max(at, key.start() - _AWS_REACH), key.end() + _AWS_REACH + 41):
            starts.append(found.start())
            at = found.end()
    return starts


def _aws_secret(found: re.Match[str], member: str) -> Span | None:
    """Forty random characters, not far from an access key's id: alone they may be anything."""
    value = found[0]
    mixed = not value.islower() and not value.isupper() and _DIGIT.search(value) is not None
    near = found.string[max(0, found.start() - _AWS_REACH) : found.end() + _AWS_REACH]
    return found.span() if mixed and _AWS_KEY.search(near) else None


_JWT = re.compile(r"(?<![A-Za-z0-9_.-])eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]*+\.[A-Za-z0-9_-]*+(?:\.[A-Za-z0-9_-]++){0,2}")


def _jwt(found: re.Match[str], member: str) -> Span | None:
    """Its first part is the base64 of a JSON object that names an algorithm."""
    head = found[0].partition(".")[0][:2048]
    try:
        said = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))
    except (binascii.Error, ValueError):
        return None
    return found.span() if b'"alg"' in said else None


_BEARER = re.compile(r"(?i:(?P<scheme>bearer|basic|token|apikey))[ \t]{1,3}(?P<value>[A-Za-z0-9._~+/-]{8,}+={0,2})(?![A-Za-z0-9])")
_AUTHORIZATION = re.compile(r"authorization[\\\"'`]{0,4}[ \t]{0,2}[:=,][ \t\\\"'`\[]{0,4}$")


def _bearer(found: re.Match[str], member: str) -> Span | None:
    """What follows `Bearer`, or any scheme of an `Authorization` header; elsewhere it must look random ("the bearer certificate")."""
    header = _AUTHORIZATION.search(before(found, member, 40)) is not None
    value = found["value"]
    if header:
        return None if named.stands_in(value) else found.span("value")
    random = found["scheme"].lower() == "bearer" and len(value) >= 16 and named.is_token(value, sure=False)
    return found.span("value") if random else None


_CONNECTION = re.compile(r"(?<=[A-Za-z0-9])://(?P<user>[^\s:/?#@\"'<>]{0,64}):(?P<value>[^\s/\"'<>]{1,128})@")


def _connection(found: re.Match[str], member: str) -> Span | None:
    value = found["value"]
    return None if named.stands_in(value) else found.span("value")


SECRET_KINDS: tuple[Kind, ...] = (
    Kind(name="PRIVATE_KEY", says="private keys in PEM form", of="secret", triggers=("-----begin",), pattern=_PEM, verify=_private_key),
    Kind(
        name="GITHUB_TOKEN",
        says="GitHub tokens (ghp_, gho_, ghu_, ghs_, ghr_, github_pat_)",
        of="secret",
        triggers=("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        pattern=re.compile(_EDGE + r"(?:gh[pousr]_[A-Za-z0-9]{30,}+|github_pat_[A-Za-z0-9_]{22,}+)"),
    ),
    Kind(
        name="SLACK_TOKEN",
        says="Slack tokens (xoxb- and the like) and webhooks",
        of="secret",
        triggers=("xox", "xapp-", "https://hooks.slack.com/"),
        pattern=re.compile(
            _EDGE + r"(?:xox[abceoprs]-[A-Za-z0-9-]{10,}+|xapp-[0-9]-[A-Za-z0-9-]{10,}+)"
            r"|https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/]{20,}+"
        ),
    ),
    Kind(
        name="STRIPE_KEY",
        says="Stripe secret and restricted keys, webhook secrets",
        of="secret",
        triggers=("sk_live_", "rk_live_", "sk_test_", "rk_test_", "whsec_"),
        pattern=re.compile(_EDGE + r"(?:[sr]k_(?:live|test)_[A-Za-z0-9]{16,}+|whsec_[A-Za-z0-9+/=]{24,}+)"),
    ),
    Kind(
        name="API_KEY",
        says="keys of model providers and other services by their prefix (sk-, sk-ant-, AIza, gsk_, hf_, glpat-, npm_, ...)",
        of="secret",
        triggers=_PREFIXES,
        pattern=_KEYS,
        verify=_api_key,
    ),
    Kind(name="AWS_KEY", says="AWS access key ids (AKIA, ASIA)", of="secret", triggers=("akia", "asia"), pattern=_AWS_KEY),
    Kind(
        name="AWS_SECRET",
        says="AWS secret access keys near an access key id",
        of="secret",
        starts=_near_a_key,
        pattern=_AWS_SECRET,
        verify=_aws_secret,
        by_name=True,
    ),
    Kind(name="JWT", says="JSON web tokens", of="secret", triggers=("eyj",), pattern=_JWT, verify=_jwt),
    Kind(
        name="BEARER",
        says="credentials of an Authorization header",
        of="secret",
        triggers=("bearer", "basic", "token", "apikey"),
        pattern=_BEARER,
        verify=_bearer,
        by_name=True,
    ),
    Kind(
        name="CONNECTION_PASSWORD",
        says="passwords in URLs and connection strings",
        of="secret",
        triggers=("://",),
        pattern=_CONNECTION,
        verify=_connection,
        by_name=True,
    ),
    Kind(
        name="PASSWORD",
        says="values that a name calls a password: `password=...`, a JSON member `password`, `--password ...`",
        of="secret",
        triggers=named.PASSWORD_TRIGGERS,
        pattern=named.PASSWORD_PAIR,
        verify=named.password_pair,
        by_name=True,
    ),
    Kind(
        name="SECRET",
        says="random values that a name calls a key, token or secret",
        of="secret",
        triggers=named.SECRET_TRIGGERS,
        pattern=named.SECRET_PAIR,
        verify=named.secret_pair,
        by_name=True,
    ),
)

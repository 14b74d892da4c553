"""Rows for personal data: what is known by its form and, where there is one, by its check digits.

Numbers are the hard part: an order number looks like a telephone number and a version like an address. Each form here is one that people
write and programs do not, or one that a word beside it explains.
"""

from __future__ import annotations

import ipaddress
import re

from detent.redaction.kinds import Kind, Span, before

_CLUSTER = re.compile(r"[0-9](?:[^0-9\n]{0,6}+[0-9]){6,}+")
"""Seven digits and more, with little between any two: every number that is looked for holds such a cluster, and most texts hold none."""

_NUMBER = re.compile(r"[0-9]+")


def _numbers(text: str) -> list[int]:
    return [found.start() for cluster in _CLUSTER.finditer(text) for found in _NUMBER.finditer(text, *cluster.span())]


_NO_DIGITS = re.compile(r"[^0-9]+")


def digits_of(value: str) -> str:
    """The digits alone."""
    return _NO_DIGITS.sub("", value)


# ── e-mail ──────────────────────────────────────────────────────────────────────────────────────────────────────────

# From the at sign on, so that a text without one costs nothing, and a long word before it is not read again at every letter.
_EMAIL = re.compile(
    r"(?:@|%40|\\u0040|\\uff20)(?P<domain>(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?P<end>[A-Za-z]{2,24}|xn--[A-Za-z0-9-]{2,40}))(?![\w-])",
    re.IGNORECASE,
)
_AT = ("@", "%40", "\\u0040", "\\uff20")
_LOCAL = re.compile(r"[\w.+'!#$&*=?^{|}~-]{1,64}$")
_LOCAL_REACH = 64
_ENDS = frozenset({
    "com", "net", "org", "edu", "gov", "mil", "int", "info", "biz", "name", "pro", "aero", "coop", "museum", "jobs", "mobi",
    "travel", "tel", "asia", "cat", "app", "dev", "cloud", "online", "site", "store", "shop", "blog", "tech", "space", "website",
    "live", "email", "company", "agency", "digital", "studio", "design", "media", "news", "world", "global", "group", "team",
    "work", "works", "life", "today", "systems", "solutions", "services", "support", "network", "software", "technology",
    "finance", "bank", "money", "health", "care", "clinic", "school", "academy", "university", "foundation", "church", "club",
    "center", "consulting", "engineering", "energy", "legal", "law", "expert", "zone", "page", "link", "xyz", "top", "one", "icu",
    "fun", "host", "press", "run", "earth", "ngo", "eco", "bio", "berlin", "london", "paris", "nyc", "swiss", "wien", "hamburg",
    "koeln", "bayern", "saarland", "ruhr", "example", "test", "invalid", "local", "internal", "corp", "lan", "home", "intranet",
    "arpa", "onion", "google", "amazon", "microsoft", "apple",
})  # fmt: skip
_LIBRARY = frozenset({"git", "svn", "hg"})


def _email(found: re.Match[str], member: str) -> Span | None:
    """Needs a name before the at sign and an ending that exists: `logo@2x.png`, `x@w.transpose(` and `git@github.com:` are none."""
    text, start = found.string, found.start()
    local = _LOCAL.search(text[max(0, start - _LOCAL_REACH) : start])
    end = found["end"]
    if local is None or not (end.islower() or end.isupper() or end.istitle()):
        return None
    if len(end) > 2 and not end.startswith("xn--") and end.lower() not in _ENDS:
        return None
    name = local[0].lstrip(".'!#$&*=?^{|}~-")
    after = text[found.end() : found.end() + 1]
    if not name or after in {"(", "["} or (name.lower() in _LIBRARY and after in {":", "/"}):
        return None
    return start - len(name), found.end()


_DOT = r"[ \t]{0,2}(?:\.|[\[({<][ \t]?(?:dot|punkt|punto|point)[ \t]?[\])}>])[ \t]{0,2}"
_SPELT = re.compile(
    rf"[\[({{<][ ]?at[ ]?[\])}}>][ \t]{{0,2}}[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?"
    rf"(?:{_DOT}[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?){{0,6}}{_DOT}(?P<end>[a-z]{{2,24}})(?![\w-])",
    re.IGNORECASE,
)
_SPELT_AT = tuple(f"{a}{gap}at{gap}{b}" for a, b in ("[]", "()", "{}", "<>") for gap in ("", " "))
_SPELT_LOCAL = re.compile(rf"[\w+-]{{1,40}}(?:{_DOT}[\w+-]{{1,40}}){{0,3}}[ \t]{{0,2}}$", re.IGNORECASE)


def _email_spelt(found: re.Match[str], member: str) -> Span | None:
    """`ada [at] example [dot] com`: with an ending that exists, so that "look (at) me.please" is none."""
    start, end = found.start(), found["end"].lower()
    local = _SPELT_LOCAL.search(found.string[max(0, start - 100) : start])
    if local is None or (len(end) > 2 and end not in _ENDS) or found.string[found.end() : found.end() + 1] in {"(", "["}:
        return None
    return start - len(local[0]), found.end()


# ── telephone ───────────────────────────────────────────────────────────────────────────────────────────────────────

_GAP = r"[ \u00a0.\-\u2010-\u2013/]"
_FREE = r"(?<![\w.+\-/#$€£,(])"
_IN_BRACKETS = r"(?<=\()(?<![\w.+\-/#$€£,]\()"
_DIGITS = rf"[0-9](?:{_GAP}{{0,2}}[()]?[0-9]\)?){{6,14}}"
_END = r"(?![\w\-]|[.,/][0-9])"
_FORMS = (
    # International: a plus or two zeros, a calling code, 8 to 15 digits (E.164).
    rf"(?P<plus>(?:(?<=\+)(?<![\w+)]\+)|(?<![\w.,\-+])(?<![0-9] )00(?=[1-9][0-9]{{0,2}}{_GAP}(?:\(0|[1-9])))"
    rf"[1-9](?:{_GAP}{{0,2}}\(?[0-9]\)?){{6,14}})(?!\w|[.,:][0-9])",
    # North America: 415-555-2671, 415.555.2671, (415) 555-2671, with or without a 1.
    rf"(?:{_FREE}1{_GAP}\(?|{_FREE}|{_IN_BRACKETS})[2-9][0-9]{{2}}(?:\){_GAP}?|(?P<dash>[.\-\u2010\u2011]))"
    rf"[2-9][0-9]{{2}}(?(dash)(?P=dash)|{_GAP})[0-9]{{4}}{_END}",
    # France: five pairs.
    rf"{_FREE}(?<![0-9] )0[1-9](?P<gap>[ \u00a0.])[0-9]{{2}}(?:(?P=gap)[0-9]{{2}}){{3}}(?! [0-9]){_END}",
    # With the trunk zero, as in Britain, Germany, Australia: an area in brackets or before a slash, or known beginnings.
    rf"{_IN_BRACKETS}0[1-9][0-9]{{1,4}}\) ?[0-9]{{3,4}}[ \-]?[0-9]{{3,4}}{_END}",
    rf"{_FREE}(?:07[0-9]{{3}} [0-9]{{3}} ?[0-9]{{3}}|01[5-7][0-9][ /\-][0-9]{{7,8}}|02[0-9] [0-9]{{4}} [0-9]{{4}}"
    rf"|0[1-9][0-9]{{1,4}} ?/ ?[0-9]{{4,8}}|0[2-478] [0-9]{{4}} [0-9]{{4}}){_END}",
)
_PHONE = re.compile("|".join(_FORMS))
_PHONE_SAID = re.compile(rf"(?:{_FREE}|{_IN_BRACKETS}){_DIGITS}(?!\w|[.,:/][0-9])")
_WORDS = (
    r"phones?|telephone|telefon(?:nummer)?|téléphone|tel|mobile|mobil|cell(?:phone)?|fax|whatsapp|handy|rufnummer|móvil|celular|telefono"
    r"|teléfono|telefone|numéro|landline|hotline|direct line|contact number|call(?: me| us| him| her| them)?|text me|sms(?: to)?"
    r"|reach (?:me|us|him|her|them)|dial|ring(?: me)?|电话|電話|手机|тел|телефон"
)
_SAID = re.compile(
    rf"(?<![a-z])(?:{_WORDS})(?:[ _-]?(?:number|nummer|no\.?|nr\.?|num))?[^0-9a-z+(]{{0,6}}"
    r"(?:(?:is|at|on|was|ist|under|unter)[ :]{1,2})?\Z"
)
_CALLING_CODE = re.compile(
    r"1[2-9]|7[03-9]|2(?:0|7|[1-46]\d|5\d|9[0179])|3(?:[0-469]|[578]\d)|4(?:[013-9]|2\d)|5(?:[1-8]|0\d|9\d)|6(?:[0-6]|[789]\d)"
    r"|8(?:[1246]|0\d|5\d|7\d|8\d)|9(?:[0-58]|[679]\d)"
)
_DATE = re.compile(r"(?:19|20)\d\d[-./ ](?:0[1-9]|1[0-2])[-./ ]|\d{1,2}[-./ ]\d{1,2}[-./ ](?:19|20)\d\d")


def _phone(found: re.Match[str], member: str) -> Span | None:
    """A form that people write: `+49 30 ...`, `(415) 555-...`."""
    if found["plus"] is not None:
        digits = _same_phone(found["plus"])
        if not (8 <= len(digits) <= 15 and _CALLING_CODE.match(digits) and len(set(digits)) > 2):
            return None
    return _with_sign(found)


def _phone_said(found: re.Match[str], member: str) -> Span | None:
    """Any digits after a word that says so, or in a member whose name does."""
    if _DATE.match(found[0]):
        return None
    return _with_sign(found) if _SAID.search(before(found, member, 40).rstrip("(")) else None


def _with_sign(found: re.Match[str]) -> Span:
    start, end = found.span()
    return (start - 1, end) if found.string[max(0, start - 1) : start] in ("+", "(") else (start, end)


def _same_phone(value: str) -> str:
    return digits_of(value).removeprefix("00")


# ── numbers with check digits ───────────────────────────────────────────────────────────────────────────────────────

_CARD = re.compile(
    r"(?<![\w.+\-/])(?:[2-6][0-9]{3}(?P<s>[ \-\u00a0])[0-9]{4}(?P=s)[0-9]{4}(?P=s)[0-9]{4}(?:(?P=s)[0-9]{3})?"
    r"|[2-6][0-9]{3}(?P<w>[ \-\u00a0])[0-9]{4}(?:\r?\n[0-9]{4}(?P=w)|(?P=w)[0-9]{4}\r?\n)[0-9]{4}"
    r"|3[47][0-9]{2}(?P<a>[ \-\u00a0])[0-9]{6}(?P=a)[0-9]{5}|3[0689][0-9]{2}(?P<d>[ \-\u00a0])[0-9]{6}(?P=d)[0-9]{4}|[2-6][0-9]{12,18})"
    r"(?!\w|[.,][0-9])"
)
_BRANDS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}|(?:50|5[6-8]|6[0-9])\d{14}"
)


_CARD_SAID = re.compile(r"(?:card|visa|amex|karte|carte|tarjeta|cartão|carta|credit|debit|kreditkart)[^0-9]{0,40}$")


def luhn(digits: str) -> bool:
    """Whether the check digit of a payment card is right (ISO/IEC 7812-1, annex B): every second digit from the right doubled."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _card(found: re.Match[str], member: str) -> Span | None:
    """The length and beginning of a brand, and the right check digit; a trailing group of three is tried as no part of it.

    One that is broken into two lines needs a word before it: a table's columns have the right check digit once in ten rows.
    """
    start, end = found.span()
    if "\n" in found[0] and not _CARD_SAID.search(before(found, member, 60)):
        return None
    for stop in (end, end - 4):
        digits = digits_of(found.string[start:stop])
        if _BRANDS.fullmatch(digits) and luhn(digits) and len(set(digits)) > 1 and not found.string[stop : stop + 1].isalnum():
            return start, stop
    return None


_IBAN = re.compile(
    r"(?<=[A-Z]{2})(?<![A-Za-z0-9][A-Z]{2})[0-9]{2}(?:[ \u00a0\-]?[A-Z0-9]){11,30}"
    r"|(?<=[a-z]{2})(?<![A-Za-z0-9][a-z]{2})[0-9]{2}[a-z0-9]{11,30}"
)
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27,
    "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26,
    "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MD": 24,
    "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29,
    "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24,
    "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip


def mod97(iban: str) -> bool:
    """Whether the check digits of an IBAN without spaces are right (ISO 13616: moved to the end, letters as 10 to 35, modulo 97 is 1)."""
    return int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97 == 1


def _iban(found: re.Match[str], member: str) -> Span | None:
    """Cut to the length that its country has, so that words in capitals behind it do no harm."""
    begins = found.start() - 2
    kept = found.string[begins : found.start()].upper()
    length = _IBAN_LENGTHS.get(kept)
    for place, letter in enumerate(found[0], found.start() + 1):
        kept += letter if letter.isalnum() else ""
        if len(kept) == length:
            whole = not found.string[place : place + 1].isalnum()
            return (begins, place) if whole and mod97(kept.upper()) else None
    return None


_SSN = re.compile(r"(?<![\w\-.])(?!000|666|9)(?P<a>[0-9]{3})(?P<s>[\- ]?)(?!00)[0-9]{2}(?P=s)(?!0000)[0-9]{4}(?![\w\-]|[.,][0-9])")
_SSN_SAID = re.compile(r"(?:ssn|social[ _-]?security|\btin\b|taxpayer)[^0-9]{0,24}$")


def _ssn(found: re.Match[str], member: str) -> Span | None:
    """With hyphens as it is; otherwise only after words that say so."""
    return found.span() if found["s"] == "-" or _SSN_SAID.search(before(found, member, 40)) else None


# ── addresses of machines ───────────────────────────────────────────────────────────────────────────────────────────

_IP_BEGINS = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[23][0-9A-Fa-f]{3}:")
_IP = re.compile(
    r"(?<![\w.\-])(?P<four>[0-9]{1,3}(?:\.[0-9]{1,3}){3})(?![\w\-]|\.[0-9])"
    r"|(?<![\w:.])(?P<six>[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4})(?![\w:])"
)
_NUMBERED = re.compile(
    r"(?:version|ver|v|release|section|chapter|rfc|rule|clause|kernel|build|firmware|driver|oid|§|[a-z]+/|[=<>~^]=|\brev)[ .:]{0,2}$"
)
_MACHINE = re.compile(r"(?:\bips?\b|ip.?addr|address|host|server|client|remote|from|peer|login|subnet)[^0-9]{0,12}$")
_SOMEBODY = re.compile(r"(?:\bips?\b|ip.?addr|client|remote|peer|login|user|visitor|caller)[^0-9]{0,12}$")
_RESOLVERS = frozenset({"8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "208.67.222.222", "208.67.220.220"})


def _machines(text: str) -> list[int]:
    return [found.start() for found in _IP_BEGINS.finditer(text)]


def _ip(found: re.Match[str], member: str) -> Span | None:
    """Public ones only. Four small numbers are a version or a section more often than a machine; well-known resolvers are nobody's,
    unless a word before them says whose."""
    try:
        address = ipaddress.ip_address(found[0])
    except ValueError:
        return None
    if not address.is_global or address.is_multicast:
        return None
    if found[0] in _RESOLVERS and not _SOMEBODY.search(before(found, member, 24)):
        return None
    if found["four"] is not None:
        lead = before(found, member, 24)
        small = all(int(part) < 30 for part in found[0].split("."))
        if _NUMBERED.search(lead) or (small and not _MACHINE.search(lead)):
            return None
    return found.span()


def _same_iban(value: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", value.upper())


PERSONAL_KINDS: tuple[Kind, ...] = (
    Kind(name="EMAIL", says="e-mail addresses", of="personal", triggers=_AT, pattern=_EMAIL, verify=_email, same=str.lower),
    Kind(
        name="EMAIL",
        says="e-mail addresses that are spelt out: `ada [at] example [dot] com`",
        of="personal",
        triggers=_SPELT_AT,
        pattern=_SPELT,
        verify=_email_spelt,
        same=str.lower,
    ),
    Kind(
        name="IBAN",
        says="bank accounts (IBAN) whose check digits are right",
        of="personal",
        starts=_numbers,
        pattern=_IBAN,
        verify=_iban,
        same=_same_iban,
    ),
    Kind(
        name="CARD",
        says="payment cards whose check digit is right (Luhn) and whose brand exists",
        of="personal",
        starts=_numbers,
        pattern=_CARD,
        verify=_card,
        same=digits_of,
    ),
    Kind(name="SSN", says="US social security numbers", of="personal", starts=_numbers, pattern=_SSN, verify=_ssn, same=digits_of),
    Kind(
        name="PHONE",
        says="telephone numbers in international, North American and common national forms",
        of="personal",
        starts=_numbers,
        pattern=_PHONE,
        verify=_phone,
        same=_same_phone,
    ),
    Kind(
        name="PHONE",
        says="seven digits and more after a word like `phone` or `call me at`, or in a member with such a name",
        of="personal",
        starts=_numbers,
        pattern=_PHONE_SAID,
        verify=_phone_said,
        same=_same_phone,
    ),
    Kind(name="IP", says="public IPv4 and IPv6 addresses", of="personal", starts=_machines, pattern=_IP, verify=_ip, same=str.lower),
    Kind(
        name="USER",
        says="members of a request that name its user: `user`, `metadata.user_id`, `safety_identifier`, `prompt_cache_key`",
        of="personal",
        by_name=True,
    ),
)

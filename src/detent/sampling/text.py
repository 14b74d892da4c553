"""The text of a prompt, read for likeness: its words, in threes, and the facts that may not differ between two of a kind.

Two prompts are near-duplicates only if most of their words are the same and all of their facts are: "refunds within 30 days" and "refunds
within 60 days" differ in one word of many, and in everything that matters. So numbers, dates, negations and what stands in quotes are a
key that must be equal, in order; the likeness of the rest is a matter of degree.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

MOST_WORDS = 20_000
"""How many words of a text are compared: of a longer one the first and the last half. What makes two texts equal reads them whole."""

LONG = 120
"""From how many words on the opening and closing words of the last message are compared on their own: the question about a long document is
a few words of it."""

EDGE = 12
"""How many words open and close a message."""

# Scripts that write no spaces between words: Thai to Khmer, kana, Han.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_DIGIT = re.compile(r"\d")
_HAN_NEGATIONS = re.compile("[不没沒無无非未别別勿]|ない|ません")
# A quote is closed in the same line and not far from where it opens: an apostrophe must not swallow the rest of the text.
_QUOTED = re.compile('"([^"\n]{1,80})"|`([^`\n]{1,80})`|“([^”\n]{1,80})”|„([^“”\n]{1,80})[“”]|«([^»\n]{1,80})»|「([^」\n]{1,80})」')
_OUTSIDE = ".,;:!?()[]{}<>\"'`*_“”„«»…-/\\|=+#~"

_NEGATIONS = """
no not never none nothing nobody neither nor cannot without unless except only
nicht kein keine keinen keinem keiner nie niemals nichts niemand ohne außer nur
ne pas jamais aucun aucune rien personne sans sauf seulement
nunca jamás ningún ninguna ninguno nada nadie sin salvo sólo solo
não nunca nenhum nenhuma sem exceto non mai nessuno niente senza tranne niet geen nooit zonder
"""
_NUMBERS = """
zero one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty seventy eighty ninety hundred
thousand million billion half double twice first second third last
zwei drei vier fünf sechs sieben acht neun zehn elf zwölf zwanzig dreißig hundert tausend
deux trois quatre cinq sept huit neuf dix vingt trente cent mille dos tres cuatro cinco seis siete ocho nueve diez veinte treinta
"""
_DATES = """
january february march april may june july august september october november december
monday tuesday wednesday thursday friday saturday sunday today tomorrow yesterday
januar februar märz mai juni juli oktober dezember montag dienstag mittwoch donnerstag freitag samstag sonntag heute morgen gestern
janvier février mars avril juin juillet août septembre octobre novembre décembre lundi mardi mercredi jeudi vendredi samedi dimanche
enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
lunes martes miércoles jueves viernes sábado domingo
"""
_FACT_WORDS = frozenset(f"{_NEGATIONS} {_NUMBERS} {_DATES}".casefold().split())
"""What turns a sentence round, and numbers and dates in words."""


def spelled(text: str) -> list[str]:
    """The words of a text in lower case, with the punctuation that stands at them: two texts that differ in spacing and case are one."""
    return text.casefold().split()


_GREETINGS = """
hi|hi there|hi all|hi team|hello|hello there|hello team|hey|hey there|good morning|good afternoon|good evening|good day|greetings
hallo|guten tag|guten morgen|guten abend|moin|servus|grüß gott|bonjour|bonsoir|salut|hola|buenos días|buenas tardes|buenas noches
olá|bom dia|boa tarde|boa noite|ciao|buongiorno|buonasera|salve|hoi|goedemorgen|goedemiddag|goedenavond|hej
"""
_THANKS = """
thanks|thanks a lot|many thanks|thank you|thank you very much|thx|cheers|please|kind regards|best regards
danke|vielen dank|danke schön|bitte|merci|merci beaucoup|merci d'avance|svp|s'il vous plaît|gracias|muchas gracias|por favor
obrigado|obrigada|grazie|per favore|bedankt|dank je|dank u|alvast bedankt|tack
"""
_OPENERS, _CLOSERS = (
    frozenset(tuple(phrase.split()) for phrase in said.casefold().replace("\n", "|").split("|") if phrase) for said in (_GREETINGS, _THANKS)
)
_MOST_GREETING = 4
_AT_ENDS = ".,;:!?…¡¿。，！？、"


def core(words: list[str]) -> list[str]:
    """A message without what only frames it: greetings, thanks, and punctuation before the first and after the last word.

    All of it where nothing else is said. What stands between is untouched: a comma may be what is asked about.
    """
    first, last = 0, len(words)
    while taken := _framing(words[first:last][:_MOST_GREETING], _OPENERS):
        first += taken
    while taken := _framing(words[first:last][-_MOST_GREETING:][::-1], _CLOSERS, backwards=True):
        last -= taken
    left = words[first:last]
    if not left:
        return words
    left[0] = left[0].lstrip(_AT_ENDS) or left[0]
    left[-1] = left[-1].rstrip(_AT_ENDS) or left[-1]
    return left


def _framing(words: list[str], phrases: frozenset[tuple[str, ...]], *, backwards: bool = False) -> int:
    """How many words at this end are a phrase of these, or punctuation alone."""
    bare = [word.strip(_AT_ENDS) for word in words]
    if bare and not bare[0]:
        return 1
    for size in range(len(bare), 0, -1):
        if tuple(bare[:size][::-1] if backwards else bare[:size]) in phrases:
            return size
    return 0


def compared(words: list[str]) -> list[str]:
    """The words that likeness is measured by: at most `MOST_WORDS`; characters for a script that writes no spaces."""
    opening = "".join(words[:LONG])[:2000]
    if not opening.isascii() and len(_UNSPACED.findall(opening)) * 4 > len(opening):
        words = list("".join(words))
    half = MOST_WORDS // 2
    return words if len(words) <= MOST_WORDS else words[:half] + words[-half:]


def fact(word: str) -> str:
    """The word without the punctuation around it, if it is a fact by itself: a number, a date, a negation. Else nothing.

    An amount keeps its sign: `-5`, `$30`, `20%`.
    """
    if word.isalpha():
        return word if word in _FACT_WORDS else ""
    bare = word.strip(_OUTSIDE)
    if bare in _FACT_WORDS or bare.endswith(("n't", "n’t")):
        return bare
    if _DIGIT.search(bare):
        return word.rstrip(".,;:!?)]}\"'") if word[:1] in "-+$€£" else bare
    return ""


def other_facts(words: list[str], joined: str) -> list[str]:
    """The facts that no single word is: what stands in quotes, negations in scripts without spaces; and those among words not compared.

    `joined` is the words with single spaces between them.
    """
    half = MOST_WORDS // 2
    found = [known for word in words[half:-half] if (known := fact(word))] if len(words) > MOST_WORDS else []
    if not joined.isascii() and _UNSPACED.search(joined):
        found += _HAN_NEGATIONS.findall(joined)
    elif joined.isascii() and '"' not in joined and "`" not in joined:
        return found
    return found + ["".join(groups) for groups in _QUOTED.findall(joined)]


def key(parts: Iterable[str], more: bytes = b"") -> bytes:
    """Sixteen bytes that name these texts in this order, and what is to be told apart besides."""
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass") + b"\x1f" + more, digest_size=16).digest()

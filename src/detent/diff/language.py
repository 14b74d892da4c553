"""Which natural language a text is in: by its script, and for Latin letters by its commonest small words. Pure, linear.

Made for one question: did an answer switch language? So it would rather say nothing than guess: code, names, tables and short texts have
none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from detent.diff.vocabulary import words_of

_PROFILES: dict[str, str] = {
    "en": "the of and to in is that for it with as was on are be this have from or by not but what all were we when your can there an which"
    " their said if will each about how up out them then she many some so these would into has more her two him see could no than been its"
    " who now my made did you at they he i do any our us here should after before also only please",
    "de": "der die das und ist nicht ein eine einen einem einer zu den mit von sich auf für im dem des auch es an werden aus er hat dass"
    " sie nach wird bei noch wie einer um am sind haben wir ich ihr ihre ihren kann oder aber vor zur bis mehr durch man nur sehr bitte"
    " wenn",
    "fr": "le la les et est un une des du de que qui dans pour pas au sur par avec il ce plus ne se vous nous sont mais ou votre vos cette"
    " elle aux ont être fait comme leur tout bien peut sans ces je j'ai c'est été son sa ses si très avant après deux",
    "es": "el la los las y es un una de que en por con para se del no al lo su como más pero sus le ha este sí porque esta entre cuando muy"
    " sin sobre también hasta hay donde quien desde todo nos nada antes todos uno les ni contra otros ese eso puede tiene usted está son",
    "it": "il lo la gli le e è un una di che in per con non si del della dei delle al alla da ma come più anche sono ha questo questa suo"
    " sua nel nella tra essere può dal dalla ci se io hanno loro molto degli agli prima dopo quando tutto era su ogni due",
    "pt": "o a os as e é um uma de que em por com para se do da dos das no na não mais como mas ao ele foi sua seu ou quando muito nos já"
    " está eu também só pelo pela até isso ela entre depois sem mesmo aos seus quem nas me esse eles você essa são tem pode ser",
    "nl": "de het een en is van dat niet in op te zijn met voor er maar die aan om ook als dan bij uit nog naar heeft worden wordt je kan"
    " deze dit hij ze wij ons uw zal door over of wat meer geen veel moet u hebben tot was werd onder na tussen zonder",
    "sv": "och att det är en ett som på i av för med den till inte om har de han hon vi jag du så men var från kan när ska skulle också"
    " eller vid efter bara över under mycket detta denna sin hade blir finns er din mer alla utan mellan innan måste ditt din dina"
    " vårt vår våra ert tagit emot kommer",
    "da": "og at det er en et som på i af for med den til ikke om har de han hun vi jeg du så men var fra kan når skal ville også eller ved"
    " efter kun over under meget dette denne sin havde bliver findes din mere alle uden mellem før må hvis dit dine vores jeres kommer"
    " inden",
    "pl": "i w na z się nie to jest do że o jak ale po co tak za od jego jej przez są dla ma być już czy lub oraz tylko jako który która"
    " które może był była bez przed ten ta tego tej ich go pan można również także gdy jeśli we ze proszę",
    "cs": "a v na je se že to s z do o i ale jako za pro po by si podle jsem jsou jeho už která který které nebo tak než být bude také"
    " může ve od při ze co bylo byl byla není jen však má k u aby jejich pokud prosím vás",
    "tr": "ve bir bu da de için ile olarak çok daha olan gibi kadar ne var en sonra ama o her mi ise değil olduğu göre ki veya ya hem"
    " şey ben sen biz siz onun bunu tüm tarafından olduğunu önce iki içinde lütfen",
    "fi": "ja on ei se että oli hän mutta ovat kun niin myös joka kuin jos tai sen ole olla voi mitä vain nyt sitä tämä jo siitä sekä"
    " mukaan ennen jälkeen kaikki hyvin te minä sinä me he ne kanssa jotka tämän voit olet",
    "ro": "și de la în a cu pe nu este un o din că se mai pentru care ce sau dar au fost prin după sunt al ale lui am fi acest această"
    " dacă până fără între foarte când cum doar vă poate are dumneavoastră",
    "hu": "a az és hogy nem is egy ez van de meg ha csak már mint még volt el vagy ki azt kell lehet nagyon amely minden ezt után majd"
    " fel úgy mert sem ami akkor között szerint által lesz önnek kérjük",
    "id": "yang dan di itu dengan untuk tidak ini dari dalam akan pada juga saya ke karena tersebut bisa ada mereka lebih kata tahun"
    " sudah atau saat oleh menjadi orang adalah anda kami kita telah dapat seperti hanya bagi setelah sebelum harus",
    "vi": "và của là có cho không được trong một các với những này đã từ để khi người như đến về ra sẽ cũng tôi nhưng phải vào bạn"
    " hoặc nếu thì tại theo nhiều sau trước bị còn chúng",
}
"""The commonest words of each language."""

_WORDS: dict[str, tuple[str, ...]] = {}
for _code, _words in _PROFILES.items():
    for _word in dict.fromkeys(_words.split()):
        _WORDS[_word] = (*_WORDS.get(_word, ()), _code)

_GERMAN = words_of("der die das und ist nicht ein eine einen zu den mit von sich für im dem auf wird sie ihr ihre wir bei nach oder")
_NOT_GERMAN = words_of("the of and to is this for with that le la les et des que los las una del il che non het een van")


def capital_nouns(words: frozenset[str]) -> bool:
    """Whether a text, by its words in small letters, is German: it writes every noun with a capital, so that capitals tell no names."""
    signs = len(words & _GERMAN)
    return signs >= 2 and signs > len(words & _NOT_GERMAN)


_SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("zh", re.compile("[\u3400-\u9fff]")),
    ("ko", re.compile("[\uac00-\ud7af\u1100-\u11ff]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
)
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+")
_UKRAINIAN, _PERSIAN = re.compile("[іїєґІЇЄҐ]"), re.compile("[پچژگ]")
_TOKEN = re.compile(r"[^\W\d_]+")
_NO_WORDS = re.compile(r"https?://\S+|`[^`\n]*`|\b\S*[/_@\\]\S*")
_MOST = 3000  # characters that are looked at
_FEWEST_WORDS = 6
_FEWEST_SIGNS = 8
_SURE = 1000


def scores(text: str, words: Sequence[str] | None = None) -> Counter[str]:
    """How much speaks for each language, by its ISO 639-1 code. `words`: the text's words in small letters, if they are known."""
    if not text.isascii():
        text = text[:_MOST]
        other = _by_script(text)
        if other is not None:
            return Counter({other: _SURE}) if other else Counter()
        words = None
    if words is None or len(words) > 500:
        words = _TOKEN.findall(_NO_WORDS.sub(" ", text[:_MOST]).lower())
    return _by_words(words)


def of(text: str, words: Sequence[str] | None = None) -> str | None:
    """The language that most of a text is in, or None where it can't be told."""
    found = scores(text, words).most_common(2)
    return found[0][0] if found and (len(found) == 1 or found[0][1] > found[1][1]) else None


def switched(before: Counter[str], after: Counter[str]) -> tuple[str, str] | None:
    """The two languages, where each text speaks clearly for its own and not for the other's: Danish is no Swedish for a few words."""
    if not before or not after:
        return None
    (one, mine), (other, theirs) = before.most_common(1)[0], after.most_common(1)[0]
    if one == other or 2 * before[other] > mine or 2 * after[one] > theirs:
        return None
    return one, other


def _by_script(text: str) -> str | None:
    """The language of a script other than Latin, `""` where it is too little to tell, None for Latin."""
    counts = {code: len(script.findall(text)) for code, script in _SCRIPTS}
    most = sum(counts.values())
    latin = sum(map(len, _LATIN.findall(text)))
    if most == 0 or latin > 3 * most:
        return None
    if most < _FEWEST_SIGNS:
        return None if latin > most else ""
    if counts["ja"] >= 0.1 * (counts["ja"] + counts["zh"]) > 0 and counts["ja"] + counts["zh"] > most / 2:
        return "ja"
    code = max(counts, key=lambda name: counts[name])
    if code == "ru" and _UKRAINIAN.search(text):
        return "uk"
    return "fa" if code == "ar" and _PERSIAN.search(text) else code


def _by_words(words: Sequence[str]) -> Counter[str]:
    """How many of the words are common ones of each language; nothing where the commonest language has less than an eighth of them."""
    hits: Counter[str] = Counter()
    if len(words) < _FEWEST_WORDS:
        return hits
    for word in words:
        for code in _WORDS.get(word, ()):
            hits[code] += 1
    return hits if hits and max(hits.values()) >= max(3, len(words) / 8) else Counter()

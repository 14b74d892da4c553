"""Lists of words: which ones say little, deny, turn a sentence round, or hedge; and how a list is written down."""

from __future__ import annotations


def words_of(text: str) -> frozenset[str]:
    """The words of a text, each once."""
    return frozenset(text.split())


def either(*branches: str, end: str = "") -> str:
    """A pattern for any of the branches, then `end`."""
    return f"(?:{'|'.join(branches)}){end}"


SMALL = words_of(
    "the a an of and to in is that for it with as was on are be this have from or by not but what all were we when your can there which "
    "their will each about how up out then them she so these would into has her him see could no than been its who now did you at they he "
    "i do any our us here should also only please if may might just very der die das und ist ein eine zu den mit von sich auf für im dem "
    "des le la les et est un une du de que qui dans pour au sur par avec el los las y en por con para se del al lo su il gli e di per si"
)
"""Words that say little by themselves, in English and some of the other languages."""

NEGATIONS = words_of(
    "not no never none nobody nothing neither nor without cannot can't won't don't doesn't didn't isn't aren't wasn't weren't hasn't "
    "haven't hadn't shouldn't wouldn't couldn't mustn't needn't ain't unable hesitate forget fail fails failed lack lacks avoid prevent "
    "prevents refuse refuses hardly excluded excludes exclude except forbidden prohibited banned impossible nicht kein keine keinen "
    "keiner keinem nie niemals ohne pas jamais aucun aucune sans nunca sin ningún ninguna senza nessun nessuna não sem nenhum nenhuma "
    "niet geen nooit zonder inte aldrig utan ikke uden bez не нет ни никогда без 不 没 未 無 无"
)
"""Words that deny."""

_PAIRS = (
    "allowed forbidden|allowed prohibited|permitted forbidden|permitted prohibited|accept reject|accepted rejected|approve reject|"
    "approved rejected|approved denied|accepted denied|granted denied|increase decrease|increased decreased|increases decreases|"
    "increasing decreasing|rise fall|rises falls|rose fell|rising falling|grew shrank|gain loss|gained lost|won lost|pass fail|"
    "passed failed|passes fails|true false|before after|above below|over under|more less|more fewer|most least|higher lower|"
    "highest lowest|greater smaller|larger smaller|longer shorter|faster slower|earlier later|early late|first last|maximum minimum|"
    "max min|open closed|opened closed|opens closes|enabled disabled|enable disable|on off|active inactive|included excluded|"
    "includes excludes|include exclude|add remove|added removed|buy sell|bought sold|safe unsafe|safe dangerous|possible impossible|"
    "legal illegal|valid invalid|correct incorrect|correct wrong|right wrong|good bad|better worse|best worst|positive negative|"
    "profit loss|profitable unprofitable|refundable nonrefundable|eligible ineligible|free paid|hot cold|warm cold|hard soft|"
    "inside outside|left right|up down|full empty|present absent|success failure|successful unsuccessful|succeeded failed|"
    "supports opposes|supported opposed|for against|required optional|mandatory optional|public private|internal external|"
    "available unavailable|in-stock out-of-stock|complete incomplete|completed pending|confirmed cancelled|confirmed canceled|"
    "agree disagree|agreed disagreed|cheaper costlier|stronger weaker|start end|starts ends|begins ends|arrive depart|arrives departs|"
    "arrival departure|import export|credit debit|expand contract|upgrade downgrade|ascending descending|odd even|major minor|"
    "urgent routine|guilty innocent|innocent guilty"
)


def _opposites() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for pair in _PAIRS.split("|"):
        one, other = pair.split()
        if not NEGATIONS & {one, other}:  # those are counted already; twice would be none
            found[one] = found.get(one, frozenset()) | {other}
            found[other] = found.get(other, frozenset()) | {one}
    return found


OPPOSITES = _opposites()
"""Words and those that say the opposite."""

PREFIXES = ("un", "in", "im", "ir", "il", "non", "dis")
"""What makes a word its own opposite."""

OUTRIGHT = words_of(
    "allegedly apparently arguably conceivably maybe might perhaps possibly potentially presumably probably reportedly seemingly "
    "supposedly tentatively uncertain unsure"
)
"""Words that hedge by themselves."""

WEAK = words_of("appear appears could likely may seem seems somewhat suggest suggests tend tends")
"""Words that hedge when they come in number."""

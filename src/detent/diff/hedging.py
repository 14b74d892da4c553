"""How unsure an English text sounds: the phrases that hedge, each looked for only where one of its words stands. Pure, linear."""

from __future__ import annotations

import re

from detent.diff.vocabulary import OUTRIGHT, WEAK, either, words_of


def _phrases(keys: str, *patterns: str) -> tuple[frozenset[str], re.Pattern[str]]:
    """Phrases, and the words of which at least one stands in each of them."""
    return words_of(keys), re.compile(rf"\b{either(*patterns)}\b")


_CANT = either("can't", "cannot", "can not", "couldn't", "unable to")
_SOFTLY = r"(?:(?:would|could|do|still|just|only|personally|really|honestly) )?"
_THINK = "think|believe|guess|suppose|assume|suspect|imagine|reckon|gather|presume|expect|doubt|wonder"
_BELIEF = "knowledge|understanding|recollection|impression|sense|guess|belief|hunch|assumption|feeling"
_PHRASES = (
    _phrases(
        "think believe guess suppose assume suspect imagine reckon gather presume expect doubt wonder say venture argue",
        rf"(?:i|we) {_SOFTLY}(?:{_THINK})",
        "i'd (?:say|guess|think|imagine|venture|assume|expect)",
        "(?:i would|one could) (?:say|argue)",
    ),
    _phrases(
        "sure certain confident positive",
        r"not (?:\w+ )?(?:sure|certain|confident|positive)",
        rf"{_CANT} be (?:\w+ )?(?:sure|certain)",
        "without being sure",
    ),
    _phrases(
        "say tell confirm guarantee guaranteed verify rule know knows",
        rf"(?:i|we) {_CANT} (?:say|tell|confirm|guarantee|verify|rule out)",
        "(?:hard|difficult|tough|impossible) to (?:say|tell|know)",
        "for all (?:i|we) know",
        *("no guarantee", "not guaranteed", "who knows"),
        "(?:as|so) far as (?:i|we)",
    ),
    _phrases(
        "appears seems looks sounds seem appear possible likely probable conceivable plausible thought believed could may",
        "it (?:appears|seems|looks|sounds)",
        r"it is (?:\w+ )?(?:possible|likely|probable|conceivable|plausible|thought|believed)",
        "it (?:could|may) be",
        "(?:seems?|appears?) (?:to|that|like)",
        *("looks like", "likely that", "may or may not"),
    ),
    _phrases(
        "knowledge understanding recollection impression sense guess belief hunch assumption feeling opinion view estimation experience"
        " estimate",
        rf"my (?:\w+ )?(?:{_BELIEF})",
        "in my (?:opinion|view|estimation|experience)",
        *("at a guess", "best estimate"),
    ),
    _phrases(
        "wrong mistaken off misremembering",
        either(
            "(?:i|we) (?:could|may|might) (?:well )?be",
            "(?:i|we)(?:'m| am|'re| are) not",
            *("correct me if i'm", "unless i'm"),
            end=" (?:wrong|mistaken|off|misremembering)",
        ),
    ),
    _phrases("remember recall memory serves", "if (?:i (?:remember|recall)|memory serves)"),
    _phrases(
        "chance possibility probability likelihood chances odds",
        "(?:good|fair|some|slight|decent|strong|a) (?:chance|possibility|probability|likelihood)",
        "(?:chances|odds) are",
        "in all (?:likelihood|probability)",
    ),
    _phrases(
        "quote salt clear unclear speak kind sort check checked confirmation understand",
        *("don't quote", "(?:grain|pinch) of salt", r"not (?:\w+ )?clear", "(?:it|this|that|which) (?:is|remains) unclear"),
        *("so to speak", "(?:kind|sort) of", "please double[- ]check", "without having checked"),
        *("subject to (?:error|confirmation)", "from what (?:i|we) (?:can|understand|know)"),
    ),
)
KEYS = OUTRIGHT | WEAK | frozenset[str]().union(*(keys for keys, _ in _PHRASES))
"""Without any of these words nothing hedges."""


def hedges(text: str, found: frozenset[str]) -> tuple[int, int, str]:
    """How many phrases of a text hedge, how many words may (`may`, `likely`), and the first of them. `found`: its words."""
    hints = KEYS & found
    if not hints:
        return 0, 0, ""
    strong, weak = sorted(hints & OUTRIGHT), sorted(hints & WEAK)
    flat = ""
    for keys, pattern in _PHRASES:
        if not keys.isdisjoint(hints):
            flat = flat or " ".join(text.lower().replace("’", "'").split())
            strong += [match[0] for match in pattern.finditer(flat)]
    return len(strong), len(weak), (strong or weak or [""])[0]

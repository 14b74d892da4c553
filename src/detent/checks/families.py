"""Who made a model: a judge is never of a family it judges, since models prefer answers that sound like their own. Pure.

Panickssery, Bowman and Feng (2024), "LLM evaluators recognize and favor their own generations".
"""

from __future__ import annotations

import re

MAKERS: dict[str, tuple[str, ...]] = {
    "OpenAI": ("gpt", "chatgpt", "o1", "o3", "o4", "codex", "davinci", "babbage"),
    "Anthropic": ("claude",),
    "Google": ("gemini", "gemma", "palm", "bison"),
    "Meta": ("llama", "codellama"),
    "Mistral": ("mistral", "mixtral", "ministral", "codestral", "magistral", "devstral", "pixtral", "voxtral"),
    "Alibaba": ("qwen", "qwq", "qvq"),
    "DeepSeek": ("deepseek",),
    "xAI": ("grok",),
    "Cohere": ("command", "aya"),
    "Microsoft": ("phi", "wizardlm"),
    "Amazon": ("nova", "titan"),
    "AI21": ("jamba", "jurassic"),
    "Zhipu": ("glm", "chatglm"),
    "Moonshot": ("kimi", "moonshot"),
    "NVIDIA": ("nemotron",),
    "MiniMax": ("minimax", "abab"),
    "IBM": ("granite",),
    "01.AI": ("yi",),
}
"""Maker, and the words that their model ids carry, with digits after them or not (`llama3`, `qwen2`)."""

_MAKER_OF = {word: maker for maker, words in MAKERS.items() for word in words}
_WORD = re.compile(r"[a-z0-9]+")


def families(model: str) -> frozenset[str]:
    """The makers that a model id names; two for a distilled one (`deepseek-r1-distill-qwen-32b`).

    An id that names none is of a family of its own, by its first word after any path: `atlas-2026-03-01` and `lab/atlas-mini` are of one.
    """
    words = _WORD.findall(model.lower())
    found = {_MAKER_OF.get(word) or _MAKER_OF.get(word.rstrip("0123456789")) for word in words} - {None}
    return frozenset(str(maker) for maker in found) or frozenset(_WORD.findall(model.lower().rpartition("/")[2])[:1])


def related(judge: str, judged: str) -> str | None:
    """The family that both ids are of, or None."""
    common = families(judge) & families(judged)
    return min(common) if common else None

"""Sampling: which prompts of recorded traffic become cases, and how much of it each stands for. Pure.

features.py  an exchange -> its prompt, its strata, its words        text.py     a prompt's words, and the facts that may not differ
hashing.py   words as numbers                                        tables.py  exchanges in columns
near.py      near-duplicates by MinHash                              draw.py    a stratified draw, and the weights
choose.py    all of these together                                   traffic.py shares of traffic, and when a baseline is stale
"""

from __future__ import annotations

from detent.sampling.features import STRATA, Features, cut_back, of_exchange, of_request, template_of
from detent.sampling.traffic import Traffic, profile, shares, stale

__all__ = ["STRATA", "Features", "Traffic", "cut_back", "of_exchange", "of_request", "profile", "shares", "stale", "template_of"]

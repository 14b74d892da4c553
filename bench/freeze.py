"""Freezing a baseline: seconds and memory for so many journal rows on SQLite, and how well near-duplicates are found.

    python bench/freeze.py [--rows 1000000] [--cases 200] [--processes 2] [--place /tmp]
    python bench/freeze.py --recall [--texts 5000]

The rows are chat requests of about 1.8 kB under ten system prompts, with numbers and names of their own: 60 % new, 20 % said before, word
for word, 20 % said before with a few other words, and one row in 500 in a stratum of its own (a tool is called, in German). Making them
takes a few minutes and is not timed; they are kept in --place for the next time. `--recall` counts, among texts of one template without
facts, the near-duplicates that brute force finds and the bands find as well.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from detent import wire
from detent.baseline.freezing import freeze
from detent.sampling.hashing import hashed
from detent.sampling.near import EDGE_PLACES, LIKE, PLACES, Likeness, near_duplicates, signatures
from detent.store import Store, open_store
from detent.terms import Answer, Baseline, BaselineStage, Endpoint, RecordPolicy, Route, Usage, micros

BEGAN_US = micros(datetime(2026, 5, 1, tzinfo=UTC))
EVERY_US = 2_000_000
TEMPLATES = 10
RARE = 500
ENGLISH = "the of and to is that it for on with as be this have from or by not what were when can said there which how if will your please"
GERMAN = "der die das und ist nicht ein eine mit von auf für sich auch als werden aus hat dass nach wird bei noch haben oder aber bitte"
ROUTE = Route(name="support", provider="openai", version="atlas", owner="bench", checks=(), record=RecordPolicy(bodies=1.0))


class Talk:
    """Makes texts: Zipf-distributed words of a language, with numbers and names in between."""

    def __init__(self, rng: random.Random, common: str) -> None:
        letters = "abcdefghijklmnopqrstuvwxyz"
        made = ["".join(rng.choices(letters, k=rng.randint(3, 11))) for _ in range(8000)]
        small = common.split()
        self.rng, self.words = rng, small + made
        weights = [4.0 / len(small)] * len(small) + [1.0 / rank for rank in range(1, len(made) + 1)]
        self._upto = list(accumulate(weights))

    def say(self, count: int) -> list[str]:
        """So many words."""
        return self.rng.choices(self.words, cum_weights=self._upto, k=count)

    def prompt(self, facts: int = 5) -> list[str]:
        """A text with some facts in it."""
        said = self.say(self.rng.randint(150, 240))
        for _ in range(facts):
            fact = self.rng.choice(
                (f"{self.rng.randrange(10_000_000)}", f'"{self.rng.choice(self.words).title()}"', f"{self.rng.randrange(90)} days")
            )
            said.insert(self.rng.randrange(len(said)), fact)
        return said

    def reworded(self, said: list[str], words: int = 4) -> list[str]:
        """The text with about so many other words in it, and the same facts."""
        said = list(said)
        for _ in range(words):
            at = self.rng.randrange(15, len(said) - 15)
            if said[at].isalpha():
                said[at] = self.rng.choice(self.words)
        return said


def rows(count: int) -> Iterator[tuple[dict[str, Any], bytes, bytes]]:
    """(leg, request, answer) of so many exchanges."""
    rng = random.Random(7)
    english, german = Talk(rng, ENGLISH), Talk(rng, GERMAN)
    systems = [f"You are assistant {n}. " + " ".join(english.say(60)) for n in range(TEMPLATES)]
    tools = [
        {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"id": {"type": "integer"}}}}}
    ]
    said: list[tuple[int, list[str]]] = []
    for number in range(count):
        rare = number % RARE == RARE - 1
        kind = rng.random()
        if rare:
            template, words = 0, german.prompt()
        elif kind < 0.6 or not said:
            template, words = min(int(rng.expovariate(0.4)), TEMPLATES - 1), english.prompt()
            said = said if len(said) < 20_000 else said[10_000:]
            said.append((template, words))
        else:
            template, words = rng.choice(said)
            words = words if kind < 0.8 else english.reworded(words)
        messages = [{"role": "system", "content": systems[template]}, {"role": "user", "content": " ".join(words)}]
        request = {"model": "support", "messages": messages, "temperature": 0.2, "user": f"u{number % 5000}"} | (
            {"tools": tools} if rare else {}
        )
        body = msgspec.json.encode(request)
        answer = Answer(text=" ".join(english.say(40)), finish_reason="stop", model="atlas", usage=Usage(input=400, output=60))
        yield _leg(number, wire.read_head(Endpoint.OPENAI_CHAT, (), body).template, rare), body, msgspec.json.encode(answer)


def _leg(number: int, template: str, called: bool) -> dict[str, Any]:
    at_us = BEGAN_US + number * EVERY_US
    return {
        "leg": f"le_{number:024x}", "spool": "bench", "exchange": f"ex_{number:024x}", "at_us": at_us, "gateway": "gw", "revision": 1,
        "route": ROUTE.name, "rollout": None, "period": 0, "role": "served", "arm": "stable", "arm_served": "stable", "why": "static",
        "randomised": 0, "unit_kind": "session", "unit": f"{number:032x}", "session": f"{number // 3:032x}", "requested": ROUTE.name,
        "provider": "openai", "model": ROUTE.version, "endpoint": "openai_chat", "stream": 0, "attempt": 0, "template": template,
        "outcome": "complete", "result_us": at_us + 900_000, "status": 200, "finish_reason": "stop", "answered_model": "atlas",
        "input_tokens": 400, "output_tokens": 60, "latency_s": 0.9, "step": 1, "refusal": 0, "answer_chars": 240,
        "tools_called": '["look_up"]' if called else None,
    }  # fmt: skip


def build(place: Path, count: int) -> Store:
    """A store with so many rows; the one that is there already if it has as many."""
    store = open_store(f"sqlite:///{place / 'state.db'}")
    if store.journal.count() == count:
        return store
    began = time.perf_counter()
    raw = sqlite3.connect(place / "journal.db", isolation_level=None)
    raw.execute("PRAGMA synchronous=OFF")
    raw.execute("BEGIN")
    for number, (leg, request, answer) in enumerate(rows(count)):
        if number == 0:
            columns = ", ".join(f'"{name}"' for name in leg)
            into = f"INSERT INTO legs ({columns}) VALUES ({', '.join('?' * len(leg))})"
        raw.execute(into, tuple(leg.values()))
        raw.execute("INSERT INTO bodies (leg, request, answer) VALUES (?, ?, ?)", (leg["leg"], request, answer))
    raw.execute("COMMIT")
    raw.close()
    print(
        f"made {count:,} rows in {time.perf_counter() - began:.0f} s: {(place / 'journal.db').stat().st_size / 2**30:.1f} GiB", flush=True
    )
    return store


class Memory:
    """The most memory that this process and its children held at one time, in MiB, watched every 100 ms."""

    def __init__(self) -> None:
        self.most, self._over = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *how: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.most = max(self.most, sum(map(_resident, _family())))


def _family() -> list[str]:
    try:
        children = Path("/proc/self/task").glob("*/children")
        return ["self", *(name for path in children for name in path.read_text().split())]
    except OSError:
        return ["self"]


def _resident(process: str) -> float:
    """MiB of a process, the libraries that it shares with others included."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, IndexError):  # it has just ended
        return 0.0


def told(frozen: Baseline, took: float, count: int, most: float) -> str:
    """The figures."""
    off = max(
        abs(share - sum(c.weight for c in frozen.cases if c.strata.get(name) == value) / sum(c.weight for c in frozen.cases))
        for name, shares in frozen.strata.items()
        for value, share in shares.items()
    )
    there = {(name, value) for case in frozen.cases for name, value in case.strata.items()}
    values = {(name, value) for name, shares in frozen.strata.items() for value in shares}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{count:,} rows  {took:.1f} s  {count / took:,.0f} rows/s  memory {most:,.0f} MiB in all, {peak:,.0f} MiB of the parent\n"
        f"{len(frozen.cases)} cases, weights add up to {sum(c.weight for c in frozen.cases):,.0f} of {frozen.read:,} read, "
        f"coverage {frozen.coverage:.3f}\n"
        f"strata kept {len(there & values)} of {len(values)}, weighted shares off by {off:.4f} at most, "
        f"rare stratum {sum(c.strata.get('language') == 'de' for c in frozen.cases)} cases"
    )


def recall(count: int) -> str:
    """How the bands do against brute force: every text against all that were kept before it, in order, by signature and by true sets."""
    rng = random.Random(3)
    talk = Talk(rng, ENGLISH)
    texts: list[list[str]] = []
    for number in range(count):
        texts.append(talk.prompt(0) if number % 2 == 0 else talk.reworded(rng.choice(texts), rng.randrange(1, 14)))
    nobody = np.zeros(count, dtype=np.uint64)
    prompts = Likeness(signatures([hashed(words) for words in texts], PLACES), signatures([hashed([])] * count, EDGE_PLACES), nobody)
    began = time.perf_counter()
    stands_for = near_duplicates(prompts)
    took = time.perf_counter() - began
    gone = stands_for != np.arange(count)
    sets = [frozenset(zip(words, words[1:], words[2:], strict=False)) for words in texts]

    def alike(one: np.int64 | int, other: np.int64 | int) -> float:
        return len(sets[one] & sets[other]) / len(sets[one] | sets[other])

    kept = np.zeros(count, dtype=bool)
    by_signature = np.zeros(count, dtype=bool)
    by_sets = np.zeros(count, dtype=bool)
    for row in range(count):
        before = np.flatnonzero(kept[:row])
        by_signature[row] = ((prompts.whole[before] == prompts.whole[row]).mean(axis=1) >= LIKE).any()
        kept[row] = not by_signature[row]
        by_sets[row] = any(alike(row, other) >= LIKE for other in np.flatnonzero(~gone[:row]))
    merged = [alike(row, stands_for[row]) for row in np.flatnonzero(gone)]
    return (
        f"{count:,} texts in {took:.2f} s: {int(gone.sum())} went, by brute force over signatures {int(by_signature.sum())}; "
        f"recall {(gone & by_signature).sum() / by_signature.sum():.3f} of those\n"
        f"like one that was kept before them by true Jaccard: {int(by_sets.sum())}, {(gone & by_sets).sum() / by_sets.sum():.3f} "
        f"of them went; true Jaccard of what went: least {min(merged):.2f}, under {LIKE - 0.1:.1f}: {sum(j < LIKE - 0.1 for j in merged)}"
    )


def main() -> None:
    """Build, freeze, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--processes", type=int)
    parser.add_argument("--place", type=Path, default=Path("/tmp"))
    parser.add_argument("--recall", action="store_true")
    parser.add_argument("--texts", type=int, default=5000)
    arguments = parser.parse_args()
    if arguments.recall:
        print(recall(arguments.texts))
        return
    place = arguments.place / f"detent-bench-freeze-{arguments.rows}"
    place.mkdir(exist_ok=True)
    store = build(place, arguments.rows)
    with Memory() as memory:
        began = time.perf_counter()
        frozen = freeze(store, ROUTE, datetime.now(UTC), limit=arguments.cases, stage=BaselineStage(), processes=arguments.processes)
        took = time.perf_counter() - began
    store.close()
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
    print(f"{cpu:.1f} s of processor time in all; load of the machine {os.getloadavg()[0]:.1f}")
    print(told(frozen, took, arguments.rows, memory.most))


if __name__ == "__main__":
    main()

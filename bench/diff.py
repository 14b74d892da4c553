"""Diff 10,000 prompts x 5 repeats x 2 versions against the known-good with all named changes and all rule checks: `python bench/diff.py`.

The answers are what one sees in practice: 300-1500 characters of prose, JSON, lists or code; of both versions' answers 70 % are the
known-good itself or nearly so (another word, another space), 30 % are reworded, reformatted or wrong. `--worst` also makes every answer
differ. Bar: 10 s on 2 cores for the first. `grade_all` is how the work is spread: a case goes to one process with all its answers, as what
was worked out about its known-good is kept there; equal answers of a case are graded once. Ends with 1 above the bar.
"""

from __future__ import annotations

import argparse
import gc
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))

import changed
import pairs
from detent import checks
from detent.checks import CHECKS, Graded
from detent.diff import Asked, changes
from detent.terms import Answer, Prompt, Score

BAR_S = 10.0
RULES = tuple(name for name in CHECKS if name not in ("tone", "task_complete"))

Case = tuple[Asked, Answer, tuple[Answer, ...]]
"""What was asked, the known-good, and the answers of both versions."""

_DAMAGES = (pairs.opening, pairs.closing, pairs.hedging, pairs.bold, pairs.as_list, pairs.fence, pairs.artefact)


def case(seed: int, number: int, repeats: int, different: float) -> Case:
    """One prompt, its known-good, and `2 * repeats` answers of which `different` are another text."""
    random = Random(seed * 1_000_003 + number)
    world = pairs.WORLDS["tuned" if random.random() < 0.6 else "held out"]
    parts = [pairs.say(random, world.subject(random, english=random.random() < 0.8)) for _ in range(random.randint(1, 4))]
    is_json = random.random() < 0.4
    value = pairs.record(parts[0], random) | {"notes": [part.text() for part in parts[1:]]}

    def write(reworded: bool) -> str:
        said = [part.reworded(random) if reworded else part for part in parts]
        if is_json:
            return pairs.dumped(value | {"notes": [part.text() for part in said[1:]], "summary": said[0].text()}, Random(number))
        return "\n\n".join(part.text() for part in said)

    good = write(False)
    answers = []
    for _ in range(2 * repeats):
        draw = random.random()
        if draw >= different:
            near = random.random() < 0.3
            answers.append(pairs.text(good.replace(" the ", random.choice((" this ", " the  ", " that ")), 1) if near else good))
        else:
            text = write(random.random() < 0.7)
            text = random.choice(_DAMAGES)(random, world, text) if random.random() < 0.5 else text
            answers.append(pairs.text(text if text != good else text + f" See page {random.randint(2, 99)}."))
    asked = pairs.asked(parts[0])
    asked = Asked(
        prompt=Prompt(
            messages=asked.prompt.messages, tools=asked.prompt.tools, json_asked=is_json, schema=changed.SCHEMA if is_json else None
        ),
        context="\n".join(f"{key}: {value}" for part in parts for key, value in part.facts.items())
        + "\n"
        + parts[0].reworded(random).text(),
    )
    return asked, pairs.text(good), tuple(answers)


def grade(one: Case) -> list[tuple[tuple[str, ...], int]]:
    """The names of the changes and how many rules passed, for each answer of a case; equal answers once."""
    asked, good, answers = one
    known: dict[Answer, tuple[tuple[str, ...], int]] = {}
    grades = []
    for answer in answers:
        found = known.get(answer)
        if found is None:
            scores = checks.run(RULES, Graded(asked.prompt, answer, good, asked.context))
            names = tuple([change.name for change in changes(good, answer, asked)])
            found = known[answer] = names, sum([isinstance(score, Score) and score.passed for score in scores])
        grades.append(found)
    return grades


def grade_all(cases: Sequence[Case], processes: int) -> Iterator[list[tuple[tuple[str, ...], int]]]:
    """The grades of all cases, in order, by several processes."""
    if processes == 1:
        yield from map(grade, cases)
        return
    _inherited[:] = cases
    with ProcessPoolExecutor(processes, mp_context=get_context("fork"), initializer=gc.disable) as pool:  # grading makes no cycles
        yield from pool.map(_grade_inherited, range(len(cases)), chunksize=25)  # small, so that both end together


_inherited: list[Case] = []
"""What the processes have from their parent, so that no answer travels twice."""


def _grade_inherited(number: int) -> list[tuple[tuple[str, ...], int]]:
    return grade(_inherited[number])


def measure(title: str, cases: Sequence[Case], processes: int) -> float:
    """Seconds that grading takes."""
    began, used = time.perf_counter(), time.process_time()
    graded = list(grade_all(cases, processes))
    took = time.perf_counter() - began
    found: Counter[str] = Counter(name for grades in graded for names, _ in grades for name in names)
    answers, equal = sum(map(len, graded)), sum(answer == one[1] for one in cases for answer in one[2])
    mean = sum(len(one[1].text) for one in cases) / len(cases)
    kib = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = time.process_time() - used + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) * (processes > 1)
    same = f"{equal / answers:.0%} equal to the known-good"
    print(f"{title}: {answers:,} answers of {mean:.0f} characters, {same}: {took:.1f} s with {processes} processes")
    print(f"  {1e6 * took / answers:.0f} us an answer (cpu {cpu:.1f} s, all processes so far), largest process {kib / 1024:.0f} MiB")
    print(f"  named: {', '.join(f'{name} {n}' for name, n in found.most_common(8))}", flush=True)
    return took


def main() -> int:
    """Measure, and say whether the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--worst", action="store_true", help="also the case in which every answer is another text")
    options = parser.parse_args()

    def made(different: float) -> list[Case]:
        return list(map(partial(case, options.seed, repeats=options.repeats, different=different), range(options.prompts)))

    took = measure("70 % equal or nearly so", made(0.3), options.processes)
    if options.worst:
        measure("every answer another one", made(1.0), options.processes)
    scaled = BAR_S * options.prompts * options.repeats / 50_000
    print(f"bar: {scaled:.1f} s: {'met' if took <= scaled else 'MISSED'}")
    return int(took > scaled)


if __name__ == "__main__":
    sys.exit(main())

"""How quickly secrets and personal data are taken out: `python bench/redaction.py [--seconds N]`.

Three tables: bytes of a second for bodies of several sizes and kinds, the time that one exchange of a chat costs a gateway after its last
byte, and how time grows with length for texts made to hurt (a ratio of about 4 for four times the text is linear; 16 would be quadratic).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from detent import reading
from detent.redaction import KINDS, redact_bodies, redact_text
from detent.terms import Answer

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from test_redaction import ADVERSARIES, hurting

PROSE = (
    "The committee met on 2024-05-13 at 14:30 and agreed, after some discussion of the budget (EUR 1.234.567,89), that version 3.11.7 is "
    "to be rolled out to all 12 sites by the end of the key quarter; tokens and passwords are handled by the platform team. "
)
PLANTED = "Write to ada@example.com or call +49 30 901820, card 4111 1111 1111 1111, password: hunter22. "
CODE = (
    "def load(path: str, *, token: str | None = None) -> dict[str, int]:\n"
    '    return {"commit": "da39a3ee5e6b4b0d3255bfef95601890afd80709"}\n'
)


def timed(work: Callable[[], object], seconds: float) -> float:
    """CPU seconds of one call, the best of several."""
    best, ends = float("inf"), time.perf_counter() + seconds
    while True:
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
        if time.perf_counter() > ends:
            return best


def chat(size: int, text: str) -> bytes:
    """A conversation of about `size` bytes."""
    turns = [{"role": "user" if n % 2 == 0 else "assistant", "content": (text * 20)[:700]} for n in range(max(1, size // 760))]
    return json.dumps({"model": "chat", "user": "u-1234567", "messages": turns}).encode()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each row is measured")
    seconds = parser.parse_args().seconds
    print(f"{'text':<34}{'size':>10}{'MB/s':>9}{'us':>12}")
    sparse = PROSE * 9 + PLANTED
    for name, text in (("prose", PROSE), ("code", CODE), ("prose, 1 sentence in 10 to redact", sparse), ("all to redact", PLANTED)):
        for size in (1_500, 100_000, 2_000_000):
            body = chat(size, text)
            answer = Answer(text=(text * 3)[:600])
            took = timed(lambda body=body, answer=answer: redact_bodies(body, answer, "all"), seconds)  # type: ignore[misc]
            print(f"{name:<34}{len(body):>10,}{len(body) / took / 1e6:>9.1f}{took * 1e6:>12,.0f}")
    body, answer = chat(1_500, sparse), Answer(text=PROSE)
    took = timed(lambda: reading.keep(redact_bodies(body, answer, "all")[1]), seconds)
    print(f"\none chat exchange of {len(body):,} bytes, redacted and written: {took * 1e6:,.0f} us\n")
    print(f"{'made to hurt (50 kB and 200 kB)':<34}{'ms':>10}{'ms':>9}{'ratio':>12}")
    for name, unit in ADVERSARIES.items():
        texts = [hurting(unit, size) for size in (50_000, 200_000)]
        short, long = (timed(lambda text=text: redact_text(text, "all"), seconds / 4) for text in texts)  # type: ignore[misc]
        print(f"{name:<34}{short * 1e3:>10.2f}{long * 1e3:>9.2f}{long / short:>12.1f}")
    print(f"\n{len(KINDS)} kinds: {', '.join(kind.name for kind in KINDS)}")


if __name__ == "__main__":
    main()

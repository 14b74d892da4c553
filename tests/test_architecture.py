"""The house: data flows one way, the core is pure, and a gateway stays light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "detent"

# design 3, "direction, one way": a room may use rooms of its own row and of the rows before it.
ROWS: tuple[tuple[str, ...], ...] = (
    ("terms", "errors", "visible"),
    (
        "wire",
        "assign",
        "leasing",
        "circuit",
        "rare",
        "runs",
        "stats",
        "diff",
        "checks",
        "catalog",
        "freezing",
        "loosening",
        "manifest",
        "reading",
        "redaction",
        "roles",
    ),
    ("exchange", "legs", "evidence", "agreeing", "compare", "patch", "proposals", "fitting", "formats", "sampling", "forecast", "grading"),
    (
        "windows",
        "drill",
        "rehearsal",
        "guarding",
        "shadowing",
        "view",
        "power",
        "stages",
        "decide",
        "by_hand",
        "recompute",
        "transitions",
        "approving",
        "warm",
        "trickle",
        "alerting",
        "explain",
        "report",
    ),
    ("awake", "store", "talk", "upstream", "tape"),
    (
        "ingest",
        "gateway",
        "flags",
        "flags_on_disk",
        "obeying",
        "local_orders",
        "acknowledging",
        "anchor",
        "branch",
        "shadow",
        "baseline",
        "asking",
        "judge",
        "plugins",
        "grader",
        "pair_judge",
        "controller",
        "driller",
        "notify",
        "prober",
        "untold",
    ),
    ("serve", "web"),
    ("sim", "cli", "__main__"),
)
PURE = {room for row in ROWS[:4] for room in row}
ROW_OF = {room: number for number, row in enumerate(ROWS) for room in row}

IO_MODULES = {
    "aiohttp",
    "asyncio",
    "concurrent",
    "ctypes",
    "httpx",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "random",
    "secrets",
    "select",
    "selectors",
    "shutil",
    "signal",
    "socket",
    "sqlalchemy",
    "sqlite3",
    "ssl",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "urllib.request",
    "uuid",
    "uvicorn",
    "uvloop",
}


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "detent":
                yield from (f"detent.{alias.name}" for alias in node.names)
            else:
                yield node.module


LAZY = re.compile(r"msgspec\.json\.decode\(.*type=(?!str|_Effects)")

FILES = sorted(p for p in SOURCE.rglob("*.py") if p != SOURCE / "__init__.py")


def test_every_room_has_its_place() -> None:
    assert {room(path) for path in FILES} <= ROW_OF.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_nothing_is_imported_against_the_flow(path: Path) -> None:
    here = room(path)
    against = {name for name in imports(path) if name.startswith("detent.") and ROW_OF[name.split(".")[1]] > ROW_OF[here]}
    assert not against


@pytest.mark.parametrize("path", [p for p in FILES if room(p) in PURE], ids=lambda p: str(p.relative_to(SOURCE)))
def test_the_core_does_no_io_and_knows_no_clock(path: Path) -> None:
    impure = {name for name in imports(path) if name in IO_MODULES or name.split(".")[0] in IO_MODULES}
    assert not impure


def test_rooms_have_no_cycles() -> None:
    uses = {r: {n.split(".")[1] for p in FILES if room(p) == r for n in imports(p) if n.startswith("detent.")} - {r} for r in ROW_OF}
    done: set[str] = set()
    while len(done) < len(uses):
        free = {r for r in uses if r not in done and uses[r] <= done}
        assert free, f"a cycle among {sorted(uses.keys() - done)}"
        done |= free


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("detent.terms", ("pydantic", "numpy", "sqlalchemy", "aiohttp")),
        ("detent.gateway", ("numpy", "scipy", "sqlalchemy", "pydantic", "rich")),
        ("detent.cli", ("numpy", "scipy", "sqlalchemy", "pydantic", "aiohttp", "uvicorn")),
    ],
)
def test_light_modules_stay_light(module: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(' '.join(m for m in {heavy!r} if m in sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert found == ""


def test_typed_decoders_are_built_at_import() -> None:
    """msgspec works a dataclass out at its first use; several threads at their first use at once have crashed the process."""
    lazy = [f"{path.relative_to(SOURCE)}: {line.strip()}" for path in FILES for line in path.read_text().splitlines() if LAZY.search(line)]
    assert lazy == []

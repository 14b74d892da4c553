"""What can rot is generated or tested: the reference, the README's commands, the words that are not ours."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from detent.cli import build_parser

ROOT = Path(__file__).parent.parent


def pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: page() for name, page in module.PAGES.items()}


def test_the_reference_is_what_the_code_says() -> None:
    for name, page in pages().items():
        assert (ROOT / "docs" / "reference" / name).read_text() == page, f"{name} is stale: run `make docs`"


def commands_in(page: str) -> list[list[str]]:
    """The words of every `detent ...` line in the page's shell blocks, comments left out."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    found = [shlex.split(re.split(r" [>|] ", one)[0], comments=True) for line in lines for one in line.split(" && ")]
    return [words[1:] for words in found if words and words[0].removeprefix(".venv/bin/") == "detent"]


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/tutorial/first-rollout.md",
        "docs/tutorial/exported-logs.md",
        "docs/how-to/baseline.md",
        "docs/how-to/canary.md",
        "docs/how-to/feedback.md",
        "docs/how-to/judge.md",
        "docs/how-to/shadow.md",
        "docs/how-to/roll-back.md",
        "docs/how-to/rehearse-the-way-back.md",
        "docs/how-to/be-told.md",
        "docs/how-to/roles-and-audit.md",
        "docs/how-to/survive-an-outage.md",
        "docs/how-to/many-hosts.md",
        "docs/how-to/keep-the-way-back-warm.md",
    ],
)
def test_every_command_in_the_docs_is_understood(page: str) -> None:
    commands = commands_in(page)
    assert len(commands) >= 2, "the page shows commands, and they are found"
    for words in commands:
        assert callable(build_parser().parse_args(words).run), words


@pytest.mark.parametrize("page", ["README.md", *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").rglob("*.md")))])
def test_links_between_pages_lead_somewhere(page: str) -> None:
    here = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text()):
        if not target.startswith("http"):
            assert (here / target).exists(), f"{page} links to {target}"

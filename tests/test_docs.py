"""What can rot is generated or tested: the reference, the README's commands, the words that are not ours."""

from __future__ import annotations

import importlib.util
import re
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


COMMAND = re.compile(r"^(?:\.venv/bin/)?detent ([^#|\n]+?)(?:\s{2,}.*|\s*#.*)?$", re.MULTILINE)


@pytest.mark.parametrize(
    "page", ["README.md", *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").rglob("*.md")) if p.name != "design.md")]
)
def test_every_command_in_the_docs_is_understood(page: str) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    for line in COMMAND.findall("\n".join(blocks)):
        for one in re.split(r"\s&&\s", line):
            words = one.removeprefix("detent ").split()
            build_parser().parse_args([w.strip("'\"") for w in words])


@pytest.mark.parametrize("page", ["README.md", *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").rglob("*.md")))])
def test_links_between_pages_lead_somewhere(page: str) -> None:
    here = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text()):
        if not target.startswith("http"):
            assert (here / target).exists(), f"{page} links to {target}"

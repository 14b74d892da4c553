"""When a rollout ends, the pin file becomes true again by a patch that changes no more than it must."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from detent import manifest
from detent.errors import InvalidInput
from detent.patch import propose, settle, unified
from detent.terms import Phase, Plan, Rollout, Version

OLD, NEW = "gpt-4o-2024-05-13", "gpt-4o-2024-08-06"

FILE = f"""\
# who pins what
[providers.openai]
dialect  = "openai"
base_url = "https://api.openai.com/v1"
watcher  = "llm-platform@example.com"

[routes.summarizer]           # the blue one
provider = "openai"
version  = "{OLD}"            # approved in May
next     = "{NEW}"            # longer context
# the team moved
owner    = "search-quality@example.com"

[routes.other]
provider = "openai"
version  = "{OLD}"
owner    = "search-quality@example.com"
"""


def rollout(phase: Phase, *, reason: str = "", route: str = "summarizer") -> Rollout:
    opened = datetime(2026, 11, 20, 12, tzinfo=UTC)
    return Rollout(
        id="ro_1",
        route=route,
        owner="o",
        stable=Version("openai", OLD),
        candidate=Version("openai", NEW),
        plan=Plan(name="standard"),
        salt="s",
        opened_at=opened,
        entered_at=opened,
        ended_at=datetime(2026, 11, 23, 9, tzinfo=UTC) if phase.terminal else None,
        phase=phase,
        reason=reason,
    )


@pytest.mark.parametrize("phase", [Phase.SOAK, Phase.DONE])
def test_promoted_next_becomes_version_and_the_former_version_the_way_back(phase: Phase) -> None:
    assert (
        unified(FILE, settle(FILE, rollout(phase)))
        == f"""\
--- a/detent.toml
+++ b/detent.toml
@@ -6,8 +6,8 @@
{" "}
 [routes.summarizer]           # the blue one
 provider = "openai"
-version  = "{OLD}"            # approved in May
-next     = "{NEW}"            # longer context
+version  = "{NEW}"            # approved in May
+rollback = "{OLD}"
 # the team moved
 owner    = "search-quality@example.com"
{" "}
"""
    )


@pytest.mark.parametrize("phase", [Phase.DONE, Phase.ROLLED_BACK, Phase.ABORTED, Phase.NOT_PROVED])
def test_a_trial_of_a_version_against_itself_leaves_the_file_alone(phase: Phase) -> None:
    trial = replace(rollout(phase, reason="why"), candidate=Version("openai", OLD), aa=True)
    assert settle(FILE, trial) == FILE


def test_rejected_next_goes_and_the_reason_stays() -> None:
    assert (
        unified(FILE, settle(FILE, rollout(Phase.REJECTED, reason="ConfirmedNegativeFlips")))
        == f"""\
--- a/detent.toml
+++ b/detent.toml
@@ -6,8 +6,8 @@
{" "}
 [routes.summarizer]           # the blue one
 provider = "openai"
+# next = "{NEW}" was rejected on 2026-11-23: ConfirmedNegativeFlips
 version  = "{OLD}"            # approved in May
-next     = "{NEW}"            # longer context
 # the team moved
 owner    = "search-quality@example.com"
{" "}
"""
    )


@pytest.mark.parametrize(
    ("phase", "says"),
    [
        (Phase.ROLLED_BACK, "was rolled back"),
        (Phase.NOT_PROVED, "was not proved"),
        (Phase.ABORTED, "was aborted"),
        (Phase.VOID, "was void"),
    ],
)
def test_every_other_end_says_what_it_was(phase: Phase, says: str) -> None:
    assert f'# next = "{NEW}" {says} on 2026-11-23: Harm\nversion' in settle(FILE, rollout(phase, reason="Harm"))


SHAPES = {
    "tables": FILE,
    "windows line ends": FILE.replace("\n", "\r\n"),
    "no last line end": FILE.rstrip("\n"),
    "with a rollback": FILE.replace("# the team moved", 'rollback = "gpt-4-0613" # spring'),
    "next first": FILE.replace(
        f'version  = "{OLD}"            # approved in May\nnext     = "{NEW}"', f'next = "{NEW}"\nversion  = "{OLD}"'
    ),
    "single quotes": FILE.replace(f'"{OLD}"', f"'{OLD}'").replace(f'"{NEW}"', f"'{NEW}'"),
    "inline": FILE.partition("[routes")[0]
    + f'[routes]\nsummarizer = {{ provider = "openai", version = "{OLD}", next = "{NEW}", owner = "o" }} # one line\n'
    + f'other = {{ provider = "openai", version = "{OLD}", owner = "o" }}\n',
    "dotted": FILE.partition("[routes.summarizer]")[0]
    + f'[routes]\nsummarizer.provider = "openai"\nsummarizer.version = "{OLD}"\nsummarizer.next = "{NEW}"\nsummarizer.owner = "o"\n'
    + f'other.provider = "openai"\nother.version = "{OLD}"\nother.owner = "o"\n',
    "indented": FILE.replace("version  =", "  version  =").replace("next     =", "\tnext ="),
    "apart": FILE.replace("[routes.other]", "[plans.p]\n\n[routes.other]"),
    "quoted": FILE.replace("[routes.summarizer]", '["routes"."summarizer"]').replace("version  =", '"version" ='),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("phase", [Phase.DONE, Phase.REJECTED])
def test_the_settled_file_is_valid_says_so_and_stays_so(shape: str, phase: Phase) -> None:
    text = SHAPES[shape]
    settled = settle(text, rollout(phase, reason="R"))
    route = manifest.read(settled).routes["summarizer"]
    before = manifest.read(text).routes["summarizer"]
    assert (route.version, route.next) == ((NEW, None) if phase is Phase.DONE else (OLD, None))
    assert route.rollback == (OLD if phase is Phase.DONE else before.rollback)
    assert manifest.read(settled).routes["other"] == manifest.read(text).routes["other"]
    assert settle(settled, rollout(phase, reason="R")) == settled
    comments = [line.partition("#")[2].strip() for line in text.splitlines() if "#" in line]
    assert [c for c in comments if c not in settled] in ([], ["longer context"])
    assert settled.count("\r\n") in (0, settled.count("\n"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("phase", [Phase.DONE, Phase.REJECTED])
def test_git_applies_the_diff(shape: str, phase: Phase, tmp_path: Path) -> None:
    old = SHAPES[shape]
    new = settle(old, rollout(phase, reason="R"))
    (tmp_path / "detent.toml").write_bytes(old.encode())
    (tmp_path / "change.patch").write_bytes(unified(old, new).encode())
    # Outside of any repository `git apply` works on the files as they are; inside of one it would skip files that are not in it.
    outside = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    done = subprocess.run(["git", "apply", "-p1", "change.patch"], cwd=tmp_path, env=outside, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "detent.toml").read_bytes() == new.encode()


def test_a_promotion_that_was_merged_and_then_rolled_back_is_taken_back() -> None:
    merged = settle(FILE, rollout(Phase.SOAK))
    route = manifest.read(settle(merged, rollout(Phase.ROLLED_BACK, reason="Harm"))).routes["summarizer"]
    assert (route.version, route.next, route.rollback) == (OLD, None, None)


def test_a_next_that_proposes_another_version_stays() -> None:
    text = FILE.replace(NEW, "gpt-4o-2024-11-20")
    assert settle(text, rollout(Phase.REJECTED)) == text
    assert manifest.read(settle(text, rollout(Phase.DONE))).routes["summarizer"].next == "gpt-4o-2024-11-20"


def test_a_rollout_on_its_way_changes_nothing() -> None:
    assert settle(FILE, rollout(Phase.CANARY)) == FILE
    assert unified(FILE, FILE) == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (FILE.replace("[routes.summarizer]", "[routes.renamed]"), "`summarizer`"),
        (FILE.replace('provider = "openai"', 'provider = "else"', 1), "`else`"),
        (FILE.replace(OLD, "gpt-4-0613", 1), "`gpt-4-0613`"),
        (FILE.replace('"openai"', "openai"), "not TOML"),
    ],
)
def test_a_file_that_went_its_own_way_is_not_patched(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match="hint: ") as caught:
        settle(text, rollout(Phase.DONE))
    assert says in str(caught.value)


def test_a_reason_stays_in_its_comment() -> None:
    settled = settle(FILE, rollout(Phase.ABORTED, reason='by hand\n[routes.evil]\nversion = "x"'))
    assert set(manifest.read(settled).routes) == {"summarizer", "other"}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_version_is_proposed_beside_the_pin(shape: str) -> None:
    text = SHAPES[shape]
    proposed = manifest.read(propose(propose(text, "other", NEW), "summarizer", "gpt-4o-2024-11-20"))
    assert proposed.routes["other"].next == NEW
    assert proposed.routes["summarizer"].next == "gpt-4o-2024-11-20"
    assert proposed.routes["other"].version == OLD


def test_a_proposal_is_one_line() -> None:
    assert f'version  = "{OLD}"\nnext     = "{NEW}"\nowner    =' in propose(FILE, "other", NEW)


def test_a_version_for_a_route_that_is_not_there_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="`elsewhere`"):
        propose(FILE, "elsewhere", NEW)


def test_the_diff_names_the_file_from_where_it_is_applied() -> None:
    assert unified("a\n", "b\n", "./conf/pins.toml").startswith("--- a/conf/pins.toml\n+++ b/conf/pins.toml\n")
    assert unified("a\n", "b\n", "/etc/detent.toml").startswith("--- a/detent.toml\n")

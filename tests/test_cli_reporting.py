"""`detent baseline diff` and `detent export`, through `main`: files whole or not at all, and exit codes that a CI job can trust."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from controlling import NEXT, OTHER, PIN, pin_file
from detent import report
from detent.baseline import trial
from detent.cli import reporting
from detent.cli.baselines import exact_version
from detent.errors import InvalidInput
from detent.evidence.spending import stopped_by_budget
from detent.manifest import read
from detent.store import open_store
from detent.terms import Arm, Baseline, Case, Run
from records import T0
from test_cli import Desk
from test_report import GOOD, baseline, case, lost, runs

# The plan of `pin_file`: one screened run, four fresh ones; with so few, no flip can be confirmed, so the tests bring a plan of their own.
PLAN = pin_file(chat=None).replace("screen = 1, confirm = 4, stable_repeats = 2", "screen = 3, confirm = 20, stable_repeats = 10")


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A pin file and a store, with nothing in it yet."""
    found = Desk(tmp_path, capsys)
    found.writes(PLAN)
    assert found.runs("apply").code == 0
    return found


def freeze(desk: Desk, *cases: Case, days_ago: float = 0.0) -> Baseline:
    frozen = baseline(*cases, route="chat", frozen_at=datetime.now(UTC) - timedelta(days=days_ago))
    store = desk.store
    store.state.put_baseline(frozen)
    store.close()
    return frozen


def ran(desk: Desk, frozen: Baseline, made: list[Run], version: str = NEXT) -> None:
    """As `baseline run` stores it."""
    manifest = read(PLAN)
    route = manifest.routes["chat"]
    id = trial(route, version, manifest.plans[route.plan], frozen.digest, T0).id
    store = open_store(f"sqlite:///{desk.path / '.detent' / 'state.db'}")
    store.state.add_runs([Run(**{name: getattr(run, name) for name in run.__slots__} | {"rollout": id}) for run in made])
    store.close()


def same(name: str, output: str = GOOD) -> list[Run]:
    return runs(name, Arm.STABLE, "screen", 10, 10, output) + runs(name, Arm.CANDIDATE, "screen", 3, 3, output)


@pytest.fixture
def regressed(desk: Desk) -> Desk:
    cases = [case("ca_1", "What is the total?"), case("ca_2", "Is it open?"), case("ca_3", "PLANTED", "PLANTED", reserve=True)]
    frozen = freeze(desk, *cases)
    ran(desk, frozen, [*lost("ca_1", "fence_added", "json_broken"), *same("ca_2"), *same("ca_3", "PLANTED")])
    return desk


# ── the verdict is the exit code ──


def test_a_regression_is_told_and_exits_with_1(regressed: Desk) -> None:
    said = regressed.runs("baseline", "diff", "chat", "--version", NEXT)
    assert said.code == 1
    assert said.out.startswith(f"REGRESSION  chat: openai/{PIN} -> openai/{NEXT}\n")
    assert "1. ca_1: lost" in said.out
    assert "PLANTED" not in said.out


def test_no_loss_exits_with_0_and_a_half_made_run_with_3(desk: Desk) -> None:
    frozen = freeze(desk, *(case(f"ca_{n}", f"question {n}") for n in range(12)))
    made = [run for n in range(12) for run in same(f"ca_{n}")]
    ran(desk, frozen, made[:-1])
    assert desk.runs("baseline", "diff", "chat", "--version", NEXT).code == 3
    ran(desk, frozen, made)
    said = desk.runs("baseline", "diff", "chat", "--version", NEXT)
    assert (said.code, said.out.split()[0]) == (0, "PASS")


def test_a_stale_baseline_lets_nothing_pass_unless_the_plan_only_warns(desk: Desk) -> None:
    frozen = freeze(desk, *(case(f"ca_{n}", f"question {n}") for n in range(12)), days_ago=45)
    ran(desk, frozen, [run for n in range(12) for run in same(f"ca_{n}")])
    said = desk.runs("baseline", "diff", "chat", "--version", NEXT)
    assert said.code == 3
    assert "the baseline is stale: it was frozen" in said.out
    desk.writes(PLAN.replace("cases = 5", 'cases = 5, on_stale = "warn"'))
    warned = desk.runs("baseline", "diff", "chat", "--version", NEXT)
    assert (warned.code, "the baseline is stale: " in warned.out) == (0, True)


def test_nothing_scored_could_not_run(desk: Desk) -> None:
    frozen = freeze(desk, case("ca_1"))
    outage = [(Arm.STABLE, 20), (Arm.CANDIDATE, 6)]
    dead = [run for arm, n in outage for run in runs("ca_1", arm, "screen", n, 0, "", error="HTTP 529")]
    ran(desk, frozen, [Run(**{name: getattr(run, name) for name in run.__slots__} | {"passed": None}) for run in dead])
    assert desk.runs("baseline", "diff", "chat", "--version", NEXT).code == 4


# ── forms and files ──


@pytest.mark.parametrize("form", report.FORMS)
def test_every_form_is_written_whole_to_a_file(form: str, regressed: Desk) -> None:
    out = regressed.path / f"report{report.FORMS[form].suffix}"
    out.write_text("what was there before")
    said = regressed.runs("baseline", "diff", "chat", "--version", NEXT, "--form", form, "--out", str(out))
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("regression: 1 confirmed negative flip")
    text = out.read_text(encoding="utf-8")
    assert "ca_1" in text
    assert "PLANTED" not in text
    assert [path.name for path in regressed.path.iterdir() if "report" in path.name] == [out.name], "no part of a file is left"


def test_data_goes_to_stdout_and_talk_to_stderr(regressed: Desk) -> None:
    value = regressed.runs("baseline", "diff", "chat", "--version", NEXT, "--form", "json").json
    jsonschema.validate(value, report.schema())
    assert (value["verdict"], [shown["status"] for shown in value["cases"]]) == ("regression", ["lost", "same"])
    junit = regressed.runs("baseline", "diff", "chat", "--version", NEXT, "--form", "junit").out
    assert ET.fromstring(junit).get("failures") == "2"


def test_a_file_that_cannot_be_written_is_no_verdict(regressed: Desk) -> None:
    said = regressed.runs("baseline", "diff", "chat", "--version", NEXT, "--out", str(regressed.path / "nowhere" / "report.txt"))
    assert said.code == 4
    assert said.err.startswith("detent: cannot write `")
    said = regressed.runs("baseline", "diff", "chat", "--version", NEXT, "--out", str(regressed.path))
    assert said.code == 4
    assert not list(regressed.path.parent.glob("*.part"))


def test_only_some_of_the_prompts(regressed: Desk) -> None:
    value = regressed.runs("baseline", "diff", "chat", "--version", NEXT, "--form", "json", "--only", "same,won").json
    assert [shown["id"] for shown in value["cases"]] == ["ca_2"]
    assert value["verdict"] == "regression", "what is shown changes nothing of what is so"
    said = regressed.runs("baseline", "diff", "chat", "--version", NEXT, "--only", "broken")
    assert said.code == 2
    assert said.err.startswith("detent: unknown status: `broken`\nhint: statuses: lost, refused, left_script,")


# ── one prompt ──


def test_one_prompt_whole(regressed: Desk) -> None:
    said = regressed.runs("baseline", "diff", "chat", "--version", NEXT, "--case", "ca_1")
    lines = said.out.splitlines()
    assert said.code == 1
    assert lines[0] == "ca_1: lost (right before, wrong now: confirmed by fresh runs of both versions)"
    assert lines[lines.index("── user ──") + 1] == "What is the total?"
    assert lines[lines.index("── stable ──") + 1] == GOOD
    assert lines[lines.index("── candidate ──") + 1 :][:3] == ["```json", GOOD, "```"]
    assert sum(line.startswith(("screen", "confirm")) for line in lines) == 10 + 3 + 20 + 20
    assert "confirm  candidate   19  failed      fence_added, json_broken" in lines


def test_one_prompt_of_the_reserve_is_shown_to_nobody(regressed: Desk) -> None:
    said = regressed.runs("baseline", "diff", "chat", "--version", NEXT, "--case", "ca_3")
    assert said.code == 2
    assert "PLANTED" not in said.out + said.err
    assert said.err.startswith("detent: a case of the blind reserve, which nobody is shown: `ca_3`\nhint: ")


def test_a_prompt_that_is_not_there(regressed: Desk) -> None:
    said = regressed.runs("baseline", "diff", "chat", "--version", NEXT, "--case", "ca_9")
    assert said.code == 2
    assert said.err == "detent: no such case in the baseline of route `chat`: `ca_9`\nhint: the worst ones are `ca_1`, `ca_2`\n"


# ── what is missing ──


def test_what_to_do_where_something_is_missing(desk: Desk) -> None:
    said = desk.runs("baseline", "diff", "chat", "--version", NEXT)
    assert (said.code, said.err) == (
        2,
        "detent: route has no frozen baseline: `chat`\nhint: freeze one with `detent baseline freeze chat`\n",
    )
    freeze(desk, case("ca_1"))
    said = desk.runs("baseline", "diff", "chat")
    assert (said.code, said.err) == (2, "detent: no version to compare with: `chat` has no `next`\nhint: name one with --version ID\n")
    said = desk.runs("baseline", "diff", "chat", "--version", OTHER)
    assert said.code == 2
    assert said.err == (
        f"detent: no runs yet of openai/{OTHER} over the baseline of route: `chat`\n"
        f"hint: make them with `detent baseline run chat --version {OTHER}`\n"
    )
    assert desk.runs("baseline", "diff", "chat", "--version", NEXT, "--form", "pdf").code == 2
    assert desk.runs("baseline", "diff", "chat", "--rollout", "ro_none").code == 2
    assert desk.runs("baseline", "diff", "nobody", "--version", NEXT).code == 2


def test_the_runs_of_a_rollout_are_found_by_its_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(tmp_path, capsys)
    desk.writes(PLAN.replace(f'version = "{PIN}"\n', f'version = "{PIN}"\nnext = "{NEXT}"\n'))
    assert desk.runs("apply").code == 0
    rollout = desk.rollout().id
    freeze(desk, case("ca_1"))
    store = desk.store
    store.state.add_runs(
        [Run(**{name: getattr(run, name) for name in run.__slots__} | {"rollout": rollout}) for run in lost("ca_1", "fence_added")]
    )
    store.close()
    said = desk.runs("baseline", "diff", "chat", "--rollout", rollout)
    assert (said.code, said.out.splitlines()[0]) == (1, f"REGRESSION  chat: openai/{PIN} -> openai/{NEXT}")
    assert desk.runs("baseline", "diff", "chat").code == 2, "by default the `next` of the route, by hand: not run yet"


# ── export ──


def test_a_baseline_leaves_as_json_lines(regressed: Desk) -> None:
    said = regressed.runs("export", "chat", "--form", "jsonl")
    assert said.code == 0
    assert [json.loads(line)["prompt_id"] for line in said.out.splitlines()] == ["ca_1", "ca_2"]
    assert said.err == "chat: 2 cases; 1 of the blind reserve stay here (--with-reserve takes them along, and they are blind no longer)\n"
    whole = regressed.runs("export", "chat", "--form", "jsonl", "--with-reserve")
    assert (len(whole.out.splitlines()), whole.err) == (3, "chat: 3 cases\n")


def test_a_baseline_leaves_as_promptfoo_tests(regressed: Desk) -> None:
    out = regressed.path / "tests.yaml"
    assert regressed.runs("export", "chat", "--form", "promptfoo", "--out", str(out)).code == 0
    text = out.read_text()
    assert "{{ messages }}" in text
    assert "PLANTED" not in text
    assert regressed.runs("export", "chat", "--form", "csv").code == 2


def test_there_is_nothing_to_export_before_it_is_frozen(desk: Desk) -> None:
    assert desk.runs("export", "chat", "--form", "jsonl").code == 2
    freeze(desk, case("ca_1", reserve=True))
    said = desk.runs("export", "chat", "--form", "jsonl")
    assert (said.code, said.out) == (2, "")


def test_the_help_names_the_forms_that_there_are() -> None:
    assert tuple(report.FORMS) == reporting.FORMS
    assert tuple(report.EXPORTS) == reporting.EXPORTS


# ── where there is nothing to read, or nowhere to write ──


def test_before_any_store_the_way_to_a_baseline_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = Desk(tmp_path, capsys)
    bare.writes(PLAN)
    for command in (("baseline", "diff", "chat", "--version", NEXT), ("export", "chat", "--form", "jsonl")):
        assert "`detent baseline freeze chat --from FILE`" in bare.runs(*command).err
    assert "detent serve" in bare.runs("status").err


def test_a_route_with_a_baseline_and_no_rollout_is_told_where_to_look(desk: Desk) -> None:
    freeze(desk, case("ca_1"))
    said = desk.runs("explain", "chat")
    assert said.code == 2
    assert "a baseline of 1 prompts" in said.err
    assert "`detent baseline diff chat --version ID`" in said.err


def test_a_directory_is_no_file_to_write(regressed: Desk) -> None:
    said = regressed.runs("baseline", "diff", "chat", "--version", NEXT, "--out", str(regressed.path))
    assert said.code == 4
    assert "it is a directory" in said.err
    assert "report.html" in said.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_disk_behind_stdout_is_no_fault_of_ours(regressed: Desk) -> None:
    command = [sys.executable, "-m", "detent", "baseline", "diff", "chat", "--version", NEXT, "--file", str(regressed.path / "detent.toml")]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=regressed.path)
    assert ended.returncode == 4
    assert ended.stderr.startswith("detent: cannot write to stdout: No space left on device")


def test_the_verdict_is_said_once_on_a_screen(regressed: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    told = ("baseline", "diff", "chat", "--version", NEXT, "--form", "markdown")
    assert "regression" in regressed.runs(*told).err, "beside a file, the sentence stands on the screen"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert "regression" not in regressed.runs(*told).err


def test_an_alias_is_no_version_to_run() -> None:
    manifest = read(PLAN)
    route = manifest.routes["chat"]
    assert exact_version(manifest, route, PIN) == route.stable
    with pytest.raises(InvalidInput, match="a floating alias, not a version"):
        exact_version(manifest, route, "gpt-4o")


def test_a_budget_of_the_command_line_is_named_where_it_stopped_the_calls(desk: Desk) -> None:
    frozen = freeze(desk, case("ca_1"))
    (last,) = runs("ca_1", Arm.CANDIDATE, "screen", 1, 0, "", error=stopped_by_budget(0.5))
    ran(desk, frozen, [*same("ca_1")[:-3], replace(last, passed=None)])
    said = desk.runs("baseline", "diff", "chat", "--version", NEXT)
    assert said.code == 3
    assert f"stopped at the budget of $0.50: with a larger one `detent baseline run chat --version {NEXT} --budget USD`" in said.out

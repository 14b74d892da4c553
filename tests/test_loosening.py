"""Who may apply a file that asks a human yes for less than the one in force: an approver, by whatever way it asks for less."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlling import NEXT, PIN, pin_file
from detent.cli import main
from detent.loosening import loosened
from detent.manifest import read

GATED = pin_file(chat=None).replace("approve  = []", 'approve  = ["canary"]')
LAX = pin_file(chat=None)


def with_alone(text: str, *names: str) -> str:
    return "[server]\napproves_alone = [" + ", ".join(f'"{name}"' for name in names) + "]\n\n" + text


def other_plan(text: str) -> str:
    """The route on a plan that asks nobody, and the plan that asks still in the file."""
    plan = text[text.index("[plans.short") : text.index("[routes.")]
    lax = plan.replace("plans.short", "plans.lax").replace('approve  = ["canary"]', "approve  = []")
    return text.replace('plan = "short"', 'plan = "lax"') + "\n" + lax


@pytest.mark.parametrize(
    ("after", "says"),
    [
        (LAX, ("route `chat`: nobody is asked about canary",)),
        (other_plan(GATED), ("route `chat`: nobody is asked about canary",)),
        (GATED.replace("routes.chat", "routes.talk"), ("route `chat`, which is no route any more: nobody is asked about canary",)),
        (with_alone(GATED, "olga"), ("`olga` may approve what they proposed themselves",)),
        (GATED, ()),
        (GATED.replace('["canary"]', '["canary", "soak"]'), ()),
        (GATED.replace(f'version = "{PIN}"', f'version = "{PIN}"\nnext = "{NEXT}"'), ()),
    ],
)
def test_what_is_no_longer_asked_for(after: str, says: tuple[str, ...]) -> None:
    assert loosened(read(GATED), read(after)) == says


def test_what_never_asked_asks_for_no_less() -> None:
    assert loosened(read(LAX), read(GATED)) == ()
    assert loosened(read(with_alone(LAX, "ann", "bob")), read(with_alone(LAX, "bob"))) == ()


def test_an_operator_opens_no_rollout_by_taking_the_yes_out_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "detent.toml"
    file.write_text(GATED)
    monkeypatch.delenv("DETENT_TOKEN", raising=False)

    def detent(*words: str, token: str = "") -> tuple[int, str]:
        if token:
            monkeypatch.setenv("DETENT_TOKEN", token)
        code = main([*words, "--file", str(file)])
        said = capsys.readouterr()
        return code, said.out.strip() if words[0] == "token" else said.out + said.err

    assert detent("apply")[0] == 0
    _, boss = detent("token", "add", "boss", "--role", "approver")
    _, olga = detent("token", "add", "olga", "--role", "operator", token=boss)
    opening = GATED.replace(f'version = "{PIN}"\n', f'version = "{PIN}"\nnext = "{NEXT}"\n')
    for text in (opening.replace('approve  = ["canary"]', "approve  = []"), other_plan(opening), with_alone(opening, "olga")):
        file.write_text(text)
        code, said = detent("apply", token=olga)
        assert (code, "`detent apply --loosen` needs approver, since the file asks for fewer approvals" in said) == (5, True), said
        assert "no rollout" not in detent("status")[1]
        assert NEXT not in detent("status")[1], "nothing was opened"
    file.write_text(LAX)
    assert detent("apply", token=boss)[0] == 0
    file.write_text(opening)
    assert detent("apply", token=olga)[0] == 0, "to ask for more, and to propose, is an operator's"

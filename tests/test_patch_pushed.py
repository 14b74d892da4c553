"""The patch of the pin file as a branch: with a real git repository and a bare remote; nothing of the user's own is touched."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controlling import NEXT, PIN, World, pin_file
from detent.store import open_store
from detent.terms import Phase, Rollout
from detent.transitions import flag_for
from test_cli import Desk, Said


@dataclass
class Repository:
    """A team's repository whose pin file is in `deploy/`, and the bare one that it was cloned from."""

    work: Path
    remote: Path
    desk: Desk

    def git(self, *words: str, at: Path | None = None) -> str:
        done = subprocess.run(["git", "-C", str(at or self.work), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def there(self, *words: str) -> str:
        return self.git(*words, at=self.remote)

    def runs(self, *words: str) -> Said:
        return self.desk.runs(*words, "--file", str(self.work / "deploy" / "detent.toml"))

    def standing(self) -> tuple[str, str, str]:
        """All that is the user's own: what is checked out, what is staged and changed, and every local branch."""
        return self.git("symbolic-ref", "HEAD"), self.git("status", "--porcelain"), self.git("for-each-ref", "refs/heads")


@pytest.fixture
def repository(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Repository:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))  # without anybody's own configuration
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    made = Repository(tmp_path / "work", tmp_path / "remote.git", Desk(tmp_path / "work" / "deploy", capsys))
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=trunk", str(made.remote)], check=True)
    subprocess.run(["git", "clone", "--quiet", str(made.remote), str(made.work)], check=True, capture_output=True)
    made.git("checkout", "--quiet", "-b", "trunk")
    (made.work / "deploy").mkdir()
    (made.work / ".gitignore").write_text(".detent/\n")
    (made.work / "deploy" / "detent.toml").write_text("# ours\n" + pin_file(chat=NEXT, search=None))
    (made.work / "README").write_text("hello\n")
    made.git("add", "-A")
    made.git("-c", "user.name=ada", "-c", "user.email=ada@example.com", "commit", "--quiet", "-m", "begin")
    made.git("push", "--quiet", "origin", "trunk")
    assert made.runs("apply").code == 0
    return made


@pytest.fixture
def world(repository: Repository) -> Iterator[World]:
    store = open_store(f"sqlite:///{repository.work / 'deploy' / '.detent' / 'state.db'}")
    yield World(store, datetime.now(UTC))
    store.close()


def put(world: World, phase: Phase) -> Rollout:
    (before,) = world.store.state.rollouts(open_only=True)
    after = replace(before, phase=phase, split={Phase.CANARY: 0.1}.get(phase, 0.0), period=1, entered_at=world.now, canary_at=world.now)
    flag = flag_for(after, world.store.state.flags()["chat"])
    return world.store.state.commit(before, after, flag=flag, decision=None, evidence=None, by="x", what="put", at=world.now)


def test_a_rollback_pushes_the_patch_as_a_branch_and_touches_nothing_else(repository: Repository, world: World) -> None:
    """Somebody is in the middle of other work: on a branch of their own, with changes staged and not."""
    rollout = put(world, Phase.CANARY)
    repository.git("checkout", "--quiet", "-b", "feature")
    (repository.work / "README").write_text("half-written\n")
    (repository.work / "new").write_text("staged\n")
    repository.git("add", "new")
    before, text = repository.standing(), (repository.work / "deploy" / "detent.toml").read_text()

    back = repository.runs("rollback", "chat", "--push", "--by", "ada <x>", "--why", "it shouts")
    assert back.code == 0, back.err
    branch = f"detent/chat-{rollout.id}"
    assert back.out.splitlines()[-1].startswith(f"pushed {branch} to origin (")
    assert back.out.splitlines()[-1].endswith(", on its trunk)")
    assert repository.standing() == before
    assert (repository.work / "deploy" / "detent.toml").read_text() == text
    assert repository.there("branch", "--format=%(refname:short)").split() == [branch, "trunk"]
    assert repository.there("diff", "--name-only", "trunk", branch) == "deploy/detent.toml", "of the other work nothing"
    assert repository.there("rev-list", "--count", f"trunk..{branch}") == "1"
    proposed = repository.there("show", f"{branch}:deploy/detent.toml")
    assert f'\nnext = "{NEXT}"' not in proposed
    assert "RolledBackByHuman: ada <x>: it shouts" in proposed
    assert proposed.startswith("# ours\n")
    said = repository.there("log", "-1", "--format=%an|%s|%b", branch)
    assert said.startswith(f"ada  x|chat: {NEXT} is withdrawn|Rollout {rollout.id} of openai/{PIN} -> openai/{NEXT}: rolled_back")


def test_a_remote_whose_head_names_no_branch_is_told_apart_from_an_empty_one(repository: Repository, world: World) -> None:
    put(world, Phase.CANARY)
    repository.there("symbolic-ref", "HEAD", "refs/heads/main")
    assert repository.runs("rollback", "chat").code == 0
    pushed = repository.runs("patch", "chat", "--push")
    assert pushed.code == 2
    assert "the remote's HEAD names a branch that is not there: `origin`, which has `trunk`" in pushed.err
    assert "git symbolic-ref HEAD refs/heads/trunk" in pushed.err


def test_nothing_is_pushed_twice(repository: Repository, world: World) -> None:
    rollout = put(world, Phase.CANARY)
    assert repository.runs("rollback", "chat", "--push").code == 0
    branch = f"detent/chat-{rollout.id}"
    commit = repository.there("rev-parse", branch)
    for words in (("patch", "--push"), ("patch", "chat", "--push"), ("rollback", "chat", "--push")):
        again = repository.runs(*words)
        assert (again.code, again.out.splitlines()[-1]) == (0, f"{branch} is on origin already: nothing was pushed")
    assert repository.there("rev-parse", branch) == commit
    repository.there("update-ref", "refs/heads/trunk", commit)  # merged
    repository.there("branch", "-D", branch)
    merged = repository.runs("patch", "chat", "--push", "--json")
    assert (merged.code, merged.json["pushed"]) == (0, [])
    assert repository.runs("patch", "--push").out.splitlines()[-1] == "the remote's pin file says so already: nothing was pushed"
    assert repository.there("branch", "--format=%(refname:short)").split() == ["trunk"]


def test_the_branch_begins_at_what_the_remote_has_by_now(repository: Repository, world: World, tmp_path: Path) -> None:
    put(world, Phase.DONE)
    subprocess.run(["git", "clone", "--quiet", str(repository.remote), str(tmp_path / "colleague")], check=True)
    (tmp_path / "colleague" / "more").write_text("more\n")
    repository.git("add", "-A", at=tmp_path / "colleague")
    repository.git("-c", "user.name=bob", "-c", "user.email=b@example.com", "commit", "-qm", "more", at=tmp_path / "colleague")
    repository.git("push", "--quiet", at=tmp_path / "colleague")
    pushed = repository.runs("patch", "chat", "--push", "--json")
    assert pushed.code == 0, pushed.err
    (one,) = pushed.json["pushed"]
    assert repository.there("rev-parse", f"{one['branch']}~1") == repository.there("rev-parse", "trunk")
    assert f'version = "{NEXT}"' in repository.there("show", f"{one['branch']}:deploy/detent.toml")
    assert (one["remote"], one["commit"], one["new"]) == ("origin", repository.there("rev-parse", one["branch"]), True)
    assert repository.there("log", "-1", "--format=%s", one["branch"]) == f"chat: {NEXT} is the pin"


def test_a_push_that_is_refused_is_told_and_the_rollback_stands(repository: Repository, world: World) -> None:
    put(world, Phase.CANARY)
    hook = repository.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'branches of machines are not welcome' >&2\nexit 1\n")
    hook.chmod(0o755)
    back = repository.runs("rollback", "chat", "--push")
    assert back.code == 4
    assert back.out.splitlines()[0].endswith("rolled back; phase rolled_back")
    assert "-next = " in back.out, "the patch is printed all the same"
    assert "detent: it is rolled back, and its patch was not pushed: `origin` refused the branch `detent/chat-" in back.err
    assert world.store.state.flags()["chat"].split == 0.0
    hook.unlink()
    assert "pushed detent/chat-" in repository.runs("patch", "chat", "--push").out


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("repository", "the pin file is in no git repository"),
        ("remote", "the git repository of the pin file has no remote to push to"),
        ("reachable", "the remote `origin` cannot be read"),
        ("branch", "the remote has no branch yet: `origin`"),
        ("file", "`deploy/detent.toml` is not on `origin/trunk`"),
        ("choice", "has several remotes: `one`, `two`"),
    ],
)
def test_what_is_missing_for_a_branch_is_said(repository: Repository, world: World, without: str, said: str) -> None:
    put(world, Phase.ABORTED)
    match without:
        case "repository":
            (repository.work / ".git").rename(repository.work / "away")
        case "remote":
            repository.git("remote", "remove", "origin")
        case "reachable":
            repository.remote.rename(repository.remote.with_name("moved.git"))
        case "branch":
            repository.there("update-ref", "-d", "refs/heads/trunk")
        case "file":
            repository.git("rm", "-q", "--cached", "deploy/detent.toml")
            repository.git("-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "without")
            repository.git("push", "--quiet", "origin", "trunk")
        case "choice":
            repository.git("remote", "rename", "origin", "one")
            repository.git("config", "--unset", "branch.trunk.remote")
            repository.git("remote", "add", "two", str(repository.remote))
    pushed = repository.runs("patch", "chat", "--push")
    assert pushed.code in (2, 4)
    assert said in pushed.err
    assert "hint: " in pushed.err


def test_the_patch_is_printed_for_all_routes_or_one(repository: Repository, world: World) -> None:
    assert repository.runs("patch").out == "", "while the rollout is under way the file is true"
    put(world, Phase.REJECTED)
    both = repository.runs("patch")
    assert (both.code, both.out) == (0, repository.runs("patch", "chat").out)
    assert f'-next = "{NEXT}"' in both.out
    assert repository.runs("patch", "search").out == ""
    unknown = repository.runs("patch", "caht")
    assert unknown.code == 2
    assert "known routes: `chat`, `search`" in unknown.err

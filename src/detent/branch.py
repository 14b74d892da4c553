"""The patch of a pin file as a new branch of its git repository: committed on what the remote has, pushed, and nothing else touched.

The working tree, the index and every local branch stay as they are: the commit is made from a temporary index.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from detent.errors import CouldNotRun, InvalidInput

PATIENCE_S = 60.0
"""For one command of git's, over the network as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A branch on a remote: `new` is whether this call pushed it, `onto` the remote's branch that it begins at; `commit` in hex."""

    remote: str
    branch: str
    commit: str
    onto: str
    new: bool

    @property
    def sentence(self) -> str:
        """What happened, in a line."""
        if not self.new:
            return f"{self.branch} is on {self.remote} already: nothing was pushed"
        return f"pushed {self.branch} to {self.remote} ({self.commit[:12]}, on its {self.onto})"


def branch_name(route: str, rollout: str) -> str:
    """`detent/ROUTE-ROLLOUT`, with what no name of a branch may have taken out."""
    return f"detent/{re.sub(r'[^A-Za-z0-9_-]+', '-', route)}-{rollout}"


def push(file: Path, settle: Callable[[str], str], *, branch: str, message: str, by: str) -> Pushed | None:
    """Push a branch on which the pin file is as `settle` makes it from the text that the remote's own branch has; None when that changes
    nothing there. A branch of this name that is there already is left alone.

    Raises InvalidInput where the file is in no repository with a remote, or is not on the remote's branch; CouldNotRun for what git or the
    remote refuses; what `settle` raises.
    """
    folder = file.resolve().parent
    if not _optional(folder, "rev-parse", "--show-toplevel"):
        raise InvalidInput(f"the pin file is in no git repository: `{file}`", hint="apply the patch that is printed")
    path = _said(folder, "rev-parse", "--show-prefix", no="the repository cannot be read") + file.resolve().name
    remote = _remote(folder)
    onto = _default_branch(folder, remote)
    there = _said(folder, "ls-remote", remote, f"refs/heads/{branch}", no=f"the remote `{remote}` cannot be read").split()
    if there:
        return Pushed(remote=remote, branch=branch, commit=there[0], onto=onto, new=False)
    base = _said(folder, "ls-remote", remote, f"refs/heads/{onto}", no=f"the remote `{remote}` cannot be read").split()[0]
    _git(folder, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote, onto, no=f"`{onto}` of `{remote}` cannot be fetched")
    text = _text(folder, base, path, f"{remote}/{onto}")
    settled = settle(text)
    if settled == text:
        return None
    commit = _commit(folder, base, path, settled, message=message, by=by)
    _git(folder, "push", "--quiet", remote, f"{commit}:refs/heads/{branch}", no=f"`{remote}` refused the branch `{branch}`")
    return Pushed(remote=remote, branch=branch, commit=commit, onto=onto, new=True)


def _remote(folder: Path) -> str:
    """The remote of the branch that is checked out, else `origin`, else the only one."""
    remotes = _said(folder, "remote", no="the remotes cannot be listed").split()
    if not remotes:
        raise InvalidInput(
            f"the git repository of the pin file has no remote to push to: `{folder}`",
            hint="add one with `git remote add origin URL`, or apply the patch that is printed",
        )
    here = _optional(folder, "symbolic-ref", "--short", "--quiet", "HEAD")
    upstream = _optional(folder, "config", "--get", f"branch.{here}.remote")
    for name in (upstream, "origin", remotes[0] if len(remotes) == 1 else ""):
        if name in remotes:
            return name
    known = ", ".join(f"`{name}`" for name in remotes)
    raise InvalidInput(
        f"the git repository of the pin file has several remotes: {known}", hint="say which: `git branch --set-upstream-to REMOTE/BRANCH`"
    )


def _default_branch(folder: Path, remote: str) -> str:
    """The branch that the remote itself calls its own."""
    heads = _said(folder, "ls-remote", "--symref", remote, "HEAD", no=f"the remote `{remote}` cannot be read")
    found = re.match(r"ref: refs/heads/(\S+)\tHEAD", heads)
    if found is not None:
        return found[1]
    listed = _said(folder, "ls-remote", "--heads", remote, no=f"the remote `{remote}` cannot be read")
    there = re.findall(r"\trefs/heads/(\S+)", listed)
    if there:
        known = ", ".join(f"`{name}`" for name in there[:5])
        raise InvalidInput(
            f"the remote's HEAD names a branch that is not there: `{remote}`, which has {known}",
            hint=f"set its default branch, at the host's settings or there with `git symbolic-ref HEAD refs/heads/{there[0]}`",
        )
    raise InvalidInput(f"the remote has no branch yet: `{remote}`", hint="push the branch with the pin file first")


def _text(folder: Path, base: str, path: str, where: str) -> str:
    if not _optional(folder, "ls-tree", "--full-tree", base, "--", path):
        raise InvalidInput(f"`{path}` is not on `{where}`", hint="commit and push the pin file first, or apply the patch that is printed")
    try:
        return _git(folder, "cat-file", "blob", f"{base}:{path}", no=f"`{path}` cannot be read from `{where}`").decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"not UTF-8: `{path}` on `{where}`, byte {error.start}", hint="save the file as UTF-8") from None


def _commit(folder: Path, base: str, path: str, text: str, *, message: str, by: str) -> str:
    """The name of a commit on `base` in which the file has this text and nothing else has changed."""
    mode = _said(folder, "ls-tree", "--full-tree", base, "--", path, no="the tree cannot be read").split()[0]
    with tempfile.TemporaryDirectory(prefix="detent-index-") as aside:
        index = {"GIT_INDEX_FILE": str(Path(aside) / "index")}
        wrong = "the commit cannot be made"
        blob = _git(folder, "hash-object", "-w", "--no-filters", "--stdin", given=text.encode(), no=wrong).decode().strip()
        _git(folder, "read-tree", base, env=index, no=wrong)
        _git(folder, "update-index", "--cacheinfo", f"{mode},{blob},{path}", env=index, no=wrong)
        tree = _git(folder, "write-tree", env=index, no=wrong).decode().strip()
    nobody = not (_optional(folder, "config", "user.email") or os.environ.get("GIT_COMMITTER_EMAIL"))
    known = {"NAME": re.sub(r"[<>\n]", " ", by), "EMAIL": "detent@localhost"}
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in known.items()}
    made = _git(folder, "commit-tree", tree, "-p", base, given=message.encode(), env=who if nobody else {}, no=wrong)
    return made.decode().strip()


# ── git ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


_ELSEWHERE = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"}


def _said(folder: Path, *words: str, no: str) -> str:
    return _git(folder, *words, no=no).decode().strip()


def _optional(folder: Path, *words: str) -> str:
    """What git says, or nothing where it has nothing to say."""
    return _run(folder, *words).stdout.decode(errors="replace").strip()


def _git(folder: Path, *words: str, no: str, given: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    """What git prints. Raises CouldNotRun with `no` and git's own last line."""
    done = _run(folder, *words, given=given, env=env)
    if done.returncode:
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        raise CouldNotRun(f"{no}: {'; '.join(said[-3:]) or f'git {words[0]} ended with {done.returncode}'}", hint="apply the patch by hand")
    return done.stdout


def _run(folder: Path, *words: str, given: bytes = b"", env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    # As run by hand in that directory, also from within one of git's hooks; and nobody is there to be asked for a password.
    around = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    known = {**around, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(env or {})}
    command = ["git", "-C", str(folder), *words]
    try:
        return subprocess.run(command, input=given, capture_output=True, env=known, timeout=PATIENCE_S, check=False)  # noqa: S603
    except FileNotFoundError:
        raise CouldNotRun("no `git` on this machine", hint="install it, or apply the patch that is printed") from None
    except subprocess.TimeoutExpired:
        raise CouldNotRun(f"git {words[0]} took longer than {PATIENCE_S:g} s", hint="see whether the remote can be reached") from None

"""Copies of git repositories, so that only what is new travels, and their commits as directories.

A directory is made under another name, gets its own when it is complete, and is never changed after that. So whoever is
killed leaves nothing that could be taken for a commit, and any number of deployments can read it. What nobody has used
for a day goes away.
"""

import hashlib
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

from library import git
from library.sources import CONTROL, Source
from shared.files import age, locked, patience
from shared.output import Failure

HEAD = "refs/octopod/HEAD"
FETCH = 600.0  # seconds
SOURCES = "the sources"
UNUSED = 86400.0  # seconds
ALL = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


class Mirror:
    """The copy of one repository, as one login sees it."""

    def __init__(self, data: Path, source: Source) -> None:
        self.source = source
        self.key = hashlib.sha256(repr((source.remote, source.login)).encode()).hexdigest()[:32]
        self.home = data / "mirrors" / self.key
        self.directory = self.home / "repository"
        self.checkouts = data / "checkouts"

    def fetch(self, ref: str = "") -> None:
        """Bring it up to date, within the limit of the script. Raises Failure."""
        with locked(self.home, patience(SOURCES, FETCH)):
            self._remove_stale_locks()
            self._git("init", "--quiet", "--bare", "--template=")
            if ref not in ("", "HEAD"):
                return self._fetch(*ALL)
            try:
                return self._fetch(*ALL, f"+HEAD:{HEAD}")
            except Failure as failure:
                if "remote ref HEAD" not in str(failure):
                    raise
            self._git("update-ref", "-d", HEAD)
            return self._fetch(*ALL)  # it has no default branch, but perhaps others

    def _fetch(self, *refs: str) -> None:
        options = ["--quiet", "--force", "--prune", "--no-tags", "--", self.source.remote]
        self._git("-c", "gc.autoDetach=false", "-c", "maintenance.autoDetach=false", "fetch", *options, *refs)

    def _git(self, *arguments: str) -> None:
        what, env = f"Cannot read {self.source.shown}", git.environment(self.source)
        git.do(what, *arguments, directory=self.directory, env=env, seconds=FETCH)

    def _remove_stale_locks(self) -> None:
        """A git that was killed leaves its lock files. Nobody else is at work here: we have the lock."""
        for file in self.directory.glob("**/*.lock"):
            file.unlink(missing_ok=True)

    def commit(self, ref: str) -> str:
        """What a ref stands for, without asking anybody; empty when that is not known."""
        if not self.directory.is_dir():
            return ""
        wanted = f"{HEAD if ref in ('', 'HEAD') else ref}^{{commit}}"
        done = git.run("rev-parse", "--quiet", "--verify", "--end-of-options", wanted, directory=self.directory)
        return done.out.split()[-1] if done.ok and done.out.strip() else ""

    def resolve(self, ref: str, fresh: bool = True) -> str:
        """The commit that a ref stands for; `fresh`: as it is now. Raises Failure, naming refs that there are."""
        if ref.startswith("-") or CONTROL.search(ref):
            raise Failure(f'"{CONTROL.sub(" ", ref)}" cannot be the name of a branch, tag or commit.')
        cannot_move = re.fullmatch(r"[0-9a-f]{40}", ref)
        found = "" if fresh and not cannot_move else self.commit(ref)
        if not found:
            self.fetch(ref)
            found = self.commit(ref)
        if not found:
            what = f'no branch, tag or commit "{ref}"' if ref else "no default branch with a commit"
            raise Failure(f"{self.source.shown} has {what}. {self._known_refs()}")
        return found

    def _known_refs(self) -> str:
        """Those that changed last, few enough to be read."""
        listed = ["for-each-ref", "--sort=-creatordate", "--format=%(refname:lstrip=2)", "refs/heads", "refs/tags"]
        refs = git.run(*listed, directory=self.directory).out.split()
        rest = f" and {len(refs) - 8} more" if len(refs) > 8 else ""
        return f"It has: {', '.join(refs[:8])}{rest}." if refs else "It has no refs at all."

    def check_out(self, commit: str) -> Path:
        """A directory with what the commit consists of. Nobody may write there. Raises Failure."""
        target = self.checkouts / f"{self.key[:8]}-{commit}"
        with locked(self.checkouts, patience(SOURCES, FETCH)):
            if not target.is_dir():
                self._write(commit, target)
            os.utime(target)
            sweep(self.checkouts)
        return target

    def _write(self, commit: str, target: Path) -> None:
        work = Path(tempfile.mkdtemp(dir=self.checkouts, prefix="unfinished-"))
        tree = work / "tree"
        tree.mkdir()
        env = git.environment(GIT_INDEX_FILE=str(work / "index"))
        command = [f"--work-tree={tree}", "read-tree", "--reset", "-u", commit]
        git.do(f"Cannot check out {commit[:10]}", *command, directory=self.directory, env=env, seconds=FETCH)
        tree.rename(target)
        shutil.rmtree(work)


def sweep(checkouts: Path) -> None:
    """Remove what nobody has used for a day; under the lock. What is half removed has no name that could be asked for."""
    for path in checkouts.iterdir():
        if path.is_dir() and age(path) > UNUSED:
            gone = path.rename(path.with_name(f"unfinished-{path.name}-{time.monotonic_ns()}"))
            shutil.rmtree(gone, ignore_errors=True)

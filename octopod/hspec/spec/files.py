"""The files a spec names: where they are, whether they are there, and whether they may be used."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Files:
    """What a spec names is relative to `directory`. With a root, nothing may lie outside of it, links followed."""

    directory: Path  # absolute
    root: Path | None = None  # absolute, no link in it

    @classmethod
    def of(cls, spec: Path, root: Path | None) -> "Files":
        return cls(absolute(spec).parent, Path(os.path.realpath(root)) if root else None)

    def resolve(self, written: str) -> Path:
        """The absolute path; links stay as they are, for the sake of their names."""
        return absolute(self.directory / written)

    def complaint(self, path: Path, is_directory: bool = False) -> str:
        """What is wrong with a path of `resolve`, or nothing."""
        if not self.is_inside(path):
            return "It leads out of the directory that files may be taken from."
        is_there = os.path.isdir(path) if is_directory else os.path.isfile(path)
        if is_there:
            return "" if os.access(path, os.R_OK) else f"{path} cannot be read."
        if os.path.exists(path):
            return f"{path} is no {'directory' if is_directory else 'regular file'}."
        return f"There is no {'directory' if is_directory else 'file'} {path}."

    def is_inside(self, path: Path) -> bool:
        return self.root is None or Path(os.path.realpath(path)).is_relative_to(self.root)


def absolute(path: Path) -> Path:
    """With the working directory before it, and no `..` in it."""
    return Path(os.path.abspath(path))

"""A copy of a plain directory, to be worked with in its place: whoever may write into the source can no longer exchange
a file for a link out of it after it was looked at.
"""

import atexit
import os
import shutil
import stat
import tempfile
from pathlib import Path

from library.mirrors import FETCH, SOURCES, sweep
from shared.files import locked, patience
from shared.output import Failure

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def temporary(source: Path, checkouts: Path) -> Path:
    """A copy that goes when the script ends; that of a killed one a day later. Raises Failure."""
    with locked(checkouts, patience(SOURCES, FETCH)):
        sweep(checkouts)
        target = Path(tempfile.mkdtemp(dir=checkouts, prefix="copy-"))
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    copy(source, target)
    return target


def copy(source: Path, target: Path) -> None:
    """Copy a directory, links as links, and what is neither file nor directory not at all. Raises Failure.

    Everything is opened by its name in a directory that is open already, and no link is followed.
    """
    try:
        top = os.open(source, READ | os.O_DIRECTORY)
        try:
            if Path(f"/proc/self/fd/{top}").readlink() != source:
                raise Failure(f"The directory {source} has just been exchanged for another.")
            for place, directories, files, here in os.fwalk(".", onerror=_give_up, dir_fd=top):
                _fill(target / place, directories, files, here)
        finally:
            os.close(top)
    except OSError as error:
        raise Failure(f"{error.filename or source} cannot be copied: {error.strerror or error}.") from None


def _give_up(error: OSError) -> None:
    """Half a copy is none."""
    raise error


def _fill(target: Path, directories: list[str], files: list[str], here: int) -> None:
    """One directory, which is open as `here`. Links to directories are listed among these."""
    target.mkdir(exist_ok=True)
    for name in [*directories, *files]:
        mode = os.stat(name, dir_fd=here, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            (target / name).symlink_to(os.readlink(name, dir_fd=here))
        elif stat.S_ISREG(mode):
            _copy_file(name, here, target / name)


def _copy_file(name: str, here: int, target: Path) -> None:
    with open(os.open(name, READ, dir_fd=here), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISREG(mode):
            with target.open("xb") as new:
                shutil.copyfileobj(file, new)
            target.chmod(mode & 0o777 | 0o600)  # it may become a file of an image

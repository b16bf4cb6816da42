"""The Python that a script runs with.

A script that was started by a Python without what it needs starts again with the one that `make run` has prepared. In
an image the first Python has it.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path


def require(module: str, name: str, package: str) -> None:
    """See to it that a module is there; `package` is what Debian calls it."""
    if find_spec(module) is None:
        use_own_environment()
        sys.exit(f"{name} is missing: install {package}, or run `make run` once, which prepares .venv with it.")


def use_own_environment() -> None:
    """Start again with the Python beside the repository, if there is one and we are not it."""
    python = Path(__file__).resolve().parent.parent.parent / ".venv/bin/python"  # the parent of / is /
    if os.access(python, os.X_OK) and sys.prefix == sys.base_prefix:
        os.execv(python, [str(python), *sys.argv])

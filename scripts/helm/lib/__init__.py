"""What the scripts of the helm suite share.

Importing it sees to it that PyYAML is there: a script that was started by a Python without it starts again with the one
that `make run` has prepared. In an image the system's Python has it.
"""

import os
import sys
from pathlib import Path


def use_own_environment() -> None:
    """Start again with the Python beside the repository, if there is one and we are not it."""
    python = Path(__file__).resolve().parent.parent.parent.parent / ".venv/bin/python"  # the parent of / is /
    if os.access(python, os.X_OK) and sys.prefix == sys.base_prefix:
        os.execv(python, [str(python), *sys.argv])


try:
    import yaml  # noqa: F401
except ImportError:
    use_own_environment()
    sys.exit("PyYAML is missing: install python3-yaml, or run `make run` once, which prepares .venv with it.")

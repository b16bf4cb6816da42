"""What the scripts of the helm suite share with each other. What all suites share is in `shared`, beside the suite or in it."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent.parent))

from shared.python import require

require("yaml", "PyYAML", "python3-yaml")

"""What the scripts of the hspec suite share with each other. What all suites share is in `shared`, beside the suite or in it.

The engine, octopod.hspec, is found beside the suite, where both are in one repository, or where the Python that runs this
was installed for the server.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent.parent
PLACES = (HERE.parent, Path(sys.prefix).parent)

sys.path.append(str(HERE))
sys.path += [str(place) for place in PLACES if (place / "octopod/hspec").is_dir()][:1]

from shared.python import require  # noqa: E402

require("yaml", "PyYAML", "python3-yaml")
require("jsonpatch", "jsonpatch", "python3-jsonpatch")
require("octopod", "The package octopod.hspec", "Octopod")

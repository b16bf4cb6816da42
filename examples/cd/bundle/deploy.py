"""Deploy NAME with the settings that came encrypted, and wait until it runs: created, or updated if it is there already."""

import os
from pathlib import Path

from servo import servo

NAME = os.environ["NAME"]

if __name__ == "__main__":
    with servo() as proxy:  # not verbose: it would print the settings
        options = [part for line in Path("settings.env").read_text().splitlines() for part in ("-e", line)]
        verb = "update" if NAME in proxy(["poll", NAME]) else "create"
        action = proxy([verb, "-n", NAME, *options, "--wait", "--timeout", "5m"])
        print(f"{verb} of {NAME}: action {action['id']} {action['state']}")

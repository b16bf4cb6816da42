"""Leave nothing of NAME behind, whatever the scripts before have come to."""

import os

from servo import servo

NAME = os.environ["NAME"]

if __name__ == "__main__":
    with servo(verbose=True) as proxy:
        found = proxy(["poll", NAME]).get(NAME)
        if not found:
            print(f"there is no {NAME}")
        else:
            if found["action"]:
                proxy(["cancel", "-n", NAME, "--wait"])
            if proxy(["status", "-n", NAME])["status"] != "Archived":
                proxy(["archive", "-n", NAME, "--wait"])
            proxy(["cleanup", "-n", NAME, "--wait"])

"""Ask NAME for its page, and find the greeting of the settings in it."""

import os
from pathlib import Path

import requests
from servo import servo

NAME = os.environ["NAME"]

if __name__ == "__main__":
    with servo(verbose=True) as proxy:
        settings = dict(line.split("=", 1) for line in Path("settings.env").read_text().splitlines())
        addresses = proxy(["port", 80, NAME])
        assert addresses, f"{NAME} has no address"
        for address in addresses.values():
            url = f"http://{address['ip']}:{address['ports']}/"
            answer = requests.get(url, timeout=10)
            print(f"GET {url}: {answer.status_code}")
            assert answer.status_code == 200, answer.text
            assert settings["GREETING"] in answer.text, f"{url} does not say {settings['GREETING']!r}"

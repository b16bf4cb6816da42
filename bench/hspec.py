"""How long manifests of service specs take, against merely writing them down; and how soon `hspec` answers."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from octopod.hspec.manifests import Manifest, generate, write
from octopod.hspec.service import Context, Service
from octopod.hspec.spec import load

ROOT = Path(__file__).resolve().parent.parent
SERVICES = 50
RUNS = 7
SPEC = """
name: service-{number}
image: {{registry: registry.example.test, name: shop/service-{number}, tag: "2.4"}}
replicas: {{min: 2, max: 5, cpuThreshold: 60%}}
memory: 256Mi-1Gi
cpu: 100m-1
ports:
  - {{port: 8080/http, healthCheck: {{httpPath: /healthz}}}}
  - {{port: 9125/udp}}
volumes:
  - {{name: data, path: /srv/data}}
propsVolumePath: /etc/props
props: {{LOG_LEVEL: info, DB_HOST: endpoint(db), GREETING: string(hello), app.conf: file(app.conf)}}
secretsVolumePath: /etc/secrets
secrets: {{DB_PASSWORD: s3cret, TOKEN: t0ken}}
agents:
  - {{name: shipper, image: "fluent/fluent-bit:1.9", props: {{OUT_HOST: endpoint(log-store)}}, propsVolumePath: /props}}
"""


def median(work: Callable[[], Any]) -> float:
    """Seconds of one run."""
    work()
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def services(directory: Path) -> list[Service]:
    directory.mkdir(parents=True)
    (directory / "app.conf").write_text("a = 1\n")
    paths = [directory / f"service-{number}.hspec" for number in range(SERVICES)]
    for number, path in enumerate(paths):
        path.write_text(SPEC.format(number=number))
    return [load(path) for path in paths]


def manifests(directory: Path) -> dict[str, Any]:
    """All manifests of an app, generated and written; the least is to write down what is known already."""
    app, context = services(directory / "specs"), Context("shop", "shop-dev")

    def made() -> list[list[Manifest]]:
        return [generate(service, context, print) for service in app]

    def write_all() -> None:
        for number, found in enumerate(made()):
            write(found, directory / f"manifests-{number}")

    known, bare = [each for found in made() for each in found], directory / "bare"
    bare.mkdir()

    def write_known() -> None:
        for number, each in enumerate(known):
            (bare / f"{number}.yaml").write_text(yaml.dump(each.data, Dumper=yaml.CSafeDumper))

    ours, best = median(write_all) * 1000, median(write_known) * 1000
    name = f"manifests of {SERVICES} services, generated and written, ms"
    return {"name": name, "ours": ours, "best": best, "ratio": ours / best, "files": len(known)}


def help_text() -> dict[str, Any]:
    """From the start of `hspec --help` to its end; the least is a Python that does nothing."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments: str) -> Callable[[], Any]:
        command = [sys.executable, *arguments]
        return lambda: subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)

    ours, best = median(run("-m", "octopod.hspec", "--help")) * 1000, median(run("-c", "pass")) * 1000
    return {"name": "hspec --help, ms: and python -c pass", "ours": ours, "best": best, "ratio": ours / best}

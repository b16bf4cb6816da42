"""The commands: their words, other names for them, their options, and where their functions are.

Nothing here imports a layer: `hspec --help` has to be there at once.
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

NAME = r"[a-z]([-a-z0-9]*[a-z0-9])?"
APP = r"[a-z0-9][-a-z0-9]{0,28}[a-z0-9]"
NAMESPACE = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
LINES = range(1, 502)

Add = Callable[[argparse.ArgumentParser], object]


class Command(NamedTuple):
    words: tuple[str, ...]
    help: str
    options: tuple[Add, ...]
    function: str  # module:function below this package
    aliases: tuple[tuple[str, ...], ...] = ()


def matching(pattern: str, what: str) -> Callable[[str], str]:
    """A type for argparse: text of a certain shape."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f'"{text}" {what}')
        return text

    return parse


def whole(allowed: range) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or int(text) not in allowed:
            last = f" to {allowed[-1]}" if len(allowed) < 10**6 else " or more"
            raise argparse.ArgumentTypeError(f'"{text}" is no number from {allowed[0]}{last}')
        return int(text)

    return parse


def seconds(text: str) -> int:
    """90, 90s, 5m, 1h"""
    match = re.fullmatch(r"(\d{1,6})([smh]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f'"{text}" is no duration such as 90, 90s, 5m or 1h')
    return int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


class Paths(argparse.Action):
    """Repeatable, and each time several, as a shell makes them of *.hspec, or with commas."""

    def __call__(self, _parser: object, namespace: argparse.Namespace, values: object, _option: object = None) -> None:
        given = values if isinstance(values, list) else [values]
        found = [Path(text) for value in given for text in str(value).split(",") if text]
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or []), *found])


def app(parser: argparse.ArgumentParser) -> None:
    kind = matching(APP, "cannot be the name of an app: 2 to 30 of a-z, 0-9 and -, none of the ends being -")
    parser.add_argument("-a", "--app", "--application", required=True, type=kind, metavar="NAME", help="the app")


def a_namespace(text: str) -> str:
    return matching(NAMESPACE, "cannot be a namespace: up to 63 of a-z, 0-9 and -, none of the ends being -")(text)


def namespace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n", "-ns", "--namespace", required=True, type=a_namespace, metavar="NAME", help="the namespace of the cluster"
    )


def namespace_to_be(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n", "-ns", "--namespace", type=a_namespace, metavar="NAME",
        help="the namespace they are for; Traefik has to be told when it adds headers",
    )  # fmt: skip


def a_service(text: str) -> str:
    return matching(NAME, "cannot be the name of a service: a-z, 0-9 and -, beginning with a letter")(text)


def service(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-s", "--service", required=True, type=a_service, metavar="NAME", help="the service")


def services(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-s", "--service", required=True, type=a_service, action="append", dest="services", metavar="NAME",
        help="a service; may be repeated",
    )  # fmt: skip


def specs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f", "-file", "--file", "--files", required=True, action=Paths, nargs="+", dest="files", metavar="FILE",
        help="service specs, such as *.hspec; may be repeated, or have commas",
    )  # fmt: skip


def profiles(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "-p", "--profile", action=Paths, nargs="+", dest="profiles", default=[], metavar="FILE",
        help="profiles; at most one per service, may be repeated, or have commas",
    )  # fmt: skip
    group.add_argument(
        "-P", dest="profile_name", metavar="NAME",
        help="the profile of this name of every service, beside its spec or in profiles/",
    )  # fmt: skip


def output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=["text", "json", "yaml"], default="text", help="how to print results")


def verbose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-v", "-verbose", "--verbose", action="store_true", help="print what builders and pods write")


def timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout", type=seconds, metavar="DURATION",
        help="how long to wait until a service runs: 90, 90s, 5m (default: 2m for each of its replicas)",
    )  # fmt: skip


def log_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-r", "--replica", metavar="NAME", help="which pod (default: the first)")
    parser.add_argument("-t", "--tail", action="store_true", help="go on printing as it is written")
    parser.add_argument(
        "-l", "--line", "--lines", type=whole(LINES), default=100, dest="lines", metavar="N",
        help="the last so many lines (default 100, at most 501)",
    )  # fmt: skip


def scale_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--up", type=whole(range(1, 10**9)), metavar="N", help="so many replicas more")
    group.add_argument("--down", type=whole(range(1, 10**9)), metavar="N", help="so many fewer")
    group.add_argument("--to", type=whole(range(10**9)), metavar="N", help="so many")


def schema_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--of", choices=["spec", "profile"], default="spec", help="of what (default: spec)")


COMMANDS = (
    Command(("deploy", "service"), "build, push, generate and deploy services, and wait until they run",
            (specs, app, namespace, profiles, timeout, output, verbose), "deploying:deploy", (("deploy", "services"),)),
    Command(("validate",), "say all that is wrong with service specs",
            (specs, profiles, output), "deploying:validate"),
    Command(("generate", "service", "manifests"), "write the manifests of services, without a cluster",
            (specs, app, namespace_to_be, profiles, output), "deploying:generate",
            (("generate", "service", "manifest"), ("generate", "services", "manifests"))),
    Command(("get", "service", "status"), "how services are",
            (services, app, namespace, output), "looking:service_status", (("get", "services", "status"),)),
    Command(("get", "service", "logs"), "what a service writes",
            (service, app, namespace, log_options), "looking:logs", (("get", "service", "log"),)),
    Command(("get", "app", "status"), "how all services of an app are",
            (app, namespace, output), "looking:app_status"),
    Command(("get", "replicas"), "the pods of a service",
            (service, app, namespace, output), "looking:replicas",
            (("get", "replica", "status"), ("get", "service", "replicas"))),
    Command(("scale", "service"), "change the number of a service's replicas",
            (service, app, namespace, scale_options, output), "changing:scale"),
    Command(("undeploy", "service"), "remove services; volumes are kept",
            (services, app, namespace, output), "changing:undeploy_services", (("undeploy", "services"),)),
    Command(("undeploy", "app"), "remove all services of an app; volumes are kept",
            (app, namespace, output), "changing:undeploy_app"),
    Command(("schema",), "print the JSON Schema of service specs or profiles, for editors",
            (schema_options,), "looking:schema"),
)  # fmt: skip

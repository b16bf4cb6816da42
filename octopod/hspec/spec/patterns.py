"""How names, paths and numbers are written. Patterns are for whole values and mean the same in ECMAScript."""

import re
from functools import partial

from ..quantities import QUANTITY, parse
from .kinds import Text

LABEL_CHARACTERS = "lower-case letters, digits and `-`, beginning with a letter, ending with a letter or digit"
DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DNS_NAME = rf"{DNS_LABEL}(\.{DNS_LABEL})*"
NUMBER_OF_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
PROTOCOL = "([tT][cC][pP]|[uU][dD][pP]|[hH][tT][tT][pP][sS]?)"
HOST = r"[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*(:[0-9]{1,5})?"
COMPONENT = "[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY = f"{COMPONENT}(/{COMPONENT})*"
TAG = "[a-zA-Z0-9_][-a-zA-Z0-9_.]{0,127}"
DIGEST = "[a-zA-Z0-9]+:[a-fA-F0-9]{32,}"
NOT_CONTROL = r"[^\u0000-\u001f\u007f]"

SERVICE = Text(f"at most 63 {LABEL_CHARACTERS}", "[a-z]([-a-z0-9]*[a-z0-9])?", 63)
NAME = Text("at most 63 lower-case letters, digits and `-`, beginning and ending with a letter or digit", DNS_LABEL, 63)
DOMAIN = Text("a DNS name of at most 253 lower-case letters, digits, `-` and `.`", DNS_NAME, 253)
HOST_NAME = Text("a DNS name such as shop.example.com; its first part may be `*`", rf"(\*\.)?{DNS_NAME}|\*", 253)
ENVIRONMENT = Text("2 to 30 letters, digits and `-`, beginning and ending with a letter or digit",
                   "[a-zA-Z0-9][-a-zA-Z0-9]{0,28}[a-zA-Z0-9]")  # fmt: skip

PORT = Text(
    "a number from 1 to 65535, with /tcp, /udp, /http or /https behind it where it is not TCP",
    f"{NUMBER_OF_PORT}(/{PROTOCOL})?",
    most=65535,
)
HTTP_PATH = Text("the path of a URL", r"[^\u0000-\u0020\u007f]*", may_be_blank=True)
# Kubernetes refuses an Ingress with the others (its validation of HTTPIngressPath).
CONTEXT_PATH = Text(
    "the path of a URL, beginning with /, without //, /./, /../ and %2F, and no /. or /.. at its end",
    r"(?!.*(//|/\.\.?(/|$)|%2[fF]))/[^\u0000-\u0020\u007f{};\"'\\]*",
)

REGISTRY = Text("`host[:port][/path]`, with no https:// before it and no / behind it", rf"{HOST}(/{COMPONENT})*", 255)
IMAGE_NAME = Text(
    "a repository in lower case, such as team/web; registry and tag have fields of their own", REPOSITORY, 255
)
IMAGE_TAG = Text("at most 128 letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`", TAG)
IMAGE = Text("`[registry/]name[:tag]`, the name in lower case", rf"({HOST}/)?{REPOSITORY}(:{TAG})?(@{DIGEST})?", 512)

FILE = Text("the path of a file", rf"{NOT_CONTROL}+", 4096)
DIRECTORY = Text("the path of a directory", rf"{NOT_CONTROL}+", 4096)
PATH = Text("a path", rf"{NOT_CONTROL}+", 4096)
MOUNT = Text("an absolute path in the container, without `:`", r"/[^\u0000-\u001f\u007f:]+", 4096)
FILE_NAME = Text("letters, digits, `-`, `_` and `.`, beginning with a letter or digit",
                 "[a-zA-Z0-9][-_.a-zA-Z0-9]*", 128)  # fmt: skip

DATA_KEY = Text("at most 253 letters, digits, `-`, `_` and `.`, not beginning with `..`",
                r"([-_a-zA-Z0-9]|\.[-_a-zA-Z0-9])[-._a-zA-Z0-9]*", 253)  # fmt: skip
ANY = Text("a text", may_be_blank=True)
LINE = Text("a text of one line", rf"{NOT_CONTROL}*", may_be_blank=True)

_QUANTITY_WORDS = "a number, then one of n u m k M G T P E Ki Mi Gi Ti Pi Ei"


def split_range(text: str) -> tuple[str | None, str]:
    """Minimum, if there is one, and maximum of `[<min>-]<max>`."""
    if re.fullmatch(QUANTITY, text):
        return None, text
    match = re.fullmatch(f"(?P<min>{QUANTITY})-(?P<max>{QUANTITY})", text)
    return (match["min"], match["max"]) if match else (None, text)


def _wrong_range(text: str, least: str) -> str:
    minimum, maximum = split_range(text)
    try:
        if parse(maximum) <= parse(least):
            return f"the maximum must be more than {least}"
        if minimum and parse(minimum) > parse(maximum):
            return "the minimum is more than the maximum"
    except ValueError as error:
        return str(error)
    return ""


def _wrong_size(text: str) -> str:
    try:
        return "" if parse(text) > 0 else "it must be more than nothing"
    except ValueError as error:
        return str(error)


def _range(least: str) -> Text:
    allowed = f"`<max>` or `<min>-<max>`, each {_QUANTITY_WORDS}; the maximum more than {least}"
    return Text(allowed, f"{QUANTITY}(-{QUANTITY})?", 128, complaint=partial(_wrong_range, least=least))


MEMORY = _range("4Mi")
CPU = _range("1m")
SIZE = Text(f"a quantity: {_QUANTITY_WORDS}; more than 0", QUANTITY, 64, complaint=_wrong_size)

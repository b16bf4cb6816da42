"""What can be deployed as it is written, but was hardly meant like that: warnings only."""

import re

from ..quantities import parse
from .nodes import Path
from .rules import Draft
from .values import FORM

OPENED = re.compile(r"(file|endpoint|string)\(", re.IGNORECASE)
MANY_CPUS = 100


def check_doubts(draft: Draft) -> None:
    for path, owner in draft.owners():
        for key, text in (owner.get("props") or {}).items():
            _doubt_prop(draft, (*path, "props", key), text or "", bool(owner.get("propsVolumePath")))
        secrets = owner.get("secrets")
        for key, text in secrets.items() if isinstance(secrets, dict) else ():
            if FORM.fullmatch(text or ""):
                draft.report.warn((*path, "secrets", key), "Only props have such forms: this very text is the secret.")
    _doubt_cpu(draft)
    image = draft.data.get("image") or {}
    if not image.get("registry") and (image.get("dockerfile") is not None or image.get("buildSpec")):
        draft.report.warn(
            ("image",), "Without `registry` the image stays on this machine, and the cluster looks for it elsewhere."
        )


def _doubt_prop(draft: Draft, path: Path, text: str, is_mounted: bool) -> None:
    if OPENED.match(text) and not FORM.fullmatch(text):
        draft.report.warn(path, "This is taken for a plain text, since it does not end with a bracket.")
    form = FORM.fullmatch(text)
    if is_mounted and "\n" in text and not (form and form[1].lower() == "file"):
        draft.report.warn(path, "A text of several lines makes lines of its own in config.props.")


def _doubt_cpu(draft: Draft) -> None:
    most = (draft.data.get("cpu") or "").rpartition("-")[2]
    if most and parse(most) > MANY_CPUS:
        draft.report.warn(("cpu",), f"{most} are that many processors; a thousandth of one is written 1m.")

"""Write manifests, a file each, readable for their owner only: they hold secrets."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ..errors import ManifestError
from .model import Manifest

_WORD = re.compile(r"(?![yYnN]$)[A-Za-z/]")  # the resolver knows the other words that need quotes: `on`, `null`


class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes everything out: no anchors; texts of several lines as such."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: Any, text: str) -> Any:
    """Quoted wherever a reader of any version of YAML might take it for something else: `1e3`, `0o17`, `y`."""
    style = "|" if "\n" in text else None if _WORD.match(text) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, _text)


def dumped(data: dict[str, Any]) -> str:
    """One YAML document, with its `---`."""
    return yaml.dump(data, Dumper=Dumper, explicit_start=True, sort_keys=False, allow_unicode=True, width=2**20)


def write(manifests: Sequence[Manifest], directory: Path) -> list[Path]:
    """Empty the directory, then write a file per manifest, in their order. Raises ManifestError."""
    named = _named(manifests)
    try:
        _empty(directory)
        return [_write(directory / name, manifest) for name, manifest in named.items()]
    except OSError as error:
        raise ManifestError(f"The manifests cannot be written to {directory}: {error.strerror}.") from None


def _empty(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _named(manifests: Sequence[Manifest]) -> dict[str, Manifest]:
    named: dict[str, Manifest] = {}
    for manifest in manifests:
        name = manifest.filename
        if name in named:
            raise ManifestError(f"Two manifests would be written to {name}: {named[name].name} and {manifest.name}.")
        named[name] = manifest
    return named


def _write(path: Path, manifest: Manifest) -> Path:
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(dumped(manifest.data))
    return path

"""From what a form says to the values of a chart."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib import values
from lib.contents import Contents, mapping
from lib.settings import Settings
from lib.values import Pairs, Refused, Values
from shared import handed_out
from shared.arguments import Request
from shared.files import is_below
from shared.output import Failure


class Configuration:
    """A chart, and what a request says about it. `base` is what it would be deployed with if nothing were said."""

    def __init__(self, settings: Settings, request: Request, contents: Contents) -> None:
        self.settings, self.request, self.contents = settings, request, contents
        self.file = values_file(request.deployment_value("values_file"), contents, settings.values_dir)
        self.base = values.merge(contents.all_values(), self.file)
        self.schema = schema(contents)

    def defaults(self) -> Pairs:
        """What a form begins with: the chart's values, on top the file's, on top DEFAULTS'."""
        own = dict(values.as_pairs(values.merge(self.contents.values(), self.file)))
        return [pair for pair in (own | overrides(self.settings)).items() if pair[0] != self.settings.host_key]

    def keys(self) -> list[str]:
        """What can be set, to any depth, in subcharts too."""
        own = values.keys(self.contents.values())
        known = dict.fromkeys([*own, *values.keys(self.base), *overrides(self.settings)])
        return [key for key in known if key != self.settings.host_key]

    def values(self, taken_away: Values) -> Values:
        """What helm is given. Raises Failure with a line per value that does not fit."""
        try:
            asked = values.nested(list(self.request.application), self.base, self.schema)
            return self._with_host(overlay(overlay(self.file, taken_away), asked))
        except Refused as refused:
            raise Failure(str(refused)) from None

    def _with_host(self, tree: Values) -> Values:
        """The deployment's own address, on top of everything: two deployments must not claim the same."""
        if not self.settings.host_key:
            return tree
        host = f"{self.request.name}.{self.request.base_domain}"
        return values.assign(tree, values.parse_path(self.settings.host_key), host, self.base)


def overrides(settings: Settings) -> dict[str, str]:
    """DEFAULTS' values by path, written as all paths are. Raises Failure."""
    try:
        return {values.write_path(values.parse_path(key)): value for key, value in settings.overrides}
    except Refused as refused:
        raise Failure(f"default_overrides in DEFAULTS: {refused}") from None


def schema(contents: Contents) -> Any:
    """The chart's schema; None when it has none, or one that is no JSON, of which helm will complain."""
    try:
        return json.loads(contents.files.get("values.schema.json") or "null")
    except ValueError:
        return None


def values_file(name: str, contents: Contents, directory: Path | None) -> Values:
    """The values in a file of the chart, or, by an absolute path, of a directory of this machine. Raises Failure."""
    if not name:
        return {}
    if ".." in name.split("/"):
        raise Failure(f"values_file must not lead upwards, as {name} does.")
    if not name.startswith("/"):
        data = contents.find(name)
        if data is None:
            raise Failure(f"There is no {name} in the chart {contents.name}.")
        return values.with_strings(mapping(name, data))
    if not is_below(Path(name), directory):
        raise Failure(f"values_file must be a file of the chart, or one below VALUES_DIR: {name} is neither.")
    try:
        return values.with_strings(mapping(name, Path(name).read_bytes()))
    except OSError as error:
        raise Failure(f"{name} cannot be read: {error.strerror}.") from None


def overlay(below: Any, above: Any) -> Any:
    """As helm merges files of values: maps are merged, all else replaces; null stays, for it is the chart's to lose."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return below | {key: overlay(below.get(key), value) for key, value in above.items()}


def taken_away(configuration: Configuration, environ: Mapping[str, str] = os.environ) -> Values:
    """What a user has taken away of the defaults that were handed out: helm is to be given null for it.

    Without a record, the chart as it is now says what there was to take away.
    """
    request = configuration.request
    if not handed_out.is_whole(request, environ):
        return {}
    record = handed_out.recall(configuration.settings.data, request)
    keys = [key for key, _ in configuration.defaults()] if record is None else list(record)
    return values.taken_away(keys, list(request.application))

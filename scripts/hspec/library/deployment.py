"""A deployment: what is asked for, what the source says of it, and where it is in the cluster."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

from library import configuration, copies, settings, sources, specs
from library.configuration import Form
from library.mirrors import Mirror
from library.running import shorten
from library.specs import Found
from octopod.hspec.cluster import Kubectl
from octopod.hspec.images.stages import is_made
from octopod.hspec.service import Agent, Service
from shared import arguments, files, handed_out
from shared.output import SECRET_KEY, Failure, hide, say

LONGEST = 63  # characters of a namespace's name
ACTION = 1800.0  # seconds that the server gives the script of an action, unless it is told otherwise


class Deployment:
    """One deployment, by the arguments of the script. `fresh`: whether its ref is asked for in the repository itself."""

    def __init__(self, argv: list[str] | None = None, named: bool = True, fresh: bool = True) -> None:
        self.settings, self.fresh = settings.load(), fresh
        self.request = arguments.parse(sys.argv[1:] if argv is None else argv, named)
        self.name = self.request.name
        self.home = self.settings.data / "deployments" / self.name

    def asked(self, key: str) -> str:
        """A value of the deployment configuration."""
        return self.request.deployment_value(key)

    @property
    def namespace(self) -> str:
        """Each deployment has its own: services are found by their plain names."""
        name = f"{self.request.namespace}-{self.name}"
        if len(name) > LONGEST:
            raise Failure(f"The namespace would be called {name}, which is longer than {LONGEST} characters.")
        return name

    @cached_property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.namespace)

    def locked(self) -> AbstractContextManager[None]:
        """One script at a time changes it. The next one says that it waits, and no longer than the server waits for it."""
        return files.locked(self.home, files.patience(self.name, ACTION, say))

    # What the source says

    @cached_property
    def source(self) -> sources.Source:
        return sources.find(self.asked("source"), self.settings)

    @cached_property
    def mirror(self) -> Mirror:
        return Mirror(self.settings.data, self.source)

    @cached_property
    def commit(self) -> str:
        """The commit to be deployed; empty for a plain directory. Raises Failure."""
        ref = self.asked("ref")
        if self.source.remote:
            return self.mirror.resolve(ref, self.fresh)
        if ref:
            raise Failure(f"{self.source.shown} is no git repository: it has no ref {ref}. Take the ref away.")
        return ""

    @cached_property
    def root(self) -> Path:
        """The directory of the source. Nobody may write there. Raises Failure."""
        if self.commit:
            root = self.mirror.check_out(self.commit)
        else:
            assert self.source.directory
            root = copies.temporary(self.source.directory, self.settings.data / "checkouts")
        shorten(root)
        return root

    @cached_property
    def specs(self) -> list[Found]:
        paths = specs.find(self.root, self.asked("spec") or settings.SPEC)
        return specs.with_profiles(paths, self.asked("profile"), self.root)

    @cached_property
    def plain_services(self) -> list[Service]:
        """The services as the source describes them."""
        return self._load({})

    @cached_property
    def form(self) -> Form:
        return Form(self.plain_services)

    # What is asked for on top of that

    @cached_property
    def overrides(self) -> dict[Path, dict[str, Any]]:
        """What is to be changed in each spec. Raises Failure with all that cannot be."""
        handed = handed_out.recall(self.settings.data, self.request)
        given = self.request.application
        if handed_out.is_whole(self.request):
            away = configuration.taken_away(self.form, given, handed or {})
            if away:
                raise Failure("\n".join(away))
        changes = configuration.changes(self.form, given, handed or {})
        pairs = zip(self.specs, self.plain_services, strict=True)
        return {found.path: changes.get(service.name, {}) | self._image(service) for found, service in pairs}

    def _image(self, service: Service) -> dict[str, Any]:
        wanted = {key: self.asked(key) for key in ("registry", "tag") if self.asked(key)}
        return {"image": wanted} if wanted and is_made(service) else {}

    @cached_property
    def services(self) -> list[Service]:
        """The services as they are asked for. Raises InvalidSpec, Failure."""
        return self._load(self.overrides)

    def _load(self, overrides: Mapping[Path, Mapping[str, Any]]) -> list[Service]:
        services = specs.load(self.specs, self.root, overrides)
        for service in services:
            hide(secrets_of(service))
        return services

    # What has been deployed, as far as this machine remembers

    @property
    def record(self) -> dict[str, Any]:
        try:
            found = json.loads((self.home / "deployed.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def remember(self, **facts: Any) -> None:
        files.write_privately(self.home / "deployed.json", json.dumps(facts))

    @property
    def shown_version(self) -> str:
        """For people: which commit, of which ref, from where."""
        ref = f" ({self.asked('ref')})" if self.asked("ref") else ""
        return f"{short(self.commit)}{ref} of {self.source.shown}" if self.commit else self.source.shown


def secrets_of(service: Service) -> Iterator[str]:
    """What nobody is to see: secrets, and props whose names say that they are."""
    parts: list[Service | Agent] = [service, *service.agents]
    for one in parts:
        yield from ((one.secrets and one.secrets.values) or {}).values()
        yield from (prop.text for name, prop in one.props.items() if SECRET_KEY.search(name))


def short(commit: str) -> str:
    """As people write it."""
    return commit[:10] if re.fullmatch(r"[0-9a-f]{40,64}", commit) else commit

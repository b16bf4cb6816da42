"""Where charts come from, and the copy of each that the suite keeps.

A chart is fetched once, under a lock, into the suite's own cache; everything else works with that file. So runs at the
same time cannot spoil helm's cache, and a repository that is away stops nothing that has been fetched before.
"""

import hashlib
import json
import os
import re
import tempfile
import urllib.parse
from pathlib import Path
from typing import NamedTuple

from lib import credentials
from lib.registry import Denied, Missing, Registry, Silent
from lib.settings import Settings
from shared import processes
from shared.arguments import Request
from shared.files import age, is_below, locked, write_privately
from shared.output import Failure, complain

FRESH = 600.0  # seconds
LAYERS = ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "application/tar+gzip")
SEMVER = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?([+_][0-9A-Za-z.-]+)?")
FETCH_TIMEOUT = 50.0
ALIAS = "repository"
INDEX = f"{ALIAS}-index.yaml"


class Reference(NamedTuple):
    """The chart that a configuration asks for. An empty version is the newest."""

    url: str
    name: str
    version: str
    user: str = ""
    password: str = ""

    @property
    def directory(self) -> Path | None:
        """Set when it is on this machine."""
        return _directory(self.url)

    @property
    def shown(self) -> str:
        return " ".join(word for word in (self.name or self.url, self.version) if word)

    def key(self, *more: str) -> str:
        """A name for the directory of what belongs to it."""
        return hashlib.sha256("\0".join((self.url, self.user, self.password, *more)).encode()).hexdigest()[:24]


def _directory(url: str) -> Path | None:
    path = url.removeprefix("file://")
    return Path(path) if path.startswith("/") else None


def wanted(request: Request, settings: Settings) -> Reference:
    """What the deployment configuration asks for. Raises Failure."""
    url = request.deployment_value("chart_repo_url").rstrip("/")
    name, version = request.deployment_value("chart_name"), request.deployment_value("chart_version")
    reference = Reference(url, name, version, *_login(request, settings, url))
    _check(reference)
    _check_directory(reference.directory, reference.url, settings)
    return reference


def default(settings: Settings) -> Reference | None:
    """What DEFAULTS asks for, if it does."""
    url = settings.chart.get("chart_repo_url", "").rstrip("/")
    if not url:
        return None
    chart = settings.chart
    return Reference(url, chart.get("chart_name", ""), chart.get("chart_version", ""), settings.user, settings.password)


def _login(request: Request, settings: Settings, url: str) -> tuple[str, str]:
    """The operator's password goes to the operator's repository only, not wherever somebody points us; when DEFAULTS names
    none, to nobody."""
    user, password = request.deployment_value("chart_repo_user"), request.deployment_value("chart_repo_pass")
    ours = settings.chart.get("chart_repo_url")
    if user or password or not ours or _origin(ours) != _origin(url):
        return user, password
    return settings.user, settings.password


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()


def _check(reference: Reference) -> None:
    if not reference.url:
        raise Failure("chart_repo_url is missing: where does the chart come from?")
    if not re.fullmatch(r"([A-Za-z0-9_][A-Za-z0-9._/-]*)?", reference.name) or ".." in reference.name.split("/"):
        raise Failure(f'"{reference.name}" cannot be the name of a chart.')
    if reference.version.startswith("-"):
        raise Failure(f'"{reference.version}" cannot be the version of a chart.')
    if reference.directory:
        return
    if not re.match(r"(https?|oci)://[^/\s]+", reference.url):
        raise Failure("chart_repo_url must be an http(s):// or oci:// address, or the absolute path of a directory.")
    if urllib.parse.urlsplit(reference.url).password:
        raise Failure(
            "chart_repo_url must not hold a password: there are chart_repo_user and chart_repo_pass for that."
        )
    if not reference.name and not reference.url.startswith("oci://"):
        raise Failure("chart_name is missing: which chart of the repository is it?")


def _check_directory(path: Path | None, url: str, settings: Settings) -> None:
    """Charts of this machine come from where the operator says, however a path is written. Raises Failure."""
    ours = settings.chart.get("chart_repo_url", "").rstrip("/")
    root = _directory(ours) if url == ours else settings.charts_dir
    if path and not is_below(path, root):
        raise Failure(f"chart_repo_url must not be a directory of this machine, unless it is below CHARTS_DIR: {url}.")


class Charts:
    """The suite's copies of charts."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def get(self, reference: Reference, fresh: bool = True) -> Path:
        """The chart as a directory or a package. `fresh`: not older than ten minutes, if it can be had;
        otherwise it is only looked for, neither fetched nor waited for. Raises Failure."""
        if reference.directory:
            found = find_locally(reference, reference.directory)
            _check_directory(found, reference.url, self.settings)
            return found
        home = self._home("charts", reference.key(reference.name, reference.version))
        kept = home / "chart.tgz"
        if not fresh and not kept.exists():
            raise Failure(f"There is no copy of {reference.shown} here.")
        if fresh:
            with locked(home, wait=in_time):
                if age(kept) > FRESH:
                    self._renew(reference, kept)
        return kept

    def _renew(self, reference: Reference, kept: Path) -> None:
        """Fetch the chart; when that fails and there is a copy, the copy will do."""
        try:
            with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
                os.replace(self._fetch(reference, Path(scratch)), kept)
            os.utime(kept)
        except Absent:
            raise
        except Failure as failure:
            if not kept.exists():
                raise
            complain(f"Using the copy of {reference.shown} from {age(kept) / 60:.0f} minutes ago. {failure}")

    def _fetch(self, reference: Reference, scratch: Path) -> Path:
        if reference.url.startswith("oci://"):
            return pull_from_registry(reference, scratch / "chart.tgz", self.settings)
        return self._pull_from_repository(reference, scratch)

    def _pull_from_repository(self, reference: Reference, scratch: Path) -> Path:
        home = self._home("repositories", reference.key())
        with locked(home, wait=in_time):
            self._refresh(reference, home, always=False)
            version = ["--version", reference.version] if reference.version else []
            pull = ["pull", f"{ALIAS}/{reference.name}", *version, "--destination", str(scratch)]
            done = self._helm(home, *pull)
            if not done.ok:
                raise self._complaint(reference, home, done)
        return next(scratch.glob("*.tgz"))

    def refresh(self, reference: Reference) -> None:
        """Fetch the index of the reference's repository. Raises Failure."""
        home = self._home("repositories", reference.key())
        with locked(home, wait=in_time):
            self._refresh(reference, home, always=True)

    def _refresh(self, reference: Reference, home: Path, always: bool) -> None:
        """The index, when it is older than ten minutes; an old one will do when there is no other."""
        index = home / "cache" / INDEX
        if not always and (age(index) <= FRESH or self._is_given_by_init(reference, index)):
            return
        write_privately(home / "repositories.json", repositories(reference))
        with tempfile.TemporaryDirectory(dir=home) as scratch:  # whoever is killed here leaves the old index as it was
            done = self._helm(home, "repo", "update", cache=Path(scratch))
            if done.ok and (Path(scratch) / INDEX).exists():
                index.parent.mkdir(exist_ok=True)
                os.replace(Path(scratch) / INDEX, index)
                return
        problem = Failure(f"The repository {reference.url} cannot be read: {reason(done)}")
        if not index.exists():
            raise problem
        complain(f"Using the index from {age(index) / 60:.0f} minutes ago. {problem}")

    def _is_given_by_init(self, reference: Reference, index: Path) -> bool:
        if not self.settings.on_init_only:
            return False
        if not index.exists():
            raise Failure(f"HELM_ON_INIT_ONLY is set, and init has not fetched the index of {reference.url}.")
        return True

    def _complaint(self, reference: Reference, home: Path, done: processes.Done) -> Failure:
        """What is missing, by name."""
        if "found in chart index" not in done.complaint and "no chart" not in done.complaint:
            return Failure(f"The chart {reference.shown} cannot be fetched from {reference.url}: {done.complaint}")
        versions = self._versions(reference, home)
        if not versions:
            return Absent(f"There is no chart {reference.name} in {reference.url}.")
        return Absent(f"There is no version {reference.version} of the chart {reference.name} in {reference.url}. "
                      f"It has {', '.join(versions[:8])}{' and others' if len(versions) > 8 else ''}.")  # fmt: skip

    def _versions(self, reference: Reference, home: Path) -> list[str]:
        full = f"{ALIAS}/{reference.name}"
        done = self._helm(home, "search", "repo", full, "--versions", "--devel", "--output", "json")
        found = json.loads(done.out) if done.ok and done.out.strip() else []
        return [entry["version"] for entry in found if entry["name"] == full]

    def _helm(self, home: Path, *arguments: str, cache: Path | None = None) -> processes.Done:
        env = processes.environment(
            HELM_REPOSITORY_CONFIG=str(home / "repositories.json"),
            HELM_REPOSITORY_CACHE=str(cache or home / "cache"),
            HELM_CACHE_HOME=str(home),
            HELM_CONFIG_HOME=str(home),
        )
        return processes.run([self.settings.helm, *arguments], FETCH_TIMEOUT, env=env)

    def _home(self, kind: str, key: str) -> Path:
        home = self.settings.data / kind / key
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return home


def in_time() -> None:
    """Raises Unreachable when the script has no time left to wait."""
    processes.limit.within(FETCH_TIMEOUT)


class Absent(Failure):
    """The repository has been asked, and there is no such chart in it."""


def find_locally(reference: Reference, directory: Path) -> Path:
    """The chart in a directory of this machine: a chart itself, or a directory of charts or of packages."""
    named = directory / reference.name
    package = directory / f"{reference.name}-{reference.version}.tgz"
    found = next((path for path in (named, directory) if (path / "Chart.yaml").is_file()), None)
    if package.is_file():
        return package
    if directory.is_file():
        return directory
    if not found:
        raise Absent(f"There is no chart {reference.name} in {directory}.")
    return found


def repositories(reference: Reference) -> str:
    """helm's configuration of repositories, which is where it takes passwords from. JSON is YAML."""
    login = {"username": reference.user, "password": reference.password} if reference.user else {}
    return json.dumps({"apiVersion": "v1", "repositories": [{"name": ALIAS, "url": reference.url, **login}]})


def pull_from_registry(reference: Reference, target: Path, settings: Settings) -> Path:
    """A chart by `oci://`: the suite speaks to the registry itself, so any version of helm will do. Raises Failure."""
    host, _, path = reference.url.removeprefix("oci://").partition("/")
    repository = "/".join(part for part in (path, reference.name) if part)
    login = credentials.Keyring({host: credentials.Login(reference.user, reference.password)} if reference.user else {})
    keyring = credentials.joined([login, credentials.from_docker_config()])
    registry = Registry(host, keyring, settings.insecure_registries)
    try:
        version = reference.version or newest(registry.tags(repository))
        manifest = registry.manifest(repository, version.replace("+", "_"))
        layers = [layer for layer in manifest.get("layers", []) if layer.get("mediaType") in LAYERS]
        if not layers:
            raise Absent(f"oci://{host}/{repository}:{version} is not a chart.")
        target.write_bytes(checked(registry.blob(repository, layers[0]["digest"]), layers[0]["digest"]))
    except Missing:
        version = f" {reference.version}" if reference.version else ""
        raise Absent(f"There is no chart{version} in oci://{host}/{repository}.") from None
    except Denied as denied:
        raise Failure(f"The registry {host} does not give us oci://{host}/{repository}: it {denied}.") from None
    except Silent as silent:
        raise Failure(f"The chart oci://{host}/{repository} cannot be fetched: {silent}.") from None
    return target


def checked(data: bytes, digest: str) -> bytes:
    """The data, if it is what its digest says. Raises Silent."""
    kind, _, value = digest.partition(":")
    if kind != "sha256" or hashlib.sha256(data).hexdigest() != value:
        raise Silent("what came is not what its digest says")
    return data


def newest(tags: list[str]) -> str:
    """The highest version among tags; one before a release only when there is no other. Raises Missing."""
    matches = [match for match in map(SEMVER.fullmatch, tags) if match]
    if not matches:
        raise Missing
    return max(
        matches, key=lambda match: (not match[4], *(int(part) for part in match.group(1, 2, 3)), match[4] or "")
    ).string


def reason(done: processes.Done) -> str:
    """What helm says of a repository, which is not always an error to it."""
    lines = [line.strip() for line in (done.out + done.err).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Hang tight", "Update Complete", "...Unable"))]
    return " ".join(told)[:500] or done.complaint

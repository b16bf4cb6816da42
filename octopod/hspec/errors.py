"""How things fail: one class per stage, each with the exit code of its own."""

from typing import NamedTuple


class Problem(NamedTuple):
    """One thing that is wrong, or worth a warning, and where."""

    message: str  # a sentence that names the value and what is allowed
    field: str = ""  # `ports[1].port`
    file: str = ""
    line: int = 0  # from 1; 0 when it is about no line

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return ": ".join(part for part in (place, self.field, self.message) if part)


class HspecError(Exception):
    """What ends the work on a service: one or several problems, and the exit code of the command."""

    code = 1

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = [problem if isinstance(problem, Problem) else Problem(problem) for problem in problems]
        self.warnings: list[Problem] = []  # what else was found on the way: a misspelt field explains a missing one
        super().__init__("\n".join(map(str, self.problems)))


class UsageError(HspecError):
    """Options that do not fit together, or names that cannot be."""

    code = 2


class SpecError(HspecError):
    """A service spec that cannot be read: missing, unreadable, no YAML."""

    code = 15


class InvalidSpec(HspecError):
    """A service spec whose fields are wrong; all that is wrong at once."""

    code = 22


class ProfileError(HspecError):
    """A profile that is missing, that cannot be read, or that does not fit its service."""

    code = 30


class PreflightError(HspecError):
    """What would fail later is missing now: a builder, credentials, the cluster, a storage class."""

    code = 45


class DockerfileError(HspecError):
    """The Dockerfile or what belongs beside it cannot be written."""

    code = 60


class BuildError(HspecError):
    """The image cannot be built, pulled or tagged."""

    code = 75


class PushError(HspecError):
    """The registry does not take the image, or the login."""

    code = 90


class ManifestError(HspecError):
    """Manifests cannot be generated or written."""

    code = 105


class ApplyError(HspecError):
    """The cluster refuses a change."""

    code = 120


class WaitError(HspecError):
    """What was applied does not run."""

    code = 135


class AddressError(HspecError):
    """The service runs, but has not been given an address in time."""

    code = 201


class ClusterError(HspecError):
    """The cluster cannot be asked."""

    code = 202


class LogsError(HspecError):
    """There are no logs to be had."""

    code = 203

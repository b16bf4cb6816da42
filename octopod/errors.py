"""What can go wrong with a request, each with the HTTP status both front doors answer it with."""

from typing import NamedTuple


class FieldError(NamedTuple):
    """What is wrong with one field; `field` is a path such as `application_overrides.SECRET`."""

    field: str
    message: str


class Problem(Exception):
    """A request that is not carried out. Its text is a sentence for the person who asked."""

    status = 500
    title = "Internal error"
    retry_after: int | None = None

    def __init__(self, detail: str, errors: list[FieldError] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors or []


class NotAuthenticated(Problem):
    status, title = 401, "Not authenticated"


class NotAuthorised(Problem):
    status, title = 403, "Not authorised"


class NotFound(Problem):
    status, title = 404, "Not found"


class TooSlow(Problem):
    status, title = 408, "Too slow"


class Conflict(Problem):
    status, title = 409, "Conflict"


class ChangedMeanwhile(Problem):
    status, title = 412, "Changed meanwhile"


class TooLarge(Problem):
    status, title = 413, "Too large"

    def __init__(self, most: int) -> None:
        shown = f"{most / 2**20:g} MiB" if most >= 2**20 else f"{most:,} bytes"
        super().__init__(f"The request is larger than {shown}, which is the most that is accepted")


class UnsupportedMediaType(Problem):
    status, title = 415, "Unsupported media type"


class TooMany(Problem):
    status, title, retry_after = 429, "Too many at a time", 10


class Invalid(Problem):
    status, title = 422, "Invalid"


class Unavailable(Problem):
    """Nothing is wrong with the request; `retry_after` seconds later it may well work."""

    status, title, retry_after = 503, "Unavailable", 5


class Stopping(Unavailable):
    """We are about to stop; nothing was carried out."""

    title = "Stopping"

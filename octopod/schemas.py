"""The JSON shapes: what requests may hold, what answers promise, and answers made from rows."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, NonNegativeFloat, StrictStr

from octopod.checks import Verdict
from octopod.defaults import Answer
from octopod.deployments import Edit, may_start
from octopod.errors import FieldError, Invalid
from octopod.lifecycle import Kind, State, Status
from octopod.models import Action, Deployment, Token
from octopod.overrides import MASK, Change, Difference, Item, Side
from octopod.suite import is_secret
from octopod.tokens import Limits

MOST_PER_PAGE = 500
ROWS = 30  # deployments that the page of the list begins with; more come when one scrolls

OverridesJSON = Annotated[
    dict[str, StrictStr | None], Field(description="Key to value; null takes the default of that key away.")
]


def _in_utc(moment: datetime) -> datetime:
    """In UTC, so that nothing depends on the time zones of servers and databases."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the moment is beyond the calendar") from None


MomentJSON = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


# --- requests ---


class NewDeployment(Shape):
    name: StrictStr
    deployment_overrides: OverridesJSON = {}
    application_overrides: OverridesJSON = {}


class LevelChange(Shape):
    set: OverridesJSON = {}
    unset: list[StrictStr] = []


class NewAction(Shape):
    """For `update` either both full override maps, or a change of one or both levels."""

    kind: Literal["update", "archive", "restore", "cleanup"]
    deployment_overrides: OverridesJSON | None = None
    application_overrides: OverridesJSON | None = None
    deployment: LevelChange | None = None
    application: LevelChange | None = None

    def edit(self) -> Edit | None:
        """The update that is asked for; None for other kinds. Raises Invalid when the two ways are mixed up."""
        full = self.deployment_overrides, self.application_overrides
        changes = self.deployment, self.application
        if self.kind != Kind.UPDATE:
            if any(part is not None for part in full + changes):
                raise Invalid(
                    f"{self.kind} takes no configuration", [FieldError("kind", f"{self.kind} takes no configuration")]
                )
            return None
        if any(part is not None for part in changes):
            if any(part is not None for part in full):
                raise _mixed("full override maps and changes of them cannot be combined")
            return Edit(*(Change(part.set, part.unset) if part else None for part in changes))
        if self.deployment_overrides is None or self.application_overrides is None:
            raise _mixed("update takes both full override maps, or a change of one or both levels")
        return Edit(list(self.deployment_overrides.items()), list(self.application_overrides.items()))


def _mixed(message: str) -> Invalid:
    return Invalid(message, [FieldError("application_overrides", message), FieldError("deployment_overrides", message)])


class ConfigQuestion(Shape):
    """The deployment overrides that defaults of the application level depend on."""

    deployment_overrides: OverridesJSON = {}


class PageQuery(Shape):
    limit: int = Field(50, ge=1, le=MOST_PER_PAGE)
    cursor: str | None = None


class DeploymentQuery(PageQuery):
    q: str = Field(
        "",
        max_length=200,
        description="Words that all have to be in the name, in links, in keys of overrides or in values that are not "
        "secret, in whatever case.",
    )
    similar: bool = Field(
        False,
        description="When nothing that passes the other filters has all the words of q, list what has similar ones: "
        "letters left out, too many or exchanged. Words of less than four letters, and numbers, have to be right.",
    )
    status: Status | None = None
    archived: Literal["false", "true", "all"] | None = Field(None, description="Default: false, or all with a status.")
    sort: Literal["name", "-name", "created", "-created", "changed", "-changed"] = "-changed"


def deployment_query(arguments: Mapping[str, str]) -> DeploymentQuery:
    """The query of an address of the list, as forms send it: what is left blank is not asked for, what others have added
    to it is not for us. People may mistype, and what fills a window or two is enough to begin with."""
    given = {key: value for key, value in arguments.items() if value and key in DeploymentQuery.model_fields}
    return DeploymentQuery.model_validate({"limit": ROWS} | given | {"similar": True})


class ActionQuery(PageQuery):
    deployment: str | None = None
    kind: Kind | None = None
    state: State | None = None
    since: MomentJSON | None = None


def action_query(arguments: Mapping[str, str]) -> ActionQuery:
    """The query of an address of the history, like that of the list."""
    return ActionQuery.model_validate(
        {key: value for key, value in arguments.items() if value and key in ActionQuery.model_fields}
    )


class NewToken(Shape):
    """Patterns such as `review-*`; without any, the token is good for all."""

    name: StrictStr
    role: Literal["user", "admin"] = "user"
    scripts: list[StrictStr] = []
    deployments: list[StrictStr] = []

    def limits(self) -> Limits:
        return Limits(self.role, self.scripts, self.deployments)


class Rotation(Shape):
    overlap: float = Field(
        3600, ge=0, le=90 * 86400, description="Seconds that the secrets which the token had are still good for."
    )


class WaitQuery(Shape):
    wait: NonNegativeFloat = Field(0, le=60, description="Seconds to hold the answer until the action is finished.")


class LogsQuery(Shape):
    stream: Literal["stdout", "stderr", "all"] = "all"
    follow: Literal["true", "false"] = "false"


# --- answers ---


class ActionJSON(BaseModel):
    id: int
    deployment: str | None = Field(description="None for the run of a bundle.")
    scripts: str | None = Field(description="Of a bundle, joined with +; None for all others.")
    kind: Kind
    state: State
    reason: str
    requested_by: str
    requested_from: str
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int | None
    attempts: int
    deployment_overrides: OverridesJSON
    application_overrides: OverridesJSON
    output_tail: str = Field(description="The last lines of the script's output when it did not succeed.")


class LinkJSON(BaseModel):
    name: str
    url: str


class DeploymentJSON(BaseModel):
    name: str
    status: Status
    status_reason: str
    action: ActionJSON | None = Field(description="The unfinished action.")
    allowed_actions: list[Kind]
    deployment_overrides: OverridesJSON
    application_overrides: OverridesJSON
    links: list[LinkJSON]
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    checked_at: datetime | None
    version: int


class DeploymentList(BaseModel):
    items: list[DeploymentJSON]
    next: str | None
    similar: bool = Field(description="Nothing is exactly what was asked for; these are only similar.")


class ActionList(BaseModel):
    items: list[ActionJSON]
    next: str | None


class ItemJSON(BaseModel):
    key: str
    value: str | None
    origin: Literal["default", "override", "custom", "removed"]
    default: str | None


class ConfigJSON(BaseModel):
    deployment: list[ItemJSON]
    application: list[ItemJSON]


class PairJSON(BaseModel):
    key: str
    value: str


class DefaultsJSON(BaseModel):
    items: list[PairJSON]
    stale: bool = Field(description="The script fails at present; this is its last good answer.")


class KeysJSON(BaseModel):
    items: list[str]
    stale: bool


class TokenJSON(BaseModel):
    name: str
    role: str
    scripts: list[str]
    deployments: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None = Field(description="When a secret that was exchanged stops being good.")
    last_used_at: datetime | None


class NewTokenJSON(TokenJSON):
    token: str = Field(description="The secret. It is shown this once.")


class TokenList(BaseModel):
    items: list[TokenJSON]
    next: str | None


class VerdictJSON(BaseModel):
    name: str
    status: Status
    exit_code: int
    output: str
    reason: str
    checked_at: datetime


class ProjectJSON(BaseModel):
    name: str
    base_domain: str
    namespace: str
    version: str
    suite: str


class ProblemErrorJSON(BaseModel):
    field: str
    message: str


class ProblemJSON(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemErrorJSON] = []


# --- rows to answers ---


def moment_json(moment: datetime | None) -> str | None:
    """RFC 3339, UTC."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def masked(key: str, value: str | None) -> str | None:
    return MASK if value is not None and is_secret(key) else value


def hidden(difference: Difference) -> Difference:
    """A difference that does not give a secret away."""
    key, *sides = difference
    return Difference(key, *(Side(side.word, masked(key, side.value or None) or "") for side in sides))


def overrides_json(overrides: dict[str, str | None]) -> dict[str, str | None]:
    return {key: masked(key, value) for key, value in overrides.items()}


def action_json(action: Action) -> dict[str, Any]:
    return {
        "id": action.id,
        "deployment": action.deployment and action.deployment.name,
        "scripts": action.scripts,
        "kind": action.kind,
        "state": action.state,
        "reason": action.reason,
        "requested_by": action.requested_by,
        "requested_from": action.requested_from,
        "requested_at": moment_json(action.requested_at),
        "started_at": moment_json(action.started_at),
        "finished_at": moment_json(action.finished_at),
        "exit_code": action.exit_code,
        "attempts": action.attempts,
        "deployment_overrides": overrides_json(action.deployment_overrides),
        "application_overrides": overrides_json(action.application_overrides),
        "output_tail": action.output_tail,
    }


def token_json(token: Token) -> dict[str, Any]:
    return {
        "name": token.name,
        "role": token.role,
        "scripts": token.scripts,
        "deployments": token.deployments,
        "created_at": moment_json(token.created_at),
        "created_by": token.created_by,
        "expires_at": moment_json(token.expires_at),
        "last_used_at": moment_json(token.last_used_at),
    }


def deployment_json(deployment: Deployment, action: Action | None) -> dict[str, Any]:
    return {
        "name": deployment.name,
        "status": deployment.status,
        "status_reason": deployment.status_reason,
        "action": action and action_json(action),
        "allowed_actions": may_start(deployment, action),
        "deployment_overrides": overrides_json(deployment.deployment_overrides),
        "application_overrides": overrides_json(deployment.application_overrides),
        "links": deployment.links,
        "created_at": moment_json(deployment.created_at),
        "updated_at": moment_json(deployment.updated_at),
        "archived_at": moment_json(deployment.archived_at),
        "checked_at": moment_json(deployment.checked_at),
        "version": deployment.version,
    }


def item_json(item: Item) -> dict[str, Any]:
    return {
        "key": item.key,
        "value": masked(item.key, item.value),
        "origin": item.origin,
        "default": masked(item.key, item.default),
    }


def defaults_json(answer: Answer) -> dict[str, Any]:
    return {"items": [{"key": key, "value": masked(key, value)} for key, value in answer.items], "stale": answer.stale}


def keys_json(answer: Answer) -> dict[str, Any]:
    return {"items": answer.items, "stale": answer.stale}


def verdict_json(name: str, verdict: Verdict) -> dict[str, Any]:
    return {
        "name": name,
        "status": verdict.status,
        "exit_code": verdict.exit_code,
        "output": verdict.output,
        "reason": verdict.reason,
        "checked_at": moment_json(verdict.checked_at),
    }

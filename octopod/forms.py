"""The form of a configuration: what somebody has typed, laid out on the defaults of the moment.

A form is a round trip: its rows come back as they were typed, and are laid out anew, with what is wrong with each, what
the defaults are now, and what a click on a row's button has changed. So whoever has no JavaScript gets the same.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from octopod import defaults, deployments
from octopod.deployments import Raw
from octopod.errors import Conflict, FieldError, Invalid, Unavailable
from octopod.lifecycle import Kind
from octopod.models import Action, Deployment
from octopod.overrides import MASK, Difference, Item, Overrides, Pairs, Side, differences, explain, rebase, sort_out
from octopod.queries import action_of_version, last_action
from octopod.refusals import why_not
from octopod.schemas import hidden, masked, overrides_json

LEVELS = ("deployment", "application")
COLUMNS = ("key", "value", "default", "origin")
MOST_ROWS = 1_000  # of a level; rendering more would hold up everybody


class Row(NamedTuple):
    """A row of the form. `origin`: default, override, custom or removed, as in overrides.Item.

    `id`: does not change when rows of another kind come and go, so that what is typed into a row stays in it.
    """

    key: str
    value: str
    default: str
    origin: str
    error: str = ""
    id: str = ""

    @property
    def is_own(self) -> bool:
        """Whether it has a place of its own, before those of the defaults."""
        return self.origin == "custom" or (self.origin != "default" and not self.default)


class Draft(NamedTuple):
    """What somebody has typed: the rows of each level, of secrets the mask.

    `began`: the version of the deployment that the form was opened with, `version`: the one that it has caught up with.
    `focus`: the id of the field to go on with.
    """

    name: str
    began: int | None
    version: int | None
    levels: dict[str, list[Row]]
    focus: str = ""

    @property
    def overrides(self) -> tuple[Raw, Raw]:
        """Both levels as raw overrides."""
        return _pairs(self.levels["deployment"]), _pairs(self.levels["application"])


class Level(NamedTuple):
    """One level of the form. `problem`: why its defaults are not there, or not fresh."""

    name: str
    rows: list[Row]
    suggestions: list[str]
    problem: str
    error: str


class Meanwhile(NamedTuple):
    """What others have saved since a form was opened."""

    action: Action
    levels: dict[str, list[Difference]]


def stored(deployment: Deployment | None) -> Draft:
    """The form as it is first shown."""
    levels = {level: _stored_rows(overrides_json(kept)) for level, kept in _kept(deployment).items()}
    if deployment is None:
        return Draft("", None, None, levels, "name")
    return Draft(deployment.name, deployment.version, deployment.version, levels)


def _stored_rows(overrides: Overrides) -> list[Row]:
    return [Row(key, value or "", "", "removed" if value is None else "override") for key, value in overrides.items()]


def read(form: Any) -> Draft:
    """What a form was sent with, after the click on one of its rows' buttons, if that sent it. Raises Invalid."""
    level, verb, index = _button(form.get("do", ""))
    levels, focus = {}, ""
    for name in LEVELS:
        levels[name] = _rows(form, name)
        if name == level:
            levels[name], focus = _press(levels[name], verb, index, name)
    return Draft(form.get("name", "").strip(), number(form, "began"), number(form, "version"), levels, focus)


def number(form: Any, field: str) -> int | None:
    """The version in a field of a form; None when there is none, 0, which no version is, when it is not one."""
    text = form.get(field, "")
    if not text:
        return None
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def _button(text: str) -> tuple[str, str, int]:
    level, _, rest = text.partition(".")
    verb, _, index = rest.partition(".")
    if text and (level not in LEVELS or verb not in ("add", "remove", "undo") or not (index or "0").isdecimal()):
        raise Invalid(f"The form has no button {text!r}")
    return level, verb, int(index or 0)


def _rows(form: Any, level: str) -> list[Row]:
    """The rows as they were sent; browsers send line breaks as CR LF."""
    columns = [form.getlist(f"{level}.{column}") for column in COLUMNS]
    if len({len(column) for column in columns}) > 1:
        raise Invalid("Each row of the form needs a key, a value, a default and an origin")
    if len(columns[0]) > MOST_ROWS:
        raise Invalid(f"The form has {len(columns[0]):,} rows; at most {MOST_ROWS:,} are accepted")
    rows = [Row(*(text.replace("\r\n", "\n") for text in row)) for row in zip(*columns, strict=True)]
    return [_seen(row) for row in rows]


def _seen(row: Row) -> Row:
    """A row whose origin is as its value says. Hidden values look alike, so there it is as it was shown."""
    if row.origin not in ("default", "override"):
        return row
    unchanged = row.value == row.default and (row.value != MASK or row.origin == "default")
    return row._replace(origin="default" if unchanged else "override")


def _press(rows: list[Row], verb: str, index: int, level: str) -> tuple[list[Row], str]:
    """The rows after a click, and what has the focus then."""
    if verb == "add":
        own = sum(row.is_own for row in rows)
        return rows + [Row("", "", "", "custom")], f"{level}-own-{own}-key"
    if index >= len(rows):
        raise Invalid(f"The form has no row {index}")
    row = rows[index]
    if row.is_own:
        return rows[:index] + rows[index + 1 :], ""
    changed = row._replace(origin="removed" if verb == "remove" else "default")
    return rows[:index] + [changed] + rows[index + 1 :], ""


def _pairs(rows: list[Row]) -> Raw:
    """The overrides that rows stand for; blank rows and untouched defaults stand for none."""
    typed = [row for row in rows if row.origin != "default" and (row.key.strip() or row.value)]
    return [(row.key, None if row.origin == "removed" else row.value) for row in typed]


def with_line_breaks(draft: Draft, deployment: Deployment) -> Draft:
    """The draft with the line breaks of programs, CR LF, in values that nobody has touched; browsers do not keep them."""
    levels = {level: [_restored(row, kept) for row in draft.levels[level]] for level, kept in _kept(deployment).items()}
    return draft._replace(levels=levels)


def _restored(row: Row, kept: Overrides) -> Row:
    value = kept.get(row.key) or ""
    return row._replace(value=value) if row.value == value.replace("\r\n", "\n") else row


def catch_up(draft: Draft, deployment: Deployment) -> Draft:
    """The draft on top of what others have saved since it was last shown: where nothing was typed, theirs."""
    if draft.version in (None, deployment.version):
        return draft
    levels, before = dict(draft.levels), _overrides_of(deployment, draft.version)
    for level, theirs in _kept(deployment).items() if before else ():
        levels[level] = _rebased(draft.levels[level], overrides_json(before[level]), overrides_json(theirs))
    return draft._replace(version=deployment.version, levels=levels)


def _rebased(rows: list[Row], before: Overrides, theirs: Overrides) -> list[Row]:
    mine = dict(_pairs(rows))
    merged = rebase(before, theirs, mine)
    taken_over = [one.key for one in differences(mine, merged)]
    fresh = {row.key: row for row in _stored_rows({key: merged[key] for key in taken_over if key in merged})}
    kept = [fresh.pop(row.key, None) if row.key in taken_over else row for row in rows]
    return [row for row in kept if row] + list(fresh.values())


def meanwhile(draft: Draft, deployment: Deployment | None) -> Meanwhile | None:
    """What others have saved since the form was opened."""
    if deployment is None or draft.began in (None, deployment.version):
        return None
    before, now = _overrides_of(deployment, draft.began), _overrides_of(deployment, deployment.version)
    if not before:
        return Meanwhile(last_action(deployment), {})  # since when, we cannot know
    found = {level: [hidden(one) for one in differences(before[level], now[level])] for level in before}
    levels = {level: changes for level, changes in found.items() if changes}
    return Meanwhile(last_action(deployment), levels) if levels else None


def _overrides_of(deployment: Deployment, version: int) -> dict[str, Overrides]:
    """The overrides that a version of a deployment had, by level; nothing when there was no such version."""
    action = action_of_version(deployment, version)
    if action is None:
        return {}
    return dict(zip(LEVELS, (action.deployment_overrides, action.application_overrides), strict=True))


def lay_out(draft: Draft, deployment: Deployment | None, errors: list[FieldError] | None = None) -> dict[str, Any]:
    """What the template of the form needs: rows, suggestions, errors and what would change, by the defaults of now."""
    kept = _kept(deployment)
    raw = dict(zip(LEVELS, draft.overrides, strict=True))
    overrides, found = {}, list(errors or [])
    for level in LEVELS:
        overrides[level], wrong = sort_out(raw[level], f"{level}_overrides", kept[level])
        found += wrong
    messages = {error.field: error.message for error in found}
    known = _defaults(overrides["deployment"])
    suggestions = _suggestions(overrides["deployment"])
    levels = [
        Level(
            level,
            _layout(level, draft.levels[level], known[level][0], messages),
            sorted(set(suggestions[level]) - {key for key, _ in known[level][0]} - overrides[level].keys()),
            known[level][1],
            messages.get(f"{level}_overrides", ""),
        )
        for level in LEVELS
    ]
    after = {
        level: explain(known[level][0], overrides[level]) for level in LEVELS if known[level][0] or not known[level][1]
    }
    return {
        "deployment": deployment,
        "draft": draft,
        "levels": levels,
        "name_error": messages.get("name", ""),
        "changes": _changes(deployment, after, raw),
        "unsaved": bool(draft.name) if deployment is None else _sorted(draft) != _sorted(stored(deployment)),
        "meanwhile": meanwhile(draft, deployment),
        "refusal": deployment and why_not(deployment, Kind.UPDATE),
    }


def _sorted(draft: Draft) -> list[list[str]]:
    return [sorted(map(repr, overrides)) for overrides in draft.overrides]


def check_name(name: str) -> list[FieldError]:
    """What is wrong with the name that somebody is typing; nothing as long as it is empty."""
    try:
        if name:
            deployments.check_new_name(name)
    except (Invalid, Conflict) as problem:
        return problem.errors
    return []


def _kept(deployment: Deployment | None) -> dict[str, Overrides]:
    """The stored overrides by level; none for a new deployment."""
    if deployment is None:
        return {level: {} for level in LEVELS}
    return dict(zip(LEVELS, (deployment.deployment_overrides, deployment.application_overrides), strict=True))


def _defaults(deployment_overrides: Overrides) -> dict[str, tuple[Pairs, str]]:
    """Of each level the defaults, and why they are not there or not fresh."""
    asked = {
        "deployment": defaults.deployment_defaults,
        "application": lambda: deployments.application_defaults(deployment_overrides),
    }
    answers = {}
    for level, ask in asked.items():
        try:
            answer = ask()
            answers[level] = (answer.items, f"These may be out of date: {answer.problem}" if answer.stale else "")
        except (Invalid, Unavailable) as problem:
            answers[level] = ([], str(problem))
    return answers


def _suggestions(deployment_overrides: Overrides) -> dict[str, list[str]]:
    """Keys that the suite suggests; none where it cannot say, for nothing depends on them."""
    try:
        effective = defaults.effective_deployment(deployment_overrides)
        return {
            "deployment": defaults.deployment_keys().items,
            "application": defaults.application_keys(effective).items,
        }
    except Unavailable:
        return {level: [] for level in LEVELS}


def _layout(level: str, typed: list[Row], known: Pairs, messages: Mapping[str, str]) -> list[Row]:
    """Rows of one's own first, then the defaults with what was typed over them. A row stays where it was typed."""
    fallbacks = {item.key: masked(item.key, item.default) or "" for item in explain(known, {})}
    over: dict[str, Row] = {}
    own: list[Row] = []
    for row in typed:
        if row.origin == "custom" or (row.origin != "default" and (row.key not in fallbacks or row.key in over)):
            value = "" if row.origin == "removed" else row.value
            own.append(row._replace(value=value, default="", id=f"{level}-own-{len(own)}"))
        elif row.key in fallbacks and row.origin != "default":
            over[row.key] = row
    replaced = {row.key for row in own} - over.keys()
    rows = own + [
        _over(over.get(key), key, default)._replace(id=f"{level}-default-{index}")
        for index, (key, default) in enumerate(fallbacks.items())
        if key not in replaced
    ]
    return [row._replace(error=_error(row, level, messages)) for row in rows]


def _over(row: Row | None, key: str, default: str) -> Row:
    """The row of a default, with what was typed over it."""
    if row is None:
        return Row(key, default, default, "default")
    return Row(key, default if row.origin == "removed" else row.value, default, row.origin)


def _error(row: Row, level: str, messages: Mapping[str, str]) -> str:
    return messages.get(f"{level}_overrides.{row.key}", "") if row.origin in ("override", "custom") else ""


def _changes(
    deployment: Deployment | None, after: dict[str, list[Item]], raw: dict[str, Raw]
) -> dict[str, list[Difference]]:
    """What a script would receive that it would not receive now, by level; nothing for a new deployment."""
    if deployment is None:
        return {}
    try:
        before = deployments.explain_config(*_kept(deployment).values())
    except (Invalid, Unavailable):
        return {}
    return {level: found for level in after if (found := _changed(before[level], after[level], raw[level]))}


def _changed(before: list[Item], after: list[Item], raw: Raw) -> list[Difference]:
    found = {one.key: hidden(one) for one in differences(_received(before), _received(after), "not set")}
    for key, value in raw:  # that a secret is the same as before is not told: who asks may be guessing
        if value and value != MASK and masked(key, value) == MASK:
            found.setdefault(key, Difference(key, Side("set", MASK), Side("set", MASK)))
    return list(found.values())


def _received(items: list[Item]) -> Overrides:
    return {item.key: item.value for item in items if item.value is not None}

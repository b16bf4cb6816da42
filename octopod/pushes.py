"""What is pushed to open pages: partials, and which of them a page needs when something has changed."""

from typing import Any, NamedTuple, Protocol

from octopod import pages, queries, schemas
from octopod.models import Deployment
from octopod.pages import render


class Partial(NamedTuple):
    """Something to be sent. A newer one with the same key replaces it.

    `how`: "morph" what has its id into it, "delete" that, put it in at a place such as "afterbegin:#rows", or nothing
    when the partial itself says how. `only_for`: whom it is for; None for all.
    """

    key: str
    html: str
    how: str = "morph"
    only_for: str | None = None

    @property
    def is_put_in(self) -> bool:
        return ":" in self.how

    def messages(self) -> list[str]:
        """What is sent. Each message is parsed by itself, because rows and bodies of tables do not mix."""
        if self.is_put_in:  # a row that is on the page already, further down, moves
            return [*_delete(self.key).messages(), f'<tbody hx-swap-oob="{self.how}">{self.html}</tbody>']
        return [oob(self.html, self.how) if self.how else self.html]


def oob(html: str, how: str) -> str:
    """A partial as htmx swaps it when it comes by itself: the first element with an id is the partial's own."""
    return html.replace(" id=", f' hx-swap-oob="{how}" id=', 1)


class Page(Protocol):
    """What is shown: all of it, and what has become of it after changes."""

    only: Any  # the id of the deployment that it is about; None when it is about many

    def whole(self) -> list[Partial]:
        """Everything, for somebody who has just opened it."""

    def changes(self, ids: set[int] | None, /) -> list[Partial]:
        """What those have to be told who have it open; None: these may not be all changes."""


class DeploymentPage:
    """The page of one deployment."""

    def __init__(self, deployment: Deployment, may_read_logs: bool) -> None:
        self.only, self.may_read_logs = deployment.id, may_read_logs
        self.busy = _is_busy(deployment)

    def whole(self) -> list[Partial]:
        deployment = queries.find_deployment(self.only)
        if deployment is None:
            return [Partial("deployment", render("deployments/_gone.html"))]
        values = pages.deployment_values(deployment, self.may_read_logs)
        return [Partial("deployment", render("deployments/_deployment.html", **values))]

    def changes(self, _: set[int] | None) -> list[Partial]:
        deployment = queries.find_deployment(self.only)
        was_busy = self.busy
        self.busy = bool(deployment and _is_busy(deployment))
        return self.whole() + ([_toast(deployment)] if deployment and was_busy and not self.busy else [])


class ListPage:
    """The list of deployments, as a query shows it."""

    only = None

    def __init__(self, query: schemas.DeploymentQuery) -> None:
        self.query = query.model_dump(exclude={"cursor"})
        page = queries.list_deployments(**self.query)
        self.busy = _busy_on(page)
        self._remember(page)

    def _remember(self, page: queries.DeploymentPage) -> None:
        self.shown, self.similar = {row.id for row in page.rows}, page.similar
        self.last = self._sorted_by(page.rows[-1]) if page.next else None

    def _sorted_by(self, deployment: Deployment) -> tuple[Any, int]:
        return getattr(deployment, queries.SORTS[self.query["sort"].lstrip("-")].name), deployment.id

    def _unheard_of(self, page: queries.DeploymentPage) -> set[int]:
        """New ones among those that are shown: they are stored already, and word of them is still on its way.

        Those after the last that was shown are not new, they only moved up.
        """
        new = [row for row in page.rows if row.id not in self.shown]
        if self.last is None:
            return {row.id for row in new}
        descending = self.query["sort"].startswith("-")
        return {row.id for row in new if (self._sorted_by(row) > self.last) == descending}

    def whole(self) -> list[Partial]:
        page = queries.list_deployments(**self.query)
        return [Partial("rows", render("deployments/_rows.html", **pages.rows_values(page, self.query)))]

    def changes(self, ids: set[int] | None) -> list[Partial]:
        """Rows that are there are replaced where they are, so that nothing moves below a pointer; new ones are put in."""
        if ids is not None:
            ids = {id for id in ids if id > 0}  # the others are runs of bundles, which are in no list
            if not ids:
                return []
        page = queries.list_deployments(**self.query)
        was_shown, was_similar, unheard_of = self.shown, self.similar, self._unheard_of(page)
        self._remember(page)
        settled = self._toasts(_busy_on(page))
        if ids is None or page.similar != was_similar:
            return self.whole() + settled
        ids |= unheard_of
        here = self._rows(page, ids)
        there = self._rows(queries.list_deployments(**self.query, only=ids - self.shown), ids)
        new = here.keys() - was_shown
        found = [Partial(_key(id), html) for id, html in (here | there).items() if id not in new]
        place = ["similar"] * page.similar + [_key(row.id) for row in page.rows]
        found += [Partial(_key(id), html, _after(place, _key(id), "rows")) for id, html in here.items() if id in new]
        found += [_delete(_key(id)) for id in ids - here.keys() - there.keys()]
        return found + settled

    def _rows(self, page: queries.DeploymentPage, ids: set[int]) -> dict[int, str]:
        """The changed rows of a page by id."""
        values = pages.rows_values(page, self.query)
        changed = [row for row in page.rows if row.id in ids]
        return {row.id: render("deployments/_row.html", deployment=row, **values) for row in changed}

    def _toasts(self, busy: set[int]) -> list[Partial]:
        """For who asked for what has ended. It may have left the page meanwhile, and leaving the page is no end."""
        others = {id: queries.find_deployment(id) for id in self.busy - busy}
        still = {id for id, deployment in others.items() if deployment and _is_busy(deployment)}
        self.busy = busy | still
        settled = [deployment for id, deployment in others.items() if deployment and id not in still]
        requesters = queries.last_requesters([deployment.id for deployment in settled]) if settled else {}
        return [_toast(deployment, requesters[deployment.id]) for deployment in settled]


class HistoryPage:
    """The history, as a query shows it."""

    only = None

    def __init__(self, query: schemas.ActionQuery, may_read_logs: bool) -> None:
        self.query, self.may_read_logs = query.model_dump(exclude={"cursor"}), may_read_logs
        self._remember(self._values())

    def _remember(self, values: dict[str, Any]) -> None:
        self.shown = {action.id for action in values["actions"]}
        self.last = min(self.shown) if values["next"] else 0

    def _values(self) -> dict[str, Any]:
        return pages.actions_values(self.query, self.may_read_logs)

    def whole(self) -> list[Partial]:
        return [Partial("actions", render("actions/_rows.html", **self._values()))]

    def changes(self, ids: set[int] | None) -> list[Partial]:
        """Newest first, so what is missing was pushed to the next page, or is not what the query asks for any more."""
        values = self._values()
        actions = {action.id: action for action in values["actions"]}
        was_shown, was_last = self.shown, self.last
        self._remember(values)
        if ids is None:
            return self.whole()
        unheard_of = {id for id in self.shown - was_shown if id > was_last}
        found = [_delete(f"action-{id}") for id in was_shown - self.shown if id > self.last]
        place = [f"action-{id}" for id in actions]
        for key, action in zip(place, actions.values(), strict=True):
            if action.topic in ids or action.id in unheard_of:
                html = render("actions/_row.html", action=action, may_read_logs=self.may_read_logs)
                how = "morph" if action.id in was_shown else _after(place, key, "actions")
                found.append(Partial(key, html, how))
        return found


def _busy_on(page: queries.DeploymentPage) -> set[int]:
    """The ids of the deployments on a page of the list with which something is being done."""
    return {row.id for row in page.rows if pages.busy_since(row, page.actions.get(row.id))}


def _is_busy(deployment: Deployment) -> bool:
    return pages.busy_since(deployment, queries.unfinished_action(deployment)) is not None


def _key(id: int) -> str:
    """The id of the row of a deployment."""
    return f"deployment-{id}"


def _after(place: list[str], key: str, within: str) -> str:
    """Where a row belongs among the rows that are shown in this order."""
    index = place.index(key)
    return f"afterend:#{place[index - 1]}" if index else f"afterbegin:#{within}"


def _delete(key: str) -> Partial:
    return Partial(key, f'<tr id="{key}"></tr>', "delete")


def _toast(deployment: Deployment, only_for: str | None = None) -> Partial:
    html = render("_toast.html", deployment=deployment, text=None)
    return Partial(f"toast-{deployment.id}", html, "", only_for)

"""What people name and set of routing: each change is said once, with what it was before."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models.routing import AlertInhibition, AlertRoute
from mainstay_server.contracts.alerts.routing import AlertRouteEvent
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import NotFound

Setting = TypeVar("Setting", AlertRoute, AlertInhibition)
Facts = Sequence[str]


def get_named(
    session: Session, kind: type[Setting], project_id: str, id_: str, *, missing: str
) -> Setting:
    """One of a project. Raises `NotFound` with the sentence about what is missing."""
    found = session.get(kind, id_)
    if found is None or found.project_id != project_id:
        raise NotFound(missing)
    return found


def say_made(
    session: Session,
    made: Setting,
    facts: Facts,
    event: type[AlertRouteEvent],
    *,
    now: datetime,
) -> None:
    """Say that one was made, with all that it is."""
    changes = changes_between({}, facts_of(made, facts))
    say(session, event(**_about(made), changes=changes), now=now)


@contextmanager
def saying_changes(
    session: Session,
    changed: Setting,
    facts: Facts,
    event: type[AlertRouteEvent],
    *,
    now: datetime,
) -> Iterator[None]:
    """Say what is different after the body; nothing where nothing is."""
    before = facts_of(changed, facts)
    yield
    session.flush()
    changes = changes_between(before, facts_of(changed, facts))
    if changes:
        say(session, event(**_about(changed), changes=changes), now=now)


def remove_named(
    session: Session,
    removed: Setting,
    facts: Facts,
    event: type[AlertRouteEvent],
    *,
    now: datetime,
) -> None:
    """Remove one, and say what it was."""
    changes = changes_between(facts_of(removed, facts), {})
    say(session, event(**_about(removed), changes=changes), now=now)
    session.delete(removed)


def _about(setting: AlertRoute | AlertInhibition) -> dict[str, str]:
    return {
        "organization_id": setting.organization_id,
        "project_id": setting.project_id,
        "setting_id": setting.id,
        "name": setting.name,
    }

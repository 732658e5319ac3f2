"""Instances: where a project runs, and how each place is asked whether it is well."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.contracts.tenancy import InstanceRemoved
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict, NotFound
from mainstay_server.tenancy.models import (
    DEFAULT_DEGRADED_AFTER_MS,
    DEFAULT_INTERVAL_SECONDS,
    DEFAULT_TIMEOUT_SECONDS,
    Instance,
    Project,
)
from mainstay_server.tenancy.versions import mark_changed

from .environments import ASKED, MOST_INSTANCES_PER_PROJECT, clean_environment, say_changed
from .fields import clean_path, clean_url, invalid, within

SHORTEST_INTERVAL_SECONDS = 5
LONGEST_INTERVAL_SECONDS = 86_400
LONGEST_TIMEOUT_SECONDS = 60
LEAST_DEGRADED_AFTER_MS = 50
MOST_DEGRADED_AFTER_MS = 60_000


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Where an instance runs and how it is asked; None leaves a value as it is."""

    url: str | None = None
    health_path: str | None = None
    interval_seconds: int | None = None
    timeout_seconds: int | None = None
    degraded_after_ms: int | None = None


def create_instance(
    session: Session, project_id: str, environment: str, asking: Asking, *, now: datetime
) -> Instance:
    """Make an instance by hand, and say how it is to be asked.

    Raises:
        Invalid: an environment or a value that cannot be; names the field.
        Conflict: the environment has one, or the project has 100.
    """
    clean = environment.strip()
    if not clean or clean_environment(clean) != clean:
        raise invalid("environment", "must be 1 to 64 characters without slashes; rename it")
    project = session.get_one(Project, project_id, with_for_update=True)
    taken = session.scalars(
        sa.select(Instance.environment).where(Instance.project_id == project_id)
    ).all()
    if clean in taken:
        raise Conflict(f"The project has an instance {clean!r}; change that one.")
    if len(taken) >= MOST_INSTANCES_PER_PROJECT:
        raise Conflict(f"The project has {MOST_INSTANCES_PER_PROJECT} instances; delete one first.")
    instance = Instance(
        id=new_id(),
        project_id=project_id,
        environment=clean,
        url="",
        health_path="",
        interval_seconds=DEFAULT_INTERVAL_SECONDS,
        timeout_seconds=DEFAULT_TIMEOUT_SECONDS,
        degraded_after_ms=DEFAULT_DEGRADED_AFTER_MS,
        created_at=now,
    )
    _apply(instance, asking)
    session.add(instance)
    session.flush()
    say_changed(session, instance, project, before={}, now=now)
    return instance


def change_instance(
    session: Session, instance_id: str, asking: Asking, *, now: datetime
) -> Instance:
    """Change where an instance runs or how it is asked, and say how it is now.

    Raises:
        Invalid: a value that cannot be; names the field.
        NotFound: it was deleted meanwhile.
    """
    instance = get_instance(session, instance_id)
    before = facts_of(instance, ASKED)
    _apply(instance, asking)
    session.flush()
    project = session.get_one(Project, instance.project_id)
    say_changed(session, instance, project, before=before, now=now)
    return instance


def delete_instance(session: Session, instance_id: str, *, now: datetime) -> None:
    """Remove an instance; data of its environment would make a new one.

    Raises:
        Conflict: a project keeps at least one.
        NotFound: it was deleted meanwhile.
    """
    instance = get_instance(session, instance_id)
    project = session.get_one(Project, instance.project_id, with_for_update=True)
    count = sa.select(sa.func.count()).where(Instance.project_id == project.id)
    if session.scalar(count) == 1:
        raise Conflict("This is the project's last instance; delete the project instead.")
    session.delete(instance)
    session.flush()
    say_removed(session, instance, project, now=now)
    mark_changed(session)


def list_instances(
    session: Session,
    organization_id: str,
    *,
    project: str = "",
    after: tuple[str, str] = ("", ""),
    limit: int,
) -> Sequence[sa.Row[Instance, str]]:
    """Instances with their project's slug, by both, those after a pair of slug and environment."""
    statement = (
        sa.select(Instance, Project.slug)
        .join(Project, Project.id == Instance.project_id)
        .where(
            Project.organization_id == organization_id,
            sa.or_(
                Project.slug > after[0],
                sa.and_(Project.slug == after[0], Instance.environment > after[1]),
            ),
        )
    )
    if project:
        statement = statement.where(Project.slug == project)
    ordered = statement.order_by(Project.slug, Instance.environment).limit(limit)
    return session.execute(ordered).all()


def get_instance(session: Session, instance_id: str) -> Instance:
    """The row of an instance that the door has already let in. Raises `NotFound`."""
    instance = session.get(Instance, instance_id)
    if instance is None:
        raise NotFound("There is no such instance; /api/instances lists yours.")
    return instance


def say_removed(session: Session, instance: Instance, project: Project, *, now: datetime) -> None:
    """Tell everybody that an instance is gone."""
    event = InstanceRemoved(
        organization_id=project.organization_id,
        project_id=project.id,
        instance_id=instance.id,
        environment=instance.environment,
        changes=changes_between(facts_of(instance, ASKED), {}),
    )
    say(session, event, now=now)


def _apply(instance: Instance, asking: Asking) -> None:
    if asking.url is not None:
        instance.url = clean_url(asking.url)
    if asking.health_path is not None:
        instance.health_path = clean_path(asking.health_path)
    if asking.interval_seconds is not None:
        instance.interval_seconds = within(
            asking.interval_seconds,
            SHORTEST_INTERVAL_SECONDS,
            LONGEST_INTERVAL_SECONDS,
            field="intervalSeconds",
        )
    if asking.timeout_seconds is not None:
        instance.timeout_seconds = within(
            asking.timeout_seconds, 1, LONGEST_TIMEOUT_SECONDS, field="timeoutSeconds"
        )
    if asking.degraded_after_ms is not None:
        instance.degraded_after_ms = within(
            asking.degraded_after_ms,
            LEAST_DEGRADED_AFTER_MS,
            MOST_DEGRADED_AFTER_MS,
            field="degradedAfterMs",
        )
    if asking.timeout_seconds is None:
        # Asking more often than the time-out of before is a wish, not a contradiction.
        instance.timeout_seconds = min(instance.timeout_seconds, instance.interval_seconds)
    if instance.timeout_seconds > instance.interval_seconds:
        raise invalid(
            "timeoutSeconds", "is longer than intervalSeconds; lower it or ask less often"
        )

"""Environments as data names them: cleaned, and made an instance at first sight."""

import logging
import re
from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.contracts.tenancy import InstanceChanged, InstanceCreated
from mainstay_server.kernel.database import insert, new_id, rows_changed
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Forbidden
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Instance, Project
from mainstay_server.tenancy.subjects import find_default_instance, find_environment
from mainstay_server.tenancy.versions import mark_changed

log = logging.getLogger(__name__)

DEFAULT_ENVIRONMENT = "production"
LONGEST_ENVIRONMENT = 64
MOST_INSTANCES_PER_PROJECT = 100
MOST_WARNINGS_REMEMBERED = 10_000

ASKED = ("url", "health_path", "interval_seconds", "timeout_seconds", "degraded_after_ms")

_IMPOSSIBLE = re.compile(r"[/\\\x00-\x1f\x7f-\x9f]")
_warned: set[str] = set()


def clean_environment(environment: str) -> str:
    """The environment as it is kept; `production` for none and for one that Sentry refuses too.

    Refused are the word None, more than 64 characters, slashes and control characters.
    """
    clean = environment.strip()
    if not clean or clean == "None" or len(clean) > LONGEST_ENVIRONMENT:
        return DEFAULT_ENVIRONMENT
    return DEFAULT_ENVIRONMENT if _IMPOSSIBLE.search(clean) else clean


def see_environment(
    session: Session, project_id: str, environment: str, *, now: datetime
) -> InstanceRef:
    """The instance of a clean environment, created and announced if this is its first sight.

    Several processes may see it at the same moment: the project's row is locked, the pair of
    project and environment is unique, and only the one whose row went in speaks. A project that has
    100 instances gets no more: its default instance takes the rest, and the log says so once.

    Raises:
        Forbidden: there is no such project any more.
    """
    locked = sa.select(Project).where(Project.id == project_id).with_for_update()
    project = session.scalar(locked)
    if project is None:
        raise Forbidden("The project was deleted; copy the DSN of another one.")
    found = find_environment(session, project_id, environment)
    if found is not None:
        return found
    if _is_full(session, project):
        default = find_default_instance(session, project_id)
        assert default is not None, "a full project has instances"
        return default
    instance_id = new_id()
    if rows_changed(
        session,
        insert(Instance)
        .values(id=instance_id, project_id=project_id, environment=environment, created_at=now)
        .on_conflict_do_nothing(),
    ):
        made = session.get_one(Instance, instance_id)
        say_changed(session, made, project, before={}, now=now)
    found = find_environment(session, project_id, environment)
    assert found is not None, "the row is there, whoever put it in"
    return found


def say_changed(
    session: Session,
    instance: Instance,
    project: Project,
    *,
    before: Mapping[str, object],
    now: datetime,
) -> None:
    """Tell everybody how an instance is now, and every process to read it again.

    `before` are its facts of `ASKED` as they were; none when it was just made.
    """
    kind = InstanceChanged if before else InstanceCreated
    say(
        session,
        kind(
            organization_id=project.organization_id,
            project_id=project.id,
            instance_id=instance.id,
            environment=instance.environment,
            health_url=health_url(instance.url, instance.health_path),
            interval_seconds=instance.interval_seconds,
            timeout_seconds=instance.timeout_seconds,
            degraded_after_ms=instance.degraded_after_ms,
            changes=changes_between(before, facts_of(instance, ASKED)),
        ),
        now=now,
    )
    mark_changed(session)


def health_url(url: str, health_path: str) -> str:
    """The URL that a health check asks: the two joined with one slash; empty without a URL."""
    if not url or not health_path:
        return url
    return f"{url.rstrip('/')}/{health_path.lstrip('/')}"


def _is_full(session: Session, project: Project) -> bool:
    count = sa.select(sa.func.count()).where(Instance.project_id == project.id)
    if (session.scalar(count) or 0) < MOST_INSTANCES_PER_PROJECT:
        return False
    if project.id not in _warned and len(_warned) < MOST_WARNINGS_REMEMBERED:
        _warned.add(project.id)
        log.warning(
            "project %s has %d instances; further environments go to its default one",
            project.slug,
            MOST_INSTANCES_PER_PROJECT,
        )
    return True

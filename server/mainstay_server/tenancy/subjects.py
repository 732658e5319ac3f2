"""What areas are told of a project and an instance: plain values, read in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.kernel.subjects import InstanceRef

from .models import Instance, Project

MOST_INSTANCES = 1000


@dataclass(frozen=True, kw_only=True)
class ProjectRef:
    """One project, as doors see it."""

    id: str
    number: int
    slug: str
    name: str
    organization_id: str


def find_project(session: Session, slug: str) -> ProjectRef | None:
    """The project of a slug or, since no slug looks like one, of an id; None without one."""
    row = session.scalar(sa.select(Project).where(sa.or_(Project.slug == slug, Project.id == slug)))
    return None if row is None else project_ref(row)


def project_ref(project: Project) -> ProjectRef:
    """A project's row as the value that doors see."""
    return ProjectRef(
        id=project.id,
        number=project.number,
        slug=project.slug,
        name=project.name,
        organization_id=project.organization_id,
    )


def find_instance(session: Session, instance_id: str) -> InstanceRef | None:
    """The instance of an id, or None."""
    row = session.execute(_instances().where(Instance.id == instance_id)).one_or_none()
    return None if row is None else _ref(*row)


def find_environment(session: Session, project_id: str, environment: str) -> InstanceRef | None:
    """The instance of an environment of a project, or None."""
    row = session.execute(
        _instances().where(Instance.project_id == project_id, Instance.environment == environment)
    ).one_or_none()
    return None if row is None else _ref(*row)


def find_default_instance(session: Session, project_id: str) -> InstanceRef | None:
    """A project's `production` or else its oldest instance; None when it has none."""
    row = session.execute(
        _instances()
        .where(Instance.project_id == project_id)
        .order_by(Instance.environment != "production", Instance.created_at, Instance.id)
        .limit(1)
    ).one_or_none()
    return None if row is None else _ref(*row)


def instances_of_project(session: Session, project_id: str) -> Sequence[InstanceRef]:
    """A project's instances, `production` first, then by name; at most 1,000."""
    rows = session.execute(
        _instances()
        .where(Instance.project_id == project_id)
        .order_by(Instance.environment != "production", Instance.environment)
        .limit(MOST_INSTANCES)
    )
    return [_ref(*row) for row in rows]


def instances_of_organization(
    session: Session,
    organization_id: str,
    *,
    after: tuple[str, str] = ("", ""),
    limit: int = MOST_INSTANCES,
) -> Sequence[InstanceRef]:
    """The instances of an organization by project and environment, 1,000 if nothing is said.

    `after` is the slug and environment of the one before.
    """
    order = (Project.slug, Instance.environment)
    rows = session.execute(
        _instances()
        .where(Project.organization_id == organization_id, sa.tuple_(*order) > after)
        .order_by(*order)
        .limit(limit)
    )
    return [_ref(*row) for row in rows]


def _instances() -> sa.Select[Instance, Project]:
    return sa.select(Instance, Project).join(Project, Project.id == Instance.project_id)


def _ref(instance: Instance, project: Project) -> InstanceRef:
    return InstanceRef(
        id=instance.id,
        environment=instance.environment,
        url=instance.url,
        project_id=project.id,
        project_number=project.number,
        project_slug=project.slug,
        project_name=project.name,
        organization_id=project.organization_id,
    )

"""Projects: made with everything that the first event needs, renamed, deleted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.contracts.tenancy import (
    ProjectChanged,
    ProjectCreated,
    ProjectEvent,
    ProjectRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.tenancy.models import IngestKey, Instance, Project
from mainstay_server.tenancy.subjects import ProjectRef, project_ref
from mainstay_server.tenancy.versions import mark_changed

from .environments import DEFAULT_ENVIRONMENT
from .fields import clean_name, clean_slug, derived_slug
from .instances import Asking, create_instance, say_removed
from .keys import create_key, present_key

MOST_LISTED = 500
MOST_SLUG_TRIES = 1000
FACTS = ("name", "slug", "number")


@dataclass(frozen=True, kw_only=True)
class ProjectView:
    """A project with its instances, `production` first, and the key that its DSN shows."""

    project: ProjectRef
    ingest_key: str
    instances: Sequence[Instance]


def create_project(
    session: Session, organization_id: str, *, name: str, slug: str | None = None, now: datetime
) -> ProjectRef:
    """Make a project with a `production` instance and an ingest key.

    Its number is one more than the greatest there is. Makers wait for each other at the first
    statement, on PostgreSQL too, so that no two see the same greatest number or free slug.

    Raises:
        Invalid: a name or slug that cannot be.
        Conflict: the slug that was asked for is taken; a derived one gets a suffix instead.
    """
    clean = clean_name(name)
    mark_changed(session)
    chosen = _wanted_slug(session, slug) if slug else _free_slug(session, derived_slug(clean))
    greatest = session.scalar(sa.select(sa.func.max(Project.number))) or 0
    project = Project(
        id=new_id(),
        number=greatest + 1,
        organization_id=organization_id,
        slug=chosen,
        name=clean,
        created_at=now,
    )
    session.add(project)
    session.flush()
    _say(session, ProjectCreated, project, before={}, after=facts_of(project, FACTS), now=now)
    create_instance(session, project.id, DEFAULT_ENVIRONMENT, Asking(), now=now)
    ref = project_ref(project)
    create_key(session, ref, label="default", now=now)
    return ref


def list_projects(
    session: Session, organization_id: str, *, search: str = "", after: str = "", limit: int
) -> Sequence[ProjectView]:
    """An organization's projects by slug, those after a slug, whose name or slug has `search`."""
    statement = sa.select(Project).where(
        Project.organization_id == organization_id, Project.slug > after
    )
    if search:
        statement = statement.where(
            sa.or_(
                Project.name.icontains(search, autoescape=True),
                Project.slug.icontains(search, autoescape=True),
            )
        )
    projects = session.scalars(statement.order_by(Project.slug).limit(limit)).all()
    return _views(session, [project_ref(project) for project in projects])


def view_project(session: Session, project: ProjectRef) -> ProjectView:
    """One project with its instances and key."""
    return _views(session, [project])[0]


def rename_project(
    session: Session, project: ProjectRef, *, name: str, now: datetime
) -> ProjectRef:
    """Give a project another name; slug and number stay, since links and DSNs carry them."""
    row = session.get_one(Project, project.id)
    before = facts_of(row, FACTS)
    row.name = clean_name(name)
    session.flush()
    _say(session, ProjectChanged, row, before=before, after=facts_of(row, FACTS), now=now)
    mark_changed(session)
    return project_ref(row)


def delete_project(session: Session, project: ProjectRef, *, confirm: str, now: datetime) -> None:
    """Delete a project with its instances and keys, after its slug was repeated.

    Raises:
        Invalid: `confirm` is not the slug.
    """
    if confirm != project.slug:
        raise Invalid(f"Deleting cannot be undone; repeat it with ?confirm={project.slug}.")
    row = session.get_one(Project, project.id)
    instances = sa.select(Instance).where(Instance.project_id == project.id)
    for instance in session.scalars(instances):
        say_removed(session, instance, row, now=now)
    session.execute(sa.delete(Project).where(Project.id == project.id))
    _say(session, ProjectRemoved, row, before=facts_of(row, FACTS), after={}, now=now)
    mark_changed(session)


def _say(
    session: Session,
    kind: type[ProjectEvent],
    project: Project,
    *,
    before: Mapping[str, object],
    after: Mapping[str, object],
    now: datetime,
) -> None:
    event = kind(
        organization_id=project.organization_id,
        project_id=project.id,
        slug=project.slug,
        changes=changes_between(before, after),
    )
    say(session, event, now=now)


def _views(session: Session, projects: Sequence[ProjectRef]) -> list[ProjectView]:
    """The views of some projects in two statements, however many they are."""
    ids = [project.id for project in projects]
    instances: dict[str, list[Instance]] = {id_: [] for id_ in ids}
    for instance in session.scalars(
        sa.select(Instance)
        .where(Instance.project_id.in_(ids))
        .order_by(Instance.environment != DEFAULT_ENVIRONMENT, Instance.environment)
    ):
        instances[instance.project_id].append(instance)
    keys: dict[str, list[IngestKey]] = {id_: [] for id_ in ids}
    for key in session.scalars(
        sa.select(IngestKey).where(IngestKey.project_id.in_(ids)).order_by(IngestKey.id)
    ):
        keys[key.project_id].append(key)
    views = []
    for project in projects:
        shown = present_key(keys[project.id])
        views.append(
            ProjectView(
                project=project,
                ingest_key=shown.key if shown is not None else "",
                instances=instances[project.id],
            )
        )
    return views


def _wanted_slug(session: Session, slug: str) -> str:
    clean = clean_slug(slug)
    if session.scalar(sa.select(Project.id).where(Project.slug == clean)):
        raise Conflict(f"The slug {clean!r} is taken; choose another one or leave it out.")
    return clean


def _free_slug(session: Session, slug: str) -> str:
    taken = set(
        session.scalars(
            sa.select(Project.slug).where(
                sa.or_(Project.slug == slug, Project.slug.startswith(f"{slug}-", autoescape=True))
            )
        )
    )
    names = (slug, *(f"{slug}-{n}" for n in range(2, MOST_SLUG_TRIES)))
    free = next((name for name in names if name not in taken), None)
    if free is None:
        raise Conflict(f"Too many projects are called {slug!r}; choose a slug yourself.")
    return free

"""Small worlds for tenancy's tests, built through its own rules."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mainstay_server.kernel.database import (
    Base,
    close_database,
    engine,
    new_id,
    open_database,
)
from mainstay_server.tenancy.models import (
    IngestKey,
    Instance,
    Membership,
    Organization,
    Person,
    Project,
    Role,
)
from sqlalchemy.orm import Session
from tests.databases import fresh_sqlite
from tests.servers.postgres import running_postgres

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = "0123456789abcdef0123456789abcdef"


def an_organization(session: Session, name: str = "Ships") -> Organization:
    made = Organization(id=new_id(), name=name, created_at=NOON)
    session.add(made)
    session.flush()
    return made


def a_person(session: Session, name: str, organization: Organization, role: Role) -> Person:
    made = Person(
        id=new_id(),
        email=f"{name.lower()}@ships.example",
        name=name,
        password_hash="",
        created_at=NOON,
    )
    session.add(made)
    session.flush()
    session.add(
        Membership(
            id=new_id(),
            organization_id=organization.id,
            person_id=made.id,
            role=role,
            created_at=NOON,
        )
    )
    session.flush()
    return made


def a_project(
    session: Session, organization: Organization, *, slug: str, number: int, key: str = KEY
) -> Project:
    """A project with `production` and one ingest key, put in without saying so to anybody."""
    made = Project(
        id=new_id(),
        number=number,
        organization_id=organization.id,
        slug=slug,
        name=slug.capitalize(),
        created_at=NOON,
    )
    session.add(made)
    session.flush()
    session.add(
        Instance(id=new_id(), project_id=made.id, environment="production", created_at=NOON)
    )
    session.add(
        IngestKey(id=new_id(), project_id=made.id, key=key, label="default", created_at=NOON)
    )
    session.flush()
    return made


@contextmanager
def database_of(kind: str, folder: Path) -> Iterator[None]:
    """An empty open database: `sqlite` in a file, or a real `postgresql`."""
    if kind == "sqlite":
        open_database(fresh_sqlite(folder))
        yield
        close_database()
        return
    with running_postgres() as server:
        open_database(server.url_of(server.new_database()))
        Base.metadata.create_all(engine())
        yield
        close_database()

"""Three people in every permission test: Alice owns, Bob is a member, Charlie must see nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx2 as httpx
from mainstay_server.app.web import create_app
from mainstay_server.kernel.area import installed
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.configured import ConfiguredProject
from mainstay_server.kernel.database import new_id, transaction
from mainstay_server.kernel.limits import LimitSettings
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import csrf_token
from mainstay_server.tenancy.access import SESSION_COOKIE
from mainstay_server.tenancy.callers import hash_token
from mainstay_server.tenancy.models import (
    IngestKey,
    Instance,
    Membership,
    Organization,
    Person,
    Project,
    Role,
    SignInSession,
)
from mainstay_server.tenancy.subjects import find_instance
from sqlalchemy.orm import Session
from starlette.testclient import TestClient
from starlette.types import ASGIApp

# Rows older than the retention may be gone at any moment, so those of tests are of yesterday.
NOON_YESTERDAY = utc_now().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
INGEST_KEY = "0123456789abcdef0123456789abcdef"
BASE_URL = "http://mainstay.test"


class Browser:
    """One person's browser, or a stranger's when there is no session; keeps to one base URL."""

    def __init__(self, client: TestClient, session_id: str, token: str) -> None:
        self._client = client
        self.person_id = ""
        self._headers = {}
        if token:
            self._headers = {
                "cookie": f"{SESSION_COOKIE}={token}",
                "x-csrf-token": csrf_token(session_id),
            }

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self._headers, **options.pop("headers", {})}
        return self._client.request(
            method, path, headers=headers, follow_redirects=False, **options
        )

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> httpx.Response:
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> httpx.Response:
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.request("DELETE", path, **options)


@dataclass
class World:
    """A server with one project of Alice's and Bob's organization, and one of Charlie's."""

    alice: Browser
    bob: Browser
    charlie: Browser
    stranger: Browser
    instance: InstanceRef
    charlies_instance: InstanceRef
    ingest_key: str

    @property
    def project(self) -> str:
        """The slug of the project that Alice and Bob share."""
        return self.instance.project_slug

    @property
    def dsn(self) -> str:
        """Where an SDK sends for that project."""
        return f"http://{self.ingest_key}@mainstay.test/{self.instance.project_number}"


_apps: dict[tuple[object, ...], ASGIApp] = {}


def _app() -> ASGIApp:
    """The app of the installed areas; made once for each set, as its routes take 50 ms to build."""
    settings = (of(ServerSettings).trusted_proxies, of(LimitSettings))
    made_from = (*settings, *map(id, installed()))
    if made_from not in _apps:
        _apps[made_from] = create_app(installed())
    return _apps[made_from]


@contextmanager
def make_world() -> Iterator[World]:
    """Fill an empty, open database with the three and serve the app to them."""
    with transaction() as session:
        ours = a_project(session, now=utc_now(), key=INGEST_KEY)
        theirs = a_project(
            session,
            now=utc_now(),
            organization="Rivals",
            slug="spying",
            number=2,
            key="f" * 32,
        )
        people = {
            "alice": _person(session, "Alice", ours.organization_id, Role.OWNER),
            "bob": _person(session, "Bob", ours.organization_id, Role.MEMBER),
            "charlie": _person(session, "Charlie", theirs.organization_id, Role.OWNER),
        }
    with TestClient(_app(), base_url=BASE_URL, raise_server_exceptions=False) as client:
        browsers = {}
        for name, (person_id, session_id) in people.items():
            browsers[name] = Browser(client, session_id, f"{name}s-session")
            browsers[name].person_id = person_id
        yield World(
            **browsers,
            stranger=Browser(client, "", ""),
            instance=ours,
            charlies_instance=theirs,
            ingest_key=INGEST_KEY,
        )


def a_project(
    session: Session,
    *,
    now: datetime,
    organization: str = "Ships",
    slug: str = "inspections",
    number: int = 1,
    environment: str = "production",
    url: str = "",
    key: str = "",
) -> InstanceRef:
    """A project of an organization of its own with one instance, and an ingest key if given."""
    owner = Organization(id=new_id(), name=organization, created_at=now)
    session.add(owner)
    session.flush()
    project = Project(
        id=new_id(),
        number=number,
        organization_id=owner.id,
        slug=slug,
        name=slug.capitalize(),
        created_at=now,
    )
    session.add(project)
    session.flush()
    instance = Instance(
        id=new_id(), project_id=project.id, environment=environment, url=url, created_at=now
    )
    session.add(instance)
    if key:
        session.add(
            IngestKey(id=new_id(), project_id=project.id, key=key, label="default", created_at=now)
        )
    session.flush()
    found = find_instance(session, instance.id)
    assert found is not None
    return found


def configured_project(instance: InstanceRef) -> ConfiguredProject:
    """The project of an instance as a document about it sees it, with this instance alone."""
    return ConfiguredProject(
        id=instance.project_id,
        slug=instance.project_slug,
        organization_id=instance.organization_id,
        instances={instance.environment: instance},
    )


def _person(session: Session, name: str, organization_id: str, role: Role) -> tuple[str, str]:
    person = Person(
        id=new_id(),
        email=f"{name.lower()}@ships.example",
        name=name,
        password_hash="",
        created_at=utc_now(),
    )
    session.add(person)
    session.flush()
    session.add(
        Membership(
            id=new_id(),
            organization_id=organization_id,
            person_id=person.id,
            role=role,
            created_at=utc_now(),
        )
    )
    signed_in = SignInSession(
        id=new_id(),
        person_id=person.id,
        organization_id=organization_id,
        token_hash=hash_token(f"{name.lower()}s-session"),
        created_at=utc_now(),
        last_seen_at=utc_now(),
        expires_at=utc_now() + timedelta(days=1),
        address="127.0.0.1",
        client="tests",
    )
    session.add(signed_in)
    session.flush()
    return person.id, signed_in.id

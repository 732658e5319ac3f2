"""A page with components that are watched, reports, and readers; and the outbox run by hand."""

import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from mainstay_server.areas import status_pages
from mainstay_server.areas.status_pages.models import StatusComponent, StatusPage
from mainstay_server.areas.status_pages.schemas.facts import PageFacts
from mainstay_server.areas.status_pages.service import components, keeping, pages, reading
from mainstay_server.kernel.area import Area, install
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.subjects import InstanceRef, Watched, Watches
from mainstay_server.kernel.watching import RecordedSpell, State
from sqlalchemy.orm import Session
from tests.servers.http import http_receiver
from tests.servers.smtp import smtp
from tests.world import a_project
from typing_extensions import override

__all__ = ["http_receiver", "smtp"]

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SECRET_TARGET = "https://internal-db.example:8443/health?token=hunter2"


@dataclass
class Watchtower(Watches):
    """What a test says is watched, in the place of health checks and heartbeats."""

    known: dict[str, Watched] = field(default_factory=dict)

    @override
    def list(self, session: Session, project_id: str, *, limit: int) -> Sequence[Watched]:
        return [each for each in self.known.values() if each.project_id == project_id][:limit]

    @override
    def find(self, session: Session, ids: Collection[str]) -> Sequence[Watched]:
        return [self.known[one] for one in ids if one in self.known]

    def see(
        self,
        session: Session,
        instance: InstanceRef,
        name: str,
        *spells: tuple[State, datetime],
        tags: tuple[str, ...] = (),
        kind: Any = "health_check",
    ) -> Watched:
        """Something whose spells begin at these times, the last of which lasts."""
        one = new_id()
        ends = [start for _, start in spells[1:]] + [None]
        for (state, start), end in zip(spells, ends, strict=True):
            session.add(
                RecordedSpell(
                    id=new_id(),
                    subject_id=one,
                    instance_id=instance.id,
                    state=state,
                    started_at=start,
                    ended_at=end,
                    reason=f"{SECRET_TARGET} answered 500",
                )
            )
        state, since = spells[-1]
        self.known[one] = Watched(
            id=one,
            kind=kind,
            organization_id=instance.organization_id,
            project_id=instance.project_id,
            instance_id=instance.id,
            name=f"{name} at {SECRET_TARGET}",
            tags=tags,
            state=state,
            state_since=since,
            state_reason=f"{SECRET_TARGET} answered 500",
            page="/dashboard",
        )
        session.flush()
        return self.known[one]


@pytest.fixture
def tower() -> Watchtower:
    return Watchtower()


@dataclass
class Desk:
    """One page of the organization `Ships` and all that a test does with it."""

    session: Session
    tower: Watchtower
    instance: InstanceRef
    page: StatusPage

    def component(
        self, name: str, *spells: tuple[State, datetime], **wanted: Any
    ) -> StatusComponent:
        """A component that is bound to something with these spells, or without any by hand."""
        if spells:
            tags = wanted.pop("tags", ())
            seen = self.tower.see(self.session, self.instance, name, *spells, tags=tags)
            wanted["subject_id"] = seen.id
        return components.add_component(
            self.session, self.page, {"name": name, **wanted}, now=NOON - 100 * DAY
        )

    def change(self, **changes: Any) -> None:
        pages.change_page(self.session, self.page, changes, now=NOON)

    def facts(self, now: datetime = NOON) -> PageFacts:
        return reading.read_facts(self.session, self.page, now=now)


@pytest.fixture
def desk(session: Session, tower: Watchtower) -> Desk:
    install((Area(name="tower", title="Tower", watches=tower), status_pages.area))
    instance = a_project(session, now=NOON - 100 * DAY)
    page = pages.create_page(
        session, instance.organization_id, name="Acme", slug="acme", description="", now=NOON
    )
    pages.change_page(session, page, {"published": True}, now=NOON)
    return Desk(session, tower, instance, page)


class Echo:
    """A receiver that answers with what it was sent, as one that proves itself may."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        echo = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                echo.received.append((headers, body))
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            @override
            def log_message(self, format: str, *args: object) -> None:
                """Nothing is written."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    keeping.forget_all()
    yield
    keeping.forget_all()

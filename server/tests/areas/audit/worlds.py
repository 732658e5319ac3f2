"""Small worlds for the audit log's tests: a log with some rows, and a database owner's hands."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from mainstay_cli.audit_verifier.bundles import Bundle, read_bundle
from mainstay_cli.audit_verifier.reports import Report
from mainstay_cli.audit_verifier.verifying import verify
from mainstay_server.areas import audit
from mainstay_server.areas.audit.models import AuditCheckpoint
from mainstay_server.areas.audit.schemas import RowFilter
from mainstay_server.areas.audit.service import appending, checkpoints, exporting, signing
from mainstay_server.contracts.tenancy import ProjectChanged, ProjectRemoved
from mainstay_server.kernel.database import (
    Base,
    close_database,
    engine,
    open_database,
    reading,
    transaction,
)
from mainstay_server.kernel.events import (
    Heard,
    Origin,
    install_reactions,
    run_waiting,
    say,
    spoken_by,
)
from sqlalchemy.orm import Session
from tests.servers.postgres import running_postgres

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SHIPS = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
ALICE = Origin(
    actor="person:0193a0c2-7e57-7000-8000-000000000001",
    name="Alice",
    email="alice@ships.example",
    address="203.0.113.7",
    client="curl/8",
)


@contextmanager
def database_of(kind: str, folder: Path) -> Iterator[None]:
    """An empty open database: `sqlite` in a file, or a real `postgresql`."""
    if kind == "sqlite":
        yield from _open(f"sqlite:///{folder / 'audit.db'}")
        return
    with running_postgres() as server:
        yield from _open(server.url_of(server.new_database()))


def _open(url: str) -> Iterator[None]:
    open_database(url)
    Base.metadata.create_all(engine())
    install_reactions(audit.area.reactions)
    try:
        yield
    finally:
        install_reactions(())
        close_database()


def rename(count: int = 1, *, organization: str = SHIPS, now: datetime = NOON) -> None:
    """Say that a project was renamed, so many times, and let the log hear it."""
    with transaction() as session, spoken_by(ALICE):
        for number in range(count):
            changed = ProjectChanged(
                organization_id=organization,
                project_id="0193a0c2-7e57-7000-8000-000000000003",
                slug="inspections",
                changes={"name": (f"Name {number}", f"Name {number + 1}")},
            )
            say(session, changed, now=now)
    run_waiting(now=now)


def append_apart(url: str, batches: int, batch: int) -> None:
    """What each of several processes does: append to the one log, as its own reaction would."""
    open_database(url)
    removed = ProjectRemoved(organization_id=SHIPS, project_id="p", slug="gone")
    heard = [Heard(position=n, event=removed, origin=ALICE, said_at=NOON) for n in range(batch)]
    for _ in range(batches):
        with transaction() as session:
            appending.append(session, heard, now=NOON)
    close_database()


def sign(*, now: datetime = NOON) -> None:
    """Sign what is there, as the job does every minute, and let the checkpoints leave."""
    with transaction() as session:
        checkpoints.sign_all(session, now=now)
    run_waiting(now=now)


def a_signed_log(*sizes: int) -> None:
    """A log with a checkpoint at each of some sizes, and no row behind the last."""
    done = 0
    for size in sizes:
        rename(size - done)
        sign()
        done = size


def exported(*, since: datetime | None = None, until: datetime | None = None) -> Bundle:
    """The log as somebody takes it away."""
    wanted = RowFilter(since=since, until=until)
    with reading() as session, exporting.bundle(session, SHIPS, wanted, name="log.zip") as file:
        return read_bundle(file.read())


def kept() -> dict[str, str]:
    """The checkpoints that are in the database now, as somebody keeps them elsewhere."""
    with reading() as session:
        notes = session.scalars(sa.select(AuditCheckpoint).order_by(AuditCheckpoint.size)).all()
        return {f"kept-{note.size}.txt": note.note for note in notes}


def verified(*, with_kept: dict[str, str] | None = None) -> Report:
    """What the verifier of the command line finds, with the key that was noted before."""
    return verify(exported(), kept=with_kept, trusted=[signing.public_key(SHIPS)])


def faults(report: Report) -> list[tuple[str, int]]:
    """The codes of the faults and the rows they are about."""
    return [(fault.code, fault.position) for fault in report.faults]


def as_owner(*statements: str) -> None:
    """Do what whoever owns the database can do, past all of the program."""
    with engine().begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def bodies(session: Session) -> Sequence[str]:
    """The texts of all rows."""
    return session.scalars(sa.text("SELECT body FROM audit_rows ORDER BY position")).all()

"""What is done at set times, and the loop that looks after what is kept."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from mainstay_server.areas.status_pages import jobs
from mainstay_server.areas.status_pages.service import keeping, pages, snapshots
from mainstay_server.kernel import blobs
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import close_database, transaction
from mainstay_server.kernel.problems import NotFound, Unavailable
from mainstay_server.tenancy.models import Organization
from tests.waiting import eventually

NAME = "status_pages"


@pytest.fixture
def page_id(shared_memory: None, database: None, tmp_path: Path) -> Iterator[str]:
    """A published page, committed."""
    blobs.open_blobs(f"file://{tmp_path / 'blobs'}")
    with transaction() as session:
        session.add(Organization(id="o", name="Ships", created_at=utc_now()))
        session.flush()
        page = pages.create_page(
            session, "o", name="Acme", slug="acme", description="", now=utc_now()
        )
        pages.change_page(session, page, {"published": True}, now=utc_now())
    yield page.id
    blobs.close_blobs()


def change(page_id: str, **changes: object) -> None:
    with transaction() as session:
        page = pages.get_page(session, page_id)
        pages.change_page(session, page, changes, now=utc_now())


def test_each_job_is_declared_with_its_turn() -> None:
    assert [job.name for job in (jobs.tend_reports, jobs.write_snapshots)] == [
        f"{NAME}.tend_reports",
        f"{NAME}.write_snapshots",
    ]


def test_a_snapshot_is_written_once_per_change_and_forgotten_with_its_page(page_id: str) -> None:
    now = utc_now().replace(minute=10)

    assert snapshots.write_snapshots(now=now) == 1
    assert snapshots.write_snapshots(now=now + timedelta(minutes=1)) == 0
    change(page_id, name="Acme Ltd", slug="acme-ltd")
    assert snapshots.write_snapshots(now=now + timedelta(minutes=2)) == 1
    kept = snapshots.find_snapshot("acme-ltd")
    assert kept is not None
    assert kept.name == "Acme Ltd"
    assert snapshots.find_snapshot("acme") is None

    change(page_id, published=False)
    snapshots.write_snapshots(now=now + timedelta(minutes=3))

    assert snapshots.find_snapshot("acme-ltd") is None


def test_without_the_database_a_page_is_served_as_it_was(page_id: str) -> None:
    now = utc_now()
    before = keeping.get("acme", now=now)
    close_database()

    keeping.refresh(now=now + timedelta(seconds=3))
    page = keeping.get("acme", now=now + timedelta(seconds=3))
    document = page.document("", "", now=now + timedelta(seconds=3))

    assert page is before
    assert page.as_of(now + timedelta(seconds=3)) == before.facts.made_at
    assert document is not None
    assert b"cannot be reached at the moment" in document.plain.body


def test_without_the_database_a_page_that_nobody_keeps_comes_from_its_snapshot(
    page_id: str,
) -> None:
    now = utc_now()
    snapshots.write_snapshots(now=now)
    close_database()

    page = keeping.get("acme", now=now)

    assert page.facts.name == "Acme"
    assert page.as_of(now) == page.facts.made_at
    with pytest.raises(Unavailable):
        keeping.get("other", now=now)


def test_what_nobody_asks_for_any_more_is_let_go(page_id: str) -> None:
    now = utc_now()
    keeping.get("acme", now=now)

    keeping.refresh(now=now + timedelta(minutes=11))

    assert keeping._Shelf.pages == {}


def test_a_draft_is_kept_no_longer(page_id: str) -> None:
    now = utc_now()
    keeping.get("acme", now=now)
    change(page_id, published=False)

    keeping.refresh(now=now + timedelta(seconds=1))

    with pytest.raises(NotFound):
        keeping.get("acme", now=now + timedelta(seconds=1))


def test_the_loop_sees_a_change_within_a_moment(page_id: str) -> None:
    keeping.get("acme", now=utc_now())

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.ensure_future(jobs.keep_pages.run(stop))
        await asyncio.to_thread(change, page_id, name="Another")
        await asyncio.to_thread(
            eventually, lambda: keeping._Shelf.pages["acme"].facts.name == "Another"
        )
        stop.set()
        await loop

    asyncio.run(run())


def test_what_one_process_read_another_need_not_read(page_id: str) -> None:
    now = utc_now()
    facts = keeping.get("acme", now=now).facts
    keeping.forget_all()

    assert keeping.get("acme", now=now + timedelta(seconds=5)).facts == facts
    assert snapshots.find_shared("acme", "another state", now=now) is None

"""The relational store: transactions, times, and writers that queue instead of failing."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from mainstay_server.kernel.database import (
    Base,
    close_database,
    engine,
    insert,
    is_sqlite,
    new_id,
    open_database,
    reading,
    rows_changed,
    transaction,
)
from mainstay_server.kernel.jobs import JobState
from mainstay_server.kernel.problems import Unavailable
from sqlalchemy.orm import Session
from tests.servers.postgres import running_postgres

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_what_a_failing_transaction_wrote_is_gone(database: None) -> None:
    with pytest.raises(RuntimeError), transaction() as session:
        session.add(JobState(name="kept?", due_at=NOON))
        session.flush()
        raise RuntimeError

    with reading() as session:
        assert session.get(JobState, "kept?") is None


def test_a_time_comes_back_as_the_same_instant_in_utc(database: None) -> None:
    in_delhi = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    with transaction() as session:
        session.add(JobState(name="x", due_at=in_delhi))
    with reading() as session:
        due_at = session.scalars(sa.select(JobState.due_at)).one()
    assert due_at == NOON
    assert due_at.tzinfo is UTC


def test_a_time_without_a_zone_is_refused(database: None) -> None:
    with (
        pytest.raises(sa.exc.StatementError, match="without a time zone"),
        transaction() as session,
    ):
        session.add(JobState(name="x", due_at=NOON.replace(tzinfo=None)))
        session.flush()


@pytest.mark.slow
def test_a_nul_character_from_outside_fails_no_transaction_on_postgresql() -> None:
    with running_postgres() as server:
        open_database(server.url_of(server.new_database()))
        try:
            Base.metadata.create_all(engine())
            with transaction() as session:
                session.add(JobState(name="a\0b", due_at=NOON))
                session.execute(insert(JobState).values(name="plain", due_at=NOON))
            with reading() as session:
                names = session.scalars(sa.select(JobState.name).order_by(JobState.name)).all()
                found = session.scalars(sa.select(JobState.name).where(JobState.name == "a\0b"))
                assert names == ["a\ufffdb", "plain"]
                assert found.all() == ["a\ufffdb"]
        finally:
            close_database()


def test_forty_writers_that_read_first_all_get_their_turn(database: None) -> None:
    with transaction() as session:
        session.add(JobState(name="x", due_at=NOON, runs=0))

    def add_one() -> None:
        with transaction() as session:
            job = session.get_one(JobState, "x", with_for_update=True)
            job.runs += 1

    writers = [threading.Thread(target=add_one) for _ in range(40)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    with reading() as session:
        assert session.get_one(JobState, "x").runs == 40


def test_a_reader_sees_its_snapshot_while_a_writer_commits(database: None) -> None:
    with reading() as session:
        assert session.scalars(sa.select(JobState)).all() == []
        with transaction() as writer:
            writer.add(JobState(name="new", due_at=NOON))
        assert session.scalars(sa.select(JobState)).all() == []


def test_an_insert_that_conflicts_changes_nothing_and_says_so(database: None) -> None:
    row = insert(JobState).values(
        name="x", due_at=NOON, owner="", fence=0, last_error="", runs=0, failures_in_row=0
    )
    with transaction() as session:
        assert rows_changed(session, row.on_conflict_do_nothing()) == 1
        assert rows_changed(session, row.on_conflict_do_nothing()) == 0


def test_ids_made_one_after_another_sort_in_that_order() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 1000


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() <= before


def fail_for_now(session: Session) -> None:
    """What a full disk does to SQLite, and an operator who ends a statement to PostgreSQL."""
    if is_sqlite():
        session.execute(sa.text("PRAGMA max_page_count = 1"))
        session.add_all(JobState(name=f"{n:0100}", due_at=NOON) for n in range(5_000))
        session.flush()
    else:
        session.execute(sa.text("SET LOCAL statement_timeout = 1"))
        session.execute(sa.text("SELECT pg_sleep(5)"))


def test_a_database_that_cannot_now_is_no_bug_and_what_it_took_is_gone(database: None) -> None:
    with pytest.raises(Unavailable) as refused, transaction() as session:
        session.add(JobState(name="kept?", due_at=NOON))
        session.flush()
        fail_for_now(session)

    assert refused.value.retry_after_seconds == 5
    with reading() as session:
        assert session.get(JobState, "kept?") is None


def test_a_wrong_statement_is_a_bug_and_its_error_shows_nothing_of_what_was_sent(
    database: None,
) -> None:
    with pytest.raises(sa.exc.DBAPIError, match="nowhere") as failed, reading() as session:
        session.execute(sa.text("SELECT * FROM nowhere WHERE x = :x"), {"x": "a secret"})
    assert "a secret" not in str(failed.value)

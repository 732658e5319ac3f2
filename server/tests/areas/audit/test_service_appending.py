"""Appending: what was administered becomes a row, chained to the one before, without a gap."""

import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import rfc8785
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as some
from mainstay_cli.audit_verifier.merkle import leaf_hash
from mainstay_server.areas.audit.models import AuditLog, AuditRow
from mainstay_server.areas.audit.service import appending
from mainstay_server.areas.audit.service.rows import canonical
from mainstay_server.contracts.tenancy import (
    InstanceRemoved,
    PersonSignInRefused,
    ProjectChanged,
    ProjectRemoved,
)
from mainstay_server.kernel.database import (
    engine,
    reading,
    transaction,
)
from mainstay_server.kernel.events import (
    Audited,
    Heard,
    Origin,
    changes_between,
    run_waiting,
    say,
    spoken_by,
)
from tests.areas.audit.worlds import (
    ALICE,
    NOON,
    SHIPS,
    append_apart,
    bodies,
    exported,
    faults,
    rename,
    sign,
    verified,
)
from tests.world import a_project


def keep(*events: Audited, by: Origin = ALICE) -> list[dict[str, object]]:
    """Say events, let the log hear them, and read what it has."""
    with transaction() as session, spoken_by(by):
        for event in events:
            say(session, event, now=NOON)
    run_waiting(now=NOON)
    with reading() as session:
        return [json.loads(body) for body in bodies(session)]


def test_a_row_tells_who_did_what_to_what_from_where_and_how_it_was_before(log: None) -> None:
    with transaction() as session:
        instance = a_project(session, now=NOON)
    removed = InstanceRemoved(
        **instance.ids,
        environment="production",
        changes={"url": ("https://app.example", None), "interval_seconds": (60, None)},
    )

    (row,) = keep(removed)

    assert {**row, "id": "…"} == {
        "version": 1,
        "organizationId": instance.organization_id,
        "position": 1,
        "id": "…",
        "at": "2026-11-21T12:00:00.000Z",
        "actor": {
            "kind": "person",
            "id": ALICE.actor.removeprefix("person:"),
            "name": "Alice",
            "email": "alice@ships.example",
        },
        "address": "203.0.113.7",
        "client": "curl/8",
        "action": "instance.removed",
        "outcome": "success",
        "target": {"kind": "instance", "id": instance.id, "name": "production"},
        "project": {"id": instance.project_id, "slug": "inspections"},
        "instance": {"id": instance.id, "environment": "production"},
        "changes": {"url": ["https://app.example", None], "interval_seconds": [60, None]},
        "details": {},
        "prevHash": "0" * 64,
    }


def test_each_row_names_the_hash_of_the_one_before_and_is_one_text_for_one_meaning(
    log: None,
) -> None:
    rename(3)

    with reading() as session:
        rows = session.scalars(sa.select(AuditRow).order_by(AuditRow.position)).all()
        head = session.get_one(AuditLog, SHIPS).head
    assert [row.position for row in rows] == [1, 2, 3]
    before = "0" * 64
    for row in rows:
        assert row.body.encode() == rfc8785.dumps(json.loads(row.body))
        assert json.loads(row.body)["prevHash"] == before
        assert row.hash == leaf_hash(row.body.encode()).hex()
        before = row.hash
    assert head == before


TEXTS = some.text(some.characters(exclude_categories=["Cs"]))
VALUES = (
    some.none()
    | some.booleans()
    | some.integers(-(2**53) + 1, 2**53 - 1)
    | some.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | some.lists(TEXTS)
)


@given(
    changes=some.dictionaries(TEXTS, some.tuples(VALUES, VALUES).map(list)),
    details=some.dictionaries(TEXTS, VALUES),
)
def test_the_quick_way_to_write_a_row_is_byte_for_byte_the_standards(
    changes: dict[str, object], details: dict[str, object]
) -> None:
    row: dict[str, Any] = {"version": 1, "changes": changes, "details": details}

    assert canonical(row) == rfc8785.dumps(row)


def test_a_batch_asks_and_writes_the_end_of_the_log_once(log: None) -> None:
    rename(1)
    changed = ProjectChanged(organization_id=SHIPS, project_id="p", slug="inspections")
    heard = [Heard(position=n, event=changed, origin=ALICE, said_at=NOON) for n in range(5)]
    said: list[str] = []

    def note(*told: Any) -> None:
        said.append(told[2].split()[0])

    with transaction() as session:
        sa.event.listen(session.connection(), "before_cursor_execute", note)
        appending.append(session, heard, now=NOON)

    assert said == ["SELECT", "SELECT", "INSERT", "UPDATE"]  # log, names; rows, log


def test_the_server_itself_and_strangers_are_told_apart(log: None) -> None:
    refused = PersonSignInRefused(
        organization_id=SHIPS, person_id="", email="", reason="unknown address"
    )
    (by_stranger,) = keep(refused, by=Origin(address="198.51.100.9", client="curl/8"))
    _, by_server = keep(
        ProjectRemoved(organization_id=SHIPS, project_id="p", slug="gone"), by=Origin()
    )

    assert by_stranger["outcome"] == "failure"
    assert by_stranger["details"] == {"reason": "unknown address"}
    assert by_stranger["actor"] == {"kind": "anonymous", "id": "", "name": "", "email": ""}
    assert by_server["actor"] == {"kind": "system", "id": "", "name": "", "email": ""}


def test_what_was_just_removed_still_has_its_name(log: None) -> None:
    (row,) = keep(ProjectRemoved(organization_id=SHIPS, project_id="p", slug="gone"))

    assert row["project"] == {"id": "p", "slug": "gone"}


def test_each_organization_has_a_log_of_its_own(log: None) -> None:
    rename(2)
    rename(3, organization="rivals")

    with reading() as session:
        sizes = {each.organization_id: each.size for each in session.scalars(sa.select(AuditLog))}
    assert sizes == {SHIPS: 2, "rivals": 3}


def test_before_there_is_an_organization_there_is_nobody_whose_log_it_could_be(log: None) -> None:
    nobody = PersonSignInRefused(organization_id="", person_id="", email="", reason="no such")
    assert keep(nobody) == []


def test_values_that_json_cannot_hold_exactly_are_kept_as_text(log: None) -> None:
    big = 2**53
    changes = changes_between({"bytes": big - 1, "rate": 5.0}, {"bytes": big, "rate": 0.1})
    removed = ProjectRemoved(organization_id=SHIPS, project_id="p", slug="s", changes=changes)

    (row,) = keep(removed)

    assert row["changes"] == {"bytes": [big - 1, str(big)], "rate": [5, 0.1]}


def test_a_checkpoint_is_signed_after_so_many_rows_without_waiting_for_the_minute(
    log: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_AUDIT_CHECKPOINT_ROWS", "100")
    rename(99)
    with reading() as session:
        assert session.get_one(AuditLog, SHIPS).signed_size == 0
    rename(2)

    assert list(exported().checkpoints) == [f"checkpoints/{101:020d}.txt"]


def test_whoever_appends_at_once_makes_one_chain(any_log: None) -> None:
    """Four that say and four that hear, on both databases; the benchmark does 100,000."""

    def work(_: int) -> None:
        rename(150)
        rename(100, organization="rivals")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    run_waiting(now=NOON)

    with reading() as session:
        sizes = {each.organization_id: each.size for each in session.scalars(sa.select(AuditLog))}
        positions = session.scalars(
            sa.select(AuditRow.position)
            .where(AuditRow.organization_id == SHIPS)
            .order_by(AuditRow.position)
        ).all()
    assert sizes == {SHIPS: 600, "rivals": 400}
    assert positions == list(range(1, 601))
    sign()
    report = verified()
    assert (faults(report), report.covered) == ([], 600)


@pytest.mark.slow
def test_several_processes_that_append_at_once_make_one_unbroken_chain(any_log: None) -> None:
    """The benchmark does 100,000 rows; here are enough that all of them meet at the end."""
    processes, batches, batch = 3, 10, 40
    url = engine().url.render_as_string(hide_password=False)
    context = multiprocessing.get_context("spawn")
    told = (url, batches, batch)
    started = [context.Process(target=append_apart, args=told) for _ in range(processes)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * processes

    sign()
    report = verified()
    assert (faults(report), report.covered) == ([], processes * batches * batch)

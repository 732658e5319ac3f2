"""Kinds of errors: a flood of new ones ends in one issue, and nothing of it is lost."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import pytest
from mainstay_server.areas.errors import readiness
from mainstay_server.areas.errors.models import Issue, IssueInstance, Status
from mainstay_server.areas.errors.service import counting, finishing, intake, kinds, reading
from mainstay_server.areas.errors.service.issues import Decision, decide
from mainstay_server.contracts.errors import IssueOpened
from mainstay_server.kernel import columns
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading as snapshot
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.events import Event, said_events
from mainstay_server.kernel.problems import Unavailable
from mainstay_server.kernel.readiness import Finding, Passed
from sqlalchemy import select, update
from tests.world import World

from .conftest import Door, an_event, event_envelope, report
from .conftest import issues as all_issues

MOST = 20
LIST = "/dashboard/projects/inspections/errors"


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MAINSTAY_ERRORS_NEW_ISSUES_PER_HOUR", str(MOST))
    yield
    intake.close_intake()


def a_kind(name: object) -> bytes:
    return event_envelope(an_event(fingerprint=[str(name)]), event_id=uuid4().hex)


def send(door: Door, bodies: list[bytes]) -> None:
    async def together() -> set[int]:
        return {answer.status for answer in await asyncio.gather(*map(door.sending, bodies))}

    assert asyncio.run(together()) == {200}
    intake.intake().wait_until_counted()


def the_rest() -> Issue:
    (found,) = [issue for issue in all_issues() if issue.grouping_hash == kinds.TOO_MANY]
    return found


def opened() -> list[Event]:
    with snapshot() as session:
        return [event for _, event in said_events(session) if isinstance(event, IssueOpened)]


def an_hour_passes() -> None:
    with transaction() as session:
        session.execute(update(Issue).values(first_seen=utc_now() - timedelta(hours=1)))


@pytest.mark.parametrize("at_once", [True, False], ids=["in one batch", "one by one"])
def test_what_is_over_the_limit_is_one_issue_that_counts_every_event(
    door: Door, *, at_once: bool
) -> None:
    bodies = [a_kind(n) for n in range(MOST + 15)]
    for some in [bodies] if at_once else [[body] for body in bodies]:
        send(door, some)

    found = all_issues()
    assert len(found) == MOST + 1
    assert sorted(issue.count for issue in found) == [1] * MOST + [15]
    assert (the_rest().title, the_rest().count) == ("Too many different errors", 15)
    assert len(opened()) == MOST + 1
    with snapshot() as session:
        per_instance = session.scalar(
            select(IssueInstance.count).where(IssueInstance.issue_id == the_rest().id)
        )
    assert per_instance == 15


def test_kinds_that_are_known_go_on_as_ever(door: Door) -> None:
    send(door, [a_kind("known")])
    send(door, [a_kind(n) for n in range(MOST + 5)])
    intake.close_intake()  # whoever begins anew knows none of them by heart
    send(door, [a_kind("known"), a_kind("another"), a_kind("known")])

    (known,) = [issue for issue in all_issues() if issue.count == 3]
    assert known.grouping_hash != kinds.TOO_MANY
    assert the_rest().count == 7


def test_events_over_the_limit_keep_their_own_words_and_are_found(door: Door) -> None:
    send(door, [a_kind(n) for n in range(MOST + 3)])

    events = reading.list_events(
        door.instance.project_id, the_rest().id, before=None, limit=10, now=utc_now()
    )
    assert [event.title for event in events] == ["ZeroDivisionError: division by zero"] * 3
    assert columns.query_value("SELECT count() FROM error_events") == MOST + 3


def test_an_hour_later_new_kinds_open_issues_again(door: Door) -> None:
    send(door, [a_kind(n) for n in range(MOST + 5)])
    an_hour_passes()
    send(door, [a_kind("later")])

    assert len(all_issues()) == MOST + 2
    assert the_rest().count == 5


def test_another_project_is_not_held_back(door: Door) -> None:
    rows = kinds.Kinds()
    send(door, [a_kind(n) for n in range(MOST + 5)])
    theirs = _row(project_id="another", issue_id=str(uuid4()))
    ours = _row(project_id=door.instance.project_id, issue_id=str(uuid4()))
    rows.divert([theirs, ours], now=utc_now())

    assert (theirs.grouping_hash, ours.grouping_hash) == ("hash", kinds.TOO_MANY)


def test_what_was_granted_and_never_stored_is_given_back_after_an_hour(door: Door) -> None:
    found = kinds.Kinds()
    project_id, now = door.instance.project_id, utc_now()
    found.divert([_row(project_id=project_id, issue_id=str(uuid4())) for _ in range(MOST)], now=now)

    one, two = (_row(project_id=project_id, issue_id=str(uuid4())) for _ in range(2))
    found.divert([one], now=now + timedelta(minutes=59))
    found.divert([two], now=now + timedelta(minutes=61))
    assert (one.grouping_hash, two.grouping_hash) == (kinds.TOO_MANY, "hash")


def test_what_a_crash_left_of_it_is_counted_there_too(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(door, [a_kind(n) for n in range(MOST)])

    def dies(*_arguments: object, **_options: object) -> bool:
        raise Unavailable("The database is away.")

    with monkeypatch.context() as patched:
        patched.setattr(counting, "fold", dies)
        send(door, [a_kind(n) for n in range(MOST, MOST + 4)])
    assert finishing.finish_crashed(now=utc_now() + timedelta(minutes=1)) == 1

    assert (the_rest().title, the_rest().count) == ("Too many different errors", 4)


def test_its_decisions_are_those_of_every_issue(door: Door) -> None:
    send(door, [a_kind(n) for n in range(MOST + 1)])
    with transaction() as session:
        decide(
            session,
            door.instance.project_id,
            [the_rest().id],
            Decision(status=Status.RESOLVED),
            now=utc_now(),
        )
    send(door, [a_kind("one more")])

    assert (the_rest().status, the_rest().count) == (Status.UNRESOLVED, 2)


def test_the_scorecard_says_so_with_the_fix(door: Door) -> None:
    def ask(*, days_later: int = 0) -> object:
        with snapshot() as session:
            now = utc_now() + timedelta(days=days_later)
            return readiness.errors_are_of_few_kinds.ask(session, door.instance, now)

    send(door, [a_kind(n) for n in range(MOST)])
    assert isinstance(ask(), Passed)
    send(door, [a_kind(n) for n in range(MOST + 8)])
    finding = ask()
    assert isinstance(finding, Finding)
    assert "8 events" in finding.problem
    assert "Too many different errors" in unquote(finding.fix_url)
    assert isinstance(ask(days_later=3), Passed)


def test_page_and_api_explain_it_and_say_what_to_do(world: World) -> None:
    for number in range(MOST + 2):
        report(world, an_event(fingerprint=[str(number)]))

    rest, other = the_rest(), all_issues()[0]
    page = world.bob.get(f"{LIST}/{rest.id}").text
    assert f"More than {MOST} kinds of errors" in page
    assert "replace the ingest key" in page
    assert "Too many different errors" in world.bob.get(LIST).text
    told = world.bob.get(f"/api/errors/{rest.id}").json()
    assert (told["count"], told["title"]) == (2, "Too many different errors")
    assert "replace the ingest key" in told["explanation"]
    assert world.bob.get(f"/api/errors/{other.id}").json()["explanation"] == ""


def _row(*, project_id: str, issue_id: str) -> Any:
    class Row:
        grouping_hash = "hash"

    row: Any = Row()
    row.project_id, row.issue_id = project_id, issue_id
    return row

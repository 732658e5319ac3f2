"""The intake: what was answered is there, counted once, whatever happened in between."""

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any
from uuid import uuid4

import pytest
from mainstay_server.areas.errors.models import IntakeName, Issue, IssueInstance, Status
from mainstay_server.areas.errors.service import counting, finishing, intake, issues
from mainstay_server.areas.errors.service.folding import Place, fold
from mainstay_server.areas.errors.service.issues import Decision
from mainstay_server.areas.errors.settings import ErrorsSettings
from mainstay_server.contracts.errors import (
    IssueDecided,
    IssueOpened,
    IssueRegressed,
    IssueStatusChanged,
)
from mainstay_server.kernel import columns
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import Event, said_events
from mainstay_server.kernel.problems import Unavailable
from mainstay_server.kernel.settings import override_settings
from sqlalchemy import select, update
from tests.conftest import HeldInserts

from .conftest import Door, an_event, event_envelope
from .conftest import issues as all_issues


def a_kind(number: int) -> dict[str, Any]:
    event = an_event()
    event["exception"]["values"][0]["stacktrace"]["frames"][0]["function"] = f"step_{number}"
    return event


def dies(*_arguments: object, **_options: object) -> bool:
    raise Unavailable("The database is away.")


def said() -> list[Event]:
    with reading() as session:
        return [event for _, event in said_events(session)]


def stored() -> int:
    return int(columns.query_value("SELECT count() FROM error_events"))


def send_all(door: Door, bodies: Sequence[bytes]) -> None:
    async def together() -> list[int]:
        answers = await asyncio.gather(*(door.sending(body) for body in bodies))
        return [answer.status for answer in answers]

    assert set(asyncio.run(together())) == {200}
    intake.intake().wait_until_counted()


def test_a_thousand_events_of_twenty_kinds_become_twenty_issues_with_exact_counts(
    door: Door,
) -> None:
    bodies = [event_envelope(a_kind(n % 20), event_id=uuid4().hex) for n in range(1000)]
    threads = [threading.Thread(target=send_all, args=(door, bodies[part::4])) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = all_issues()
    assert [issue.count for issue in found] == [50] * 20
    assert [issue.number for issue in found] == list(range(1, 21))
    assert stored() == 1000
    with reading() as session:
        assert [one.count for one in session.scalars(select(IssueInstance))] == [50] * 20
    assert [type(event) for event in said()] == [IssueOpened] * 20


def test_senders_who_wait_for_their_answers_are_stored_together(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "GATHER_SECONDS", 0.5)

    async def one_sender() -> None:
        for _ in range(5):
            assert (await door.sending(event_envelope(an_event()))).status == 200

    async def all_senders() -> None:
        await asyncio.gather(*(one_sender() for _ in range(20)))

    asyncio.run(all_senders())

    batches = columns.query_value("SELECT uniqExact(batch) FROM error_events")
    assert stored() == 100
    assert batches <= 10  # the first few of those who were there first, then of all twenty


def test_an_event_that_comes_twice_counts_once(door: Door) -> None:
    body = event_envelope(an_event(), event_id=uuid4().hex)
    send_all(door, [body, body])
    send_all(door, [body])

    assert [issue.count for issue in all_issues()] == [1]
    assert stored() == 1


def test_an_event_that_comes_twice_counts_once_across_a_restart(door: Door) -> None:
    body = event_envelope(an_event(), event_id=uuid4().hex)
    send_all(door, [body])
    intake.close_intake()
    send_all(door, [body])

    assert [issue.count for issue in all_issues()] == [1]


def test_what_a_crash_left_uncounted_is_counted_once(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_all(door, [event_envelope(an_event())])

    with monkeypatch.context() as patched:
        patched.setattr(counting, "fold", dies)
        send_all(door, [event_envelope(an_event())])
        assert (stored(), all_issues()[0].count) == (2, 1)

    later = utc_now() + timedelta(minutes=1)
    assert finishing.finish_crashed(now=later) == 1
    assert finishing.finish_crashed(now=later) == 0
    assert all_issues()[0].count == 2


def test_an_issue_whose_first_event_met_a_crash_is_opened_and_said_afterwards(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(counting, "fold", dies)
        send_all(door, [event_envelope(an_event())])
        assert all_issues() == []

    finishing.finish_crashed(now=utc_now() + timedelta(minutes=1))

    (issue,) = all_issues()
    assert issue.title == "ZeroDivisionError: division by zero"
    assert [type(event) for event in said()] == [IssueOpened]


def test_after_a_failed_count_new_events_are_counted_at_once_and_the_others_later_once(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_all(door, [event_envelope(an_event())])
    with monkeypatch.context() as patched:
        patched.setattr(counting, "fold", dies)
        send_all(door, [event_envelope(an_event())])
    for _ in range(3):
        send_all(door, [event_envelope(an_event())])
    assert (stored(), all_issues()[0].count) == (5, 4)

    assert finishing.finish_crashed(now=utc_now() + timedelta(minutes=1)) == 1
    assert all_issues()[0].count == 5


def test_batches_in_a_row_are_not_folded_when_the_job_was_faster_with_the_first(
    door: Door,
) -> None:
    send_all(door, [event_envelope(an_event())])
    with reading() as session:
        name = session.scalars(select(IntakeName)).one()

    with transaction() as session:
        place = Place(intake=name.id, owner=name.owner, number=name.folded + 3, follows=0)
        assert not fold(session, [], place, now=utc_now())
        place = replace(place, follows=name.folded)
        assert fold(session, [], place, now=utc_now())
        assert not fold(session, [], place, now=utc_now())


def test_a_living_intake_is_left_alone_and_a_dead_ones_batch_is_finished_at_once(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = utc_now()
    with monkeypatch.context() as patched:
        patched.setattr(counting, "fold", dies)
        send_all(door, [event_envelope(an_event())])
        assert all_issues() == []

    assert finishing.finish_crashed(now=began) == 0
    with transaction() as session:
        owner = session.scalars(select(IntakeName.owner)).one()
        host, pid, _ = owner.rsplit("/", 2)
        session.execute(update(IntakeName).values(owner=f"{host}/{pid}/1"))
    assert finishing.finish_crashed(now=began) == 1


def test_a_resolved_issue_that_happens_again_is_reopened_and_said_once(door: Door) -> None:
    send_all(door, [event_envelope(an_event())])
    (issue,) = all_issues()
    decide(door, issue, Decision(status=Status.RESOLVED))
    send_all(door, [event_envelope(an_event()) for _ in range(5)])
    send_all(door, [event_envelope(an_event())])

    (issue,) = all_issues()
    assert (issue.status, issue.count, issue.resolved_at) == (Status.UNRESOLVED, 7, None)
    assert [type(event) for event in said()] == [
        IssueOpened,
        IssueStatusChanged,
        IssueDecided,
        IssueRegressed,
    ]


def test_an_event_from_before_the_resolving_reopens_nothing(door: Door) -> None:
    send_all(door, [event_envelope(an_event())])
    (issue,) = all_issues()
    with transaction() as session:
        later = utc_now() + timedelta(hours=1)
        issues.decide(
            session, issue.project_id, [issue.id], Decision(status=Status.RESOLVED), now=later
        )
    send_all(door, [event_envelope(an_event())])

    assert [issue.status for issue in all_issues()] == [Status.RESOLVED]


def test_an_issue_ignored_for_two_more_events_comes_back_with_the_second(door: Door) -> None:
    send_all(door, [event_envelope(an_event())])
    (issue,) = all_issues()
    decide(door, issue, Decision(status=Status.IGNORED, ignored_for_events=2))
    send_all(door, [event_envelope(an_event())])
    assert [issue.status for issue in all_issues()] == [Status.IGNORED]
    send_all(door, [event_envelope(an_event())])

    assert [issue.status for issue in all_issues()] == [Status.UNRESOLVED]
    assert [type(event) for event in said()] == [
        IssueOpened,
        IssueStatusChanged,
        IssueDecided,
        IssueStatusChanged,
    ], "what a person decides is audited, what comes of itself is not"


def test_an_issue_ignored_for_good_stays_ignored(door: Door) -> None:
    send_all(door, [event_envelope(an_event())])
    (issue,) = all_issues()
    decide(door, issue, Decision(status=Status.IGNORED))
    send_all(door, [event_envelope(an_event()) for _ in range(5)])

    assert [(issue.status, issue.count) for issue in all_issues()] == [(Status.IGNORED, 6)]


def test_what_an_event_says_of_its_environment_makes_an_instance(door: Door) -> None:
    send_all(door, [event_envelope(an_event(environment=name)) for name in ("staging", "qa", "qa")])

    with reading() as session:
        counts = sorted(one.count for one in session.scalars(select(IssueInstance)))
    assert counts == [1, 2]
    assert [issue.count for issue in all_issues()] == [3]


def test_more_than_fits_is_refused_at_once_with_the_words_that_sdks_obey(
    door: Door, held_inserts: HeldInserts
) -> None:
    override_settings(ErrorsSettings(errors_waiting_mib=1))
    body = event_envelope(an_event(extra="x" * 400_000))

    async def together() -> list[Any]:
        sending = [asyncio.create_task(door.sending(body)) for _ in range(6)]
        for refusal in islice(asyncio.as_completed(sending), 4):
            await refusal
        held_inserts.let_go()
        return await asyncio.gather(*sending)

    answers = asyncio.run(together())
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) == 4
    assert refused[0].headers["retry-after"] == "2"
    assert refused[0].headers["x-sentry-rate-limits"] == "2:error;default;security:organization"
    accepted = sum(answer.status == 200 for answer in answers)
    assert accepted == 2
    assert stored() == accepted


def test_an_engine_that_is_away_is_a_503_and_nothing_is_counted(door: Door) -> None:
    send_all(door, [event_envelope(an_event())])
    columns.close_columns()
    answer = door.send(event_envelope(an_event()))

    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert [issue.count for issue in all_issues()] == [1]


def test_events_of_a_deleted_instance_leave_the_others_of_their_batch_alone(door: Door) -> None:
    send_all(door, [event_envelope(an_event(environment="staging"))])
    with transaction() as session:
        session.execute(update(Issue).values(count=Issue.count))
    send_all(door, [event_envelope(an_event()), event_envelope(an_event(environment="staging"))])

    assert [issue.count for issue in all_issues()] == [3]


def test_one_event_that_is_no_json_is_refused_alone(door: Door) -> None:
    good = event_envelope(an_event())
    bad = b'{}\n{"type":"event"}\nnot json'

    async def together() -> list[Any]:
        return await asyncio.gather(*(door.sending(body) for body in (good, bad, good)))

    assert [answer.status for answer in asyncio.run(together())] == [200, 400, 200]
    assert [issue.count for issue in all_issues()] == [2]


def decide(door: Door, issue: Issue, decision: Decision) -> None:
    with transaction() as session:
        issues.decide(session, issue.project_id, [issue.id], decision, now=utc_now())


def test_the_payload_is_kept_as_it_was_sent(door: Door) -> None:
    event = an_event(extra={"quote": 'a "b" \\ c', "line": "1\n2", "emoji": "⚓"})
    send_all(door, [event_envelope(event)])

    assert json.loads(columns.query_value("SELECT payload FROM error_events")) == event

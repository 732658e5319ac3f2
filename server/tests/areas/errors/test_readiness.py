"""What the scorecard is told, from live evidence."""

from datetime import timedelta

from mainstay_server.areas.errors import area, readiness
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.readiness import Finding, NotApplicable, Outcome, Passed, ReadinessCheck

from .conftest import Door, an_event, event_envelope


def ask(check: ReadinessCheck, door: Door, *, days_later: int = 0) -> Outcome:
    with reading() as session:
        return check.ask(session, door.instance, utc_now() + timedelta(days=days_later))


def test_errors_are_received_once_one_has_arrived(door: Door) -> None:
    assert isinstance(ask(readiness.errors_arrive, door), Finding)
    door.send(event_envelope(an_event()))
    assert isinstance(ask(readiness.errors_arrive, door), Passed)


def test_a_release_is_known_only_if_every_event_carries_one(door: Door) -> None:
    assert isinstance(ask(readiness.errors_name_their_release, door), NotApplicable)
    door.send(event_envelope(an_event(release="shop@1")))
    assert "shop@1" in str(ask(readiness.errors_name_their_release, door))
    door.send(event_envelope(an_event()))
    assert "1 of 2" in str(ask(readiness.errors_name_their_release, door))
    assert isinstance(ask(readiness.errors_name_their_release, door, days_later=20), NotApplicable)


def test_an_issue_is_neglected_if_it_is_old_still_happens_and_nobody_decided(door: Door) -> None:
    door.send(event_envelope(an_event()))
    assert isinstance(ask(readiness.issues_are_worked_on, door), Passed)
    assert isinstance(ask(readiness.issues_are_worked_on, door, days_later=9), Passed)  # it stopped


def test_the_overview_tells_how_many_errors_there_were_and_wait(door: Door) -> None:
    for _ in range(3):
        door.send(event_envelope(an_event()))
    assert area.tiles is not None
    assert area.summary is not None
    with reading() as session:
        tile = area.tiles(session, [door.instance.id], utc_now())[door.instance.id]
        summary = area.summary(session, [door.instance.id], utc_now())[door.instance.id]
    assert (tile.value, tile.tone, tile.hint) == ("3", "critical", "1 unresolved")
    assert sum(value or 0 for value in tile.spark) == 3
    assert summary == {"errors24h": 3, "unresolvedIssues": 1}

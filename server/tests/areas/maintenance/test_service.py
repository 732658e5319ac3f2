from datetime import datetime, timedelta

import pytest
from mainstay_server.areas.maintenance.models import Maintenance
from mainstay_server.areas.maintenance.service import acting, listing, planning
from mainstay_server.areas.maintenance.service.listing import wanted_of
from mainstay_server.areas.maintenance.service.planning import Wanted
from mainstay_server.areas.maintenance.service.telling import current_plan, tell_due
from mainstay_server.contracts.maintenance import (
    MaintenanceAnnounced,
    MaintenanceBegan,
    MaintenanceCancelled,
    MaintenanceChanged,
    MaintenanceEnded,
    MaintenanceExtended,
    MaintenancePlanned,
    MaintenanceRemoved,
    MaintenanceTold,
    MaintenanceWindowCancelled,
    MaintenanceWindowChanged,
)
from mainstay_server.kernel.events import Event
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.tenancy.subjects import find_project
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.databases import on_both_stores
from tests.world import a_project

from .worlds import DAY, HOUR, MINUTE, NOON, planned, project_of, times, windows

START, END = NOON + HOUR, NOON + 2 * HOUR


def told(said: Said) -> list[tuple[type[Event], datetime]]:
    """What was said of windows since the last call: its kind, and the start it told."""
    return [(type(e), e.started_at) for e in said() if isinstance(e, MaintenanceTold)]


def every_minute(session: Session, since: datetime, until: datetime) -> None:
    while since <= until:
        tell_due(session, now=since)
        since += MINUTE


@on_both_stores
def test_a_window_is_announced_begins_and_ends_each_said_once(session: Session, said: Said) -> None:
    instance = a_project(session, now=NOON)
    planned(session, instance, starts_at=NOON + 3 * HOUR, announce_minutes=30)
    assert told(said) == []
    every_minute(session, NOON, NOON + 149 * MINUTE)
    assert told(said) == []
    every_minute(session, NOON + 150 * MINUTE, NOON + 179 * MINUTE)
    assert told(said) == [(MaintenanceAnnounced, NOON + 3 * HOUR)]
    every_minute(session, NOON + 3 * HOUR, NOON + 239 * MINUTE)
    assert told(said) == [(MaintenanceBegan, NOON + 3 * HOUR)]
    every_minute(session, NOON + 4 * HOUR, NOON + 6 * HOUR)
    assert told(said) == [(MaintenanceEnded, NOON + 3 * HOUR)]


def test_what_comes_again_is_said_again(session: Session, said: Said) -> None:
    instance = a_project(session, now=NOON)
    planned(session, instance, schedule="FREQ=DAILY", announce_minutes=10)
    moment = NOON
    while moment < NOON + 3 * DAY:
        tell_due(session, now=moment)
        moment += 10 * MINUTE
    assert told(said) == [
        (kind, START + day * DAY)
        for day in range(3)
        for kind in (MaintenanceAnnounced, MaintenanceBegan, MaintenanceEnded)
    ]


def test_nothing_is_looked_at_before_it_is_due(session: Session) -> None:
    instance = a_project(session, now=NOON)
    planned(session, instance, schedule="FREQ=WEEKLY", starts_at=NOON + 2 * DAY)
    assert tell_due(session, now=NOON + 2 * DAY - HOUR - MINUTE) == 0
    assert tell_due(session, now=NOON + 2 * DAY - HOUR) == 1
    assert tell_due(session, now=NOON + 2 * DAY - MINUTE) == 0
    assert tell_due(session, now=NOON + 2 * DAY) == 1


def test_a_window_that_passed_while_we_were_away_is_passed_over(
    session: Session, said: Said
) -> None:
    instance = a_project(session, now=NOON)
    planned(session, instance, announce_minutes=0)
    tell_due(session, now=END + HOUR)
    assert told(said) == []


def test_an_end_that_we_were_away_for_is_said_late(session: Session, said: Said) -> None:
    instance = a_project(session, now=NOON)
    planned(session, instance, announce_minutes=0)
    tell_due(session, now=START)
    tell_due(session, now=END + 90 * DAY)
    assert told(said) == [(MaintenanceBegan, START), (MaintenanceEnded, START)]


def test_without_a_start_it_begins_now_and_says_so(session: Session, said: Said) -> None:
    instance = a_project(session, now=NOON)
    now = NOON + timedelta(milliseconds=417)
    maintenance = planning.plan_maintenance(
        session,
        project_of(session, instance),
        Wanted(name="Deploy", duration_minutes=30),
        now=now,
    )
    (window,) = windows(session, maintenance)
    assert (window.started_at, window.ended_at) == (NOON, NOON + 30 * MINUTE)
    assert [type(event) for event in said()] == [MaintenancePlanned, MaintenanceBegan]


def test_a_start_a_moment_ago_is_now_and_one_of_yesterday_is_refused(session: Session) -> None:
    instance = a_project(session, now=NOON)
    soon = planned(session, instance, starts_at=NOON - 2 * MINUTE)
    assert times(windows(session, soon)) == [(NOON, NOON + HOUR)]
    with pytest.raises(Invalid, match="lies behind"):
        planned(session, instance, starts_at=NOON - DAY)
    with pytest.raises(Invalid, match="five years"):
        planned(session, instance, starts_at=NOON + 3000 * DAY)


def test_a_schedule_that_began_long_ago_has_no_windows_before_it_was_planned(
    session: Session,
) -> None:
    instance = a_project(session, now=NOON)
    maintenance = planned(
        session, instance, schedule="FREQ=WEEKLY", starts_at=NOON - 100 * 7 * DAY + HOUR
    )
    found = windows(session, maintenance, days=15, since=NOON - 30 * DAY)
    assert found == []
    assert times(windows(session, maintenance, days=8)) == [
        (START, END),
        (START + 7 * DAY, END + 7 * DAY),
    ]


@pytest.mark.parametrize(
    "wanted",
    [
        {"name": " "},
        {"duration_minutes": 0},
        {"duration_minutes": 31 * 24 * 60 + 1},
        {"announce_minutes": -1},
        {"announce_minutes": 8 * 24 * 60},
        {"instance_ids": ["elsewhere"]},
        {"tags": ["x" * 61]},
        {"tags": [str(n) for n in range(201)]},
        {"time_zone": "Nowhere"},
        {"schedule": "* * * * *"},
    ],
)
def test_what_cannot_be_is_refused(session: Session, wanted: dict[str, object]) -> None:
    instance = a_project(session, now=NOON)
    with pytest.raises(Invalid):
        planned(session, instance, **wanted)


def test_a_project_has_so_many_and_no_more(session: Session) -> None:
    instance = a_project(session, now=NOON)
    last = planned(session, instance)
    for number in range(1, planning.MOST_PER_PROJECT):
        planned(session, instance, name=str(number), announce_minutes=0)
    with pytest.raises(Conflict):
        planned(session, instance)
    planning.remove_maintenance(session, project_of(session, instance), last.id, now=NOON)
    planned(session, instance)


def test_what_is_over_is_listed_no_more_and_counts_for_no_limit(session: Session) -> None:
    instance = a_project(session, now=NOON)
    planned(session, instance)
    found = planned(session, instance, name="later", starts_at=NOON + DAY)
    for minute in range(0, 180, 30):
        tell_due(session, now=NOON + minute * MINUTE)
    page = listing.list_maintenance(session, instance.project_id, limit=10, now=NOON + 3 * HOUR)
    assert [each.maintenance for each in page.items] == [found]


def test_a_window_begins_early_is_extended_and_ends_early(session: Session, said: Said) -> None:
    instance = a_project(session, now=NOON)
    project = project_of(session, instance)
    maintenance = planned(session, instance, schedule="FREQ=DAILY", announce_minutes=0)
    (first, *_rest) = windows(session, maintenance)
    said()

    begun = acting.start_window(session, project, first.id, now=NOON + 10 * MINUTE)
    assert (begun.id, begun.started_at, begun.ended_at) == (first.id, NOON + 10 * MINUTE, END)
    assert [type(event) for event in said()] == [MaintenanceWindowChanged, MaintenanceBegan]

    longer = acting.move_window(session, project, first.id, ends_at=END + HOUR, now=START)
    assert longer.ended_at == END + HOUR
    events = said()
    assert [type(event) for event in events] == [MaintenanceExtended, MaintenanceWindowChanged]
    assert isinstance(events[1], MaintenanceWindowChanged)
    assert events[1].changes == {
        "ended_at": ("2026-11-26T14:00:00.000Z", "2026-11-26T15:00:00.000Z")
    }

    over = acting.end_window(session, project, first.id, now=END)
    assert over.ended_at == END
    assert [type(event) for event in said()] == [MaintenanceEnded, MaintenanceWindowChanged]
    assert times(windows(session, maintenance, days=1)) == [(NOON + 10 * MINUTE, END)]
    tell_due(session, now=END + 2 * HOUR)
    assert said() == []


def test_what_has_been_cannot_be_changed_by_hand(session: Session) -> None:
    instance = a_project(session, now=NOON)
    project = project_of(session, instance)
    (window,) = windows(session, planned(session, instance))
    with pytest.raises(Conflict, match="can be cancelled"):
        acting.end_window(session, project, window.id, now=NOON)
    for now in (START, END):
        with pytest.raises(Conflict):
            acting.move_window(session, project, window.id, starts_at=NOON, now=now)
        with pytest.raises(Conflict):
            acting.cancel_window(session, project, window.id, now=now)
    with pytest.raises(Conflict):
        acting.move_window(session, project, window.id, ends_at=END + DAY, now=END)
    with pytest.raises(Invalid):
        acting.move_window(session, project, window.id, ends_at=NOON, now=START)
    with pytest.raises(Invalid):
        acting.move_window(session, project, window.id, starts_at=NOON - HOUR, now=NOON)
    with pytest.raises(Invalid):
        acting.move_window(session, project, window.id, ends_at=NOON + 40 * DAY, now=NOON)


def test_a_moved_window_is_announced_anew_and_its_planned_time_is_free(
    session: Session, said: Said
) -> None:
    instance = a_project(session, now=NOON)
    project = project_of(session, instance)
    maintenance = planned(session, instance, schedule="FREQ=DAILY", announce_minutes=90)
    assert told(said) == [(MaintenanceAnnounced, START)]
    (first, *_rest) = windows(session, maintenance)
    acting.move_window(
        session, project, first.id, starts_at=NOON + 9 * HOUR, ends_at=NOON + 10 * HOUR, now=NOON
    )
    assert times(windows(session, maintenance, days=1)) == [(NOON + 9 * HOUR, NOON + 10 * HOUR)]
    assert told(said) == []
    every_minute(session, NOON, NOON + 8 * HOUR)
    assert told(said) == [(MaintenanceAnnounced, NOON + 9 * HOUR)]


def test_one_window_is_cancelled_and_the_others_stay(session: Session, said: Said) -> None:
    instance = a_project(session, now=NOON)
    project = project_of(session, instance)
    maintenance = planned(session, instance, schedule="FREQ=DAILY")
    first, second, *_rest = windows(session, maintenance, days=3)
    acting.cancel_window(session, project, second.id, now=NOON)  # nobody was told of it yet
    assert [type(event) for event in said()][-1] is MaintenanceWindowCancelled
    acting.cancel_window(session, project, first.id, now=NOON)
    assert told(said) == [(MaintenanceCancelled, START)]
    assert times(windows(session, maintenance, days=3)) == [(START + 2 * DAY, END + 2 * DAY)]
    with pytest.raises(NotFound):
        acting.cancel_window(session, project, first.id, now=NOON)
    every_minute(session, START, START + 2 * MINUTE)
    assert told(said) == []


def test_removing_ends_what_lasts_and_cancels_what_was_announced(
    session: Session, said: Said
) -> None:
    instance = a_project(session, now=NOON)
    project = project_of(session, instance)
    maintenance = planned(session, instance, schedule="0 13,14,15 * * *", duration_minutes=30)
    tell_due(session, now=START)
    tell_due(session, now=START + 20 * MINUTE)
    said()
    planning.remove_maintenance(session, project, maintenance.id, now=START + 20 * MINUTE)
    assert [type(event) for event in said()] == [
        MaintenanceEnded,
        MaintenanceCancelled,
        MaintenanceRemoved,
    ]
    assert times(windows(session, maintenance)) == [(START, START + 20 * MINUTE)]
    with pytest.raises(NotFound):
        planning.get_maintenance(session, project, maintenance.id)


def test_what_is_changed_is_told_and_what_stays_is_not_announced_again(
    session: Session, said: Said
) -> None:
    instance = a_project(session, now=NOON)
    project = project_of(session, instance)
    maintenance = planned(session, instance, schedule="FREQ=DAILY")
    assert told(said) == [(MaintenanceAnnounced, START)]
    change(session, instance.project_slug, maintenance, now=NOON, description="new disks")
    (event,) = said()
    assert isinstance(event, MaintenanceChanged)
    assert event.changes == {"description": ("", "new disks")}
    change(session, instance.project_slug, maintenance, now=NOON, schedule="FREQ=WEEKLY")
    assert told(said) == []
    change(session, instance.project_slug, maintenance, now=NOON, tags=["db"])
    assert told(said) == [(MaintenanceCancelled, START), (MaintenanceAnnounced, START)]
    change(session, instance.project_slug, maintenance, now=NOON)
    assert said() == []
    assert project.id == maintenance.project_id


def change(
    session: Session, slug: str, maintenance: Maintenance, *, now: datetime, **changes: object
) -> None:
    project = find_project(session, slug)
    assert project is not None
    wanted = wanted_of(maintenance, current_plan(session, maintenance))
    planning.change_maintenance(
        session, project, maintenance.id, Wanted(**{**vars(wanted), **changes}), now=now
    )


@pytest.mark.parametrize(
    "window_id", ["", "x" * 40, "0" * 36 + "-20261126T130000Z", "0" * 36 + "-2026", "\0" * 60]
)
def test_a_window_that_is_none_is_not_found(session: Session, window_id: str) -> None:
    instance = a_project(session, now=NOON)
    with pytest.raises(NotFound):
        acting.get_window(session, project_of(session, instance), window_id)


def test_a_time_that_is_not_planned_is_no_window(session: Session) -> None:
    instance = a_project(session, now=NOON)
    project = project_of(session, instance)
    maintenance = planned(session, instance, schedule="FREQ=DAILY")
    with pytest.raises(NotFound):
        acting.get_window(session, project, f"{maintenance.id}-20261127T130001Z")
    found = acting.get_window(session, project, f"{maintenance.id}-20261127T130000Z")
    assert found.started_at == START + DAY

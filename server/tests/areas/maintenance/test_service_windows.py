from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from mainstay_server.areas.maintenance.models import ChangedWindow
from mainstay_server.areas.maintenance.service import planning, windows
from mainstay_server.areas.maintenance.service.listing import wanted_of
from mainstay_server.areas.maintenance.service.planning import Wanted
from mainstay_server.areas.maintenance.service.telling import current_plan, tell_due
from mainstay_server.areas.maintenance.service.windows import merged
from mainstay_server.contracts.maintenance import Scope, Window
from sqlalchemy.orm import Session
from tests.databases import on_both_stores
from tests.world import a_project

from .worlds import DAY, HOUR, MINUTE, NOON, planned, project_of, times
from .worlds import windows as all_windows

SECONDS = 300
spans = st.lists(st.tuples(st.integers(0, SECONDS), st.integers(1, 60)), min_size=0, max_size=12)


def a_window(start: int, length: int, name: str = "w") -> Window:
    at = NOON + timedelta(seconds=start)
    return Window(started_at=at, ended_at=at + timedelta(seconds=length), name=name)


def seconds_in(found: Sequence[Window]) -> set[int]:
    """The oracle: each second that lies in any of them."""
    return {
        second
        for second in range(SECONDS + 61)
        for each in found
        if each.started_at <= NOON + timedelta(seconds=second) < each.ended_at
    }


@given(spans=spans)
def test_merged_windows_are_in_order_and_disjoint_and_cover_the_same(
    spans: list[tuple[int, int]],
) -> None:
    given_ones = [a_window(start, length) for start, length in spans]
    found = merged(given_ones)
    assert all(before.ended_at < after.started_at for before, after in pairwise(found))
    assert all(each.started_at < each.ended_at for each in found)
    assert seconds_in(found) == seconds_in(given_ones)


def test_merged_windows_say_each_name_once() -> None:
    found = merged([a_window(0, 10, "a"), a_window(5, 10, "b"), a_window(12, 10, "a")])
    assert [each.name for each in found] == ["a, b"]


@on_both_stores
def test_a_subject_is_covered_by_project_instance_tag_or_name(session: Session) -> None:
    instance = a_project(session, now=NOON)

    def covered(tags: Sequence[str] = (), subject: str = "check") -> list[str]:
        found = windows.windows_over(
            session, instance.id, tags, subject, since=NOON, until=NOON + DAY
        )
        return [each.name for each in found]

    planned(session, instance, name="by tag", tags=["db"])
    assert covered() == []
    assert covered(["web", "db"]) == ["by tag"]
    planned(session, instance, name="by name", subject_ids=["check"], starts_at=NOON + 3 * HOUR)
    assert covered() == ["by name"]
    assert covered(subject="other") == []
    planned(session, instance, name="whole", starts_at=NOON + 5 * HOUR)
    planned(
        session,
        instance,
        name="here",
        instance_ids=[instance.id],
        starts_at=NOON + 7 * HOUR,
    )
    assert covered(subject="") == ["whole", "here"]
    assert covered(["db"]) == ["by tag", "by name", "whole", "here"]


def test_an_instance_that_is_not_named_is_not_covered() -> None:
    scope = Scope(instance_ids=frozenset({"a"}), tags=frozenset({"db"}))
    assert scope.covers("a", ["db"], "x")
    assert not scope.covers("b", ["db"], "x")
    assert not scope.covers("a", [], "")


def test_a_moment_is_answered_with_the_whole_window_that_it_lies_in(session: Session) -> None:
    instance = a_project(session, now=NOON)
    planned(session, instance)

    def over(at: datetime) -> list[tuple[datetime, datetime]]:
        found = windows.windows_over(session, instance.id, (), "", since=at, until=at)
        return [(each.started_at, each.ended_at) for each in found]

    whole = [(NOON + HOUR, NOON + 2 * HOUR)]
    assert over(NOON + HOUR - MINUTE) == []
    assert over(NOON + HOUR) == whole
    assert over(NOON + 2 * HOUR - MINUTE) == whole
    assert over(NOON + 2 * HOUR) == []


def test_windows_that_touch_or_overlap_are_one(session: Session) -> None:
    instance = a_project(session, now=NOON)
    planned(session, instance, name="one")
    planned(session, instance, name="two", starts_at=NOON + 2 * HOUR)
    found = windows.windows_over(session, instance.id, (), "", since=NOON, until=NOON + DAY)
    assert [(each.started_at, each.ended_at, each.name) for each in found] == [
        (NOON + HOUR, NOON + 3 * HOUR, "one, two")
    ]


def test_another_project_is_not_covered(session: Session) -> None:
    ours = a_project(session, now=NOON)
    theirs = a_project(session, now=NOON, organization="Rivals", slug="spying", number=2)
    planned(session, ours)
    assert not windows.windows_over(session, theirs.id, (), "", since=NOON, until=NOON + DAY)
    assert not windows.list_windows(
        session, theirs.project_id, since=NOON, until=NOON + DAY, now=NOON
    )


def test_windows_are_listed_with_how_they_stand(session: Session) -> None:
    instance = a_project(session, now=NOON)
    planned(session, instance, schedule="FREQ=DAILY", tags=["db"])
    found = windows.list_windows(
        session,
        instance.project_id,
        since=NOON,
        until=NOON + 3 * DAY,
        now=NOON + DAY + 90 * MINUTE,
    )
    assert [each.status for each in found] == ["ended", "active", "upcoming"]
    assert found[0].scope == Scope(tags=frozenset({"db"}))
    assert found[0].id == f"{found[0].maintenance_id}-20261126T130000Z"


def test_what_has_been_stays_whatever_is_planned_later(session: Session) -> None:
    instance = a_project(session, now=NOON)
    project = project_of(session, instance)
    maintenance = planned(session, instance, schedule="FREQ=DAILY")
    past = [(NOON + day * DAY + HOUR, NOON + day * DAY + 2 * HOUR) for day in range(3)]
    later = NOON + 3 * DAY
    wanted = wanted_of(maintenance, current_plan(session, maintenance))
    changed = Wanted(
        **{**vars(wanted), "schedule": "FREQ=WEEKLY", "duration_minutes": 10, "tags": ["db"]}
    )
    planning.change_maintenance(session, project, maintenance.id, changed, now=later)
    found = all_windows(session, maintenance, days=12)
    assert times(found)[:3] == past
    assert not found[0].scope.tags
    assert times(found)[3:] == [(NOON + 7 * DAY + HOUR, NOON + 7 * DAY + HOUR + 10 * MINUTE)]
    planning.remove_maintenance(session, project, maintenance.id, now=later)
    assert times(all_windows(session, maintenance, days=400)) == past


def test_nothing_is_stored_of_windows_that_are_as_planned(session: Session) -> None:
    instance = a_project(session, now=NOON)
    maintenance = planned(session, instance, schedule="FREQ=DAILY", announce_minutes=0)
    assert len(all_windows(session, maintenance, days=300)) == 300
    assert session.scalar(sa.select(sa.func.count()).select_from(ChangedWindow)) == 0
    tell_due(session, now=NOON + HOUR)
    assert session.scalar(sa.select(sa.func.count()).select_from(ChangedWindow)) == 1

"""Who is on call when: truth tables over layers, overrides, and the days that clocks change."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstay_server.areas.on_call.schemas.schedules import LayerBody
from mainstay_server.areas.on_call.service.rotations import (
    Plan,
    Shift,
    _narrowed,
    on_call_at,
    shifts_between,
    turns_between,
)
from typing_extensions import override

from .worlds import DAY, HOUR, a_layer, at


def told(shifts: list[Shift]) -> list[tuple[str, str, str]]:
    """Who, from, to, in UTC."""
    return [
        (each.person_id, f"{each.started_at:%m-%d %H:%M}", f"{each.ended_at:%m-%d %H:%M}")
        for each in shifts
    ]


def between(plan: Plan, since: str, until: str) -> list[tuple[str, str, str]]:
    return told(shifts_between(plan, at(since), at(until)))


def test_people_take_turns_week_by_week() -> None:
    plan = Plan(time_zone="UTC", layers=[a_layer("anna", "ben", "cara")])
    assert between(plan, "2026-01-05 09:00", "2026-01-27 00:00") == [
        ("anna", "01-05 09:00", "01-12 09:00"),
        ("ben", "01-12 09:00", "01-19 09:00"),
        ("cara", "01-19 09:00", "01-26 09:00"),
        ("anna", "01-26 09:00", "01-27 00:00"),
    ]


def test_nobody_is_on_call_before_the_first_hand_over() -> None:
    plan = Plan(time_zone="UTC", layers=[a_layer("anna")])
    assert between(plan, "2026-01-05 00:00", "2026-01-06 00:00") == [
        ("", "01-05 00:00", "01-05 09:00"),
        ("anna", "01-05 09:00", "01-06 00:00"),
    ]
    assert on_call_at(plan, at("2026-01-05 08:59")) is None


@pytest.mark.parametrize(
    ("rotates", "every", "moment", "person"),
    [
        ("daily", 1, "2026-01-06 08:59", "anna"),
        ("daily", 1, "2026-01-06 09:00", "ben"),
        ("daily", 3, "2026-01-08 08:59", "anna"),
        ("daily", 3, "2026-01-08 09:00", "ben"),
        ("hourly", 12, "2026-01-05 20:59", "anna"),
        ("hourly", 12, "2026-01-05 21:00", "ben"),
        ("weekly", 2, "2026-01-19 08:59", "anna"),
        ("weekly", 2, "2026-01-19 09:00", "ben"),
    ],
)
def test_a_turn_is_as_long_as_it_is_said(
    rotates: str, every: int, moment: str, person: str
) -> None:
    plan = Plan(time_zone="UTC", layers=[a_layer("anna", "ben", rotates=rotates, every=every)])
    found = on_call_at(plan, at(moment))
    assert found is not None
    assert found.person_id == person


@pytest.mark.parametrize(
    ("zone", "starts_at", "since", "hours"),
    [
        # Clocks are put forward on 29 March 2026 in Berlin, on 8 March in New York.
        ("Europe/Berlin", "2026-03-27T09:00", "2026-03-27 08:00", [24, 23, 24]),
        ("Europe/Berlin", "2026-10-23T09:00", "2026-10-23 07:00", [24, 25, 24]),
        ("America/New_York", "2026-03-06T09:00", "2026-03-06 14:00", [24, 23, 24]),
        ("America/New_York", "2026-10-30T09:00", "2026-10-30 13:00", [24, 25, 24]),
        ("Australia/Lord_Howe", "2026-10-02T09:00", "2026-10-01 22:30", [24, 23.5, 24]),
        ("Asia/Kolkata", "2026-03-27T09:00", "2026-03-27 03:30", [24, 24, 24]),
    ],
)
def test_a_hand_over_stays_at_nine_when_clocks_are_changed(
    zone: str, starts_at: str, since: str, hours: list[float]
) -> None:
    layer = a_layer("anna", "ben", rotates="daily", starts_at=starts_at)
    turns = list(turns_between(layer, ZoneInfo(zone), at(since), at(since) + 3 * DAY - HOUR))
    shown = [each.started_at.astimezone(ZoneInfo(zone)) for each in turns]
    assert {f"{each:%H:%M}" for each in shown} == {"09:00"}
    assert [(each.ended_at - each.started_at) / HOUR for each in turns] == hours


def test_shifts_of_twelve_hours_stay_at_eight_and_twenty() -> None:
    layer = a_layer("anna", "ben", rotates="hourly", every=12, starts_at="2026-03-28T08:00")
    plan = Plan(time_zone="Europe/Berlin", layers=[layer])
    assert between(plan, "2026-03-28 07:00", "2026-03-29 18:00") == [
        ("anna", "03-28 07:00", "03-28 19:00"),
        ("ben", "03-28 19:00", "03-29 06:00"),  # eleven hours: clocks were put forward
        ("anna", "03-29 06:00", "03-29 18:00"),
    ]


def test_a_hand_over_that_clocks_leave_out_is_later_and_one_shown_twice_is_the_first() -> None:
    spring = a_layer("anna", "ben", rotates="daily", starts_at="2026-03-28T02:30")
    plan = Plan(time_zone="Europe/Berlin", layers=[spring])
    assert between(plan, "2026-03-28 01:30", "2026-03-30 00:30") == [
        ("anna", "03-28 01:30", "03-29 01:30"),  # 2:30 is 3:30 on that day
        ("ben", "03-29 01:30", "03-30 00:30"),
    ]
    autumn = a_layer("anna", "ben", rotates="daily", starts_at="2026-10-24T02:30")
    plan = Plan(time_zone="Europe/Berlin", layers=[autumn])
    assert between(plan, "2026-10-24 00:30", "2026-10-25 03:00")[-1] == (
        "ben",
        "10-25 00:30",
        "10-25 03:00",
    )


def test_a_later_layer_covers_an_earlier_one_only_in_its_part_of_the_week() -> None:
    always = a_layer("anna")
    office = a_layer("ben", name="Office", days=["MO", "TU"], from_time="09:00", to_time="17:00")
    plan = Plan(time_zone="UTC", layers=[always, office])
    assert between(plan, "2026-01-11 12:00", "2026-01-14 12:00") == [
        ("anna", "01-11 12:00", "01-12 09:00"),
        ("ben", "01-12 09:00", "01-12 17:00"),
        ("anna", "01-12 17:00", "01-13 09:00"),
        ("ben", "01-13 09:00", "01-13 17:00"),
        ("anna", "01-13 17:00", "01-14 12:00"),
    ]


def test_a_part_of_the_week_may_end_on_the_next_day_and_leaves_gaps() -> None:
    nights = a_layer("anna", from_time="20:00", to_time="06:00", starts_at="2026-01-01T00:00")
    plan = Plan(time_zone="UTC", layers=[nights])
    assert between(plan, "2026-01-10 00:00", "2026-01-11 00:00") == [
        ("anna", "01-10 00:00", "01-10 06:00"),
        ("", "01-10 06:00", "01-10 20:00"),
        ("anna", "01-10 20:00", "01-11 00:00"),
    ]


def test_hourly_turns_of_a_year_look_at_each_day_a_few_times_only() -> None:
    looked = 0

    class Hours(list[tuple[datetime, datetime]]):
        @override
        def __getitem__(self, at: Any) -> Any:
            nonlocal looked
            looked += 1
            return super().__getitem__(at)

    start = at("2026-01-05 00:00")
    days = Hours((start + day * DAY, start + day * DAY + 8 * HOUR) for day in range(366))
    turns = [
        Shift(person_id="anna", started_at=start + hour * HOUR, ended_at=start + (hour + 1) * HOUR)
        for hour in range(366 * 24)
    ]
    assert len(list(_narrowed(iter(turns), days))) == 366 * 8
    assert looked < 10 * len(turns)


def test_calendars_cover_layers_overrides_cover_all_and_the_later_one_counts() -> None:
    def shift(person: str, start: str, end: str) -> Shift:
        return Shift(person_id=person, started_at=at(start), ended_at=at(end))

    plan = Plan(
        time_zone="UTC",
        layers=[a_layer("anna")],
        calendars=[[shift("cal", "2026-01-10 06:00", "2026-01-10 18:00")]],
        overrides=[
            shift("first", "2026-01-10 10:00", "2026-01-10 14:00"),
            shift("second", "2026-01-10 12:00", "2026-01-10 13:00"),
        ],
    )
    assert between(plan, "2026-01-10 00:00", "2026-01-11 00:00") == [
        ("anna", "01-10 00:00", "01-10 06:00"),
        ("cal", "01-10 06:00", "01-10 10:00"),
        ("first", "01-10 10:00", "01-10 12:00"),
        ("second", "01-10 12:00", "01-10 13:00"),
        ("first", "01-10 13:00", "01-10 14:00"),
        ("cal", "01-10 14:00", "01-10 18:00"),
        ("anna", "01-10 18:00", "01-11 00:00"),
    ]


ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia")
LAYERS = st.builds(
    LayerBody,
    name=st.just("Turns"),
    personIds=st.lists(st.sampled_from("abc"), min_size=1, max_size=4),
    rotates=st.sampled_from(["hourly", "daily", "weekly"]),
    every=st.integers(1, 5),
    startsAt=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1)).map(  # noqa: DTZ001 - what clocks show
        lambda wall: wall.isoformat(timespec="minutes")
    ),
    days=st.lists(st.sampled_from(["MO", "WE", "SU"]), unique=True),
)


@given(
    layers=st.lists(LAYERS, max_size=3),
    zone=st.sampled_from(ZONES),
    since=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1)),  # noqa: DTZ001 - made aware below
    hours=st.integers(1, 24 * 20),
)
def test_spans_fill_the_range_and_agree_with_each_moment(
    layers: list[LayerBody], zone: str, since: datetime, hours: int
) -> None:
    plan = Plan(time_zone=zone, layers=layers)
    start = since.replace(tzinfo=ZoneInfo("UTC"))
    shifts = shifts_between(plan, start, start + hours * HOUR)
    assert (shifts[0].started_at, shifts[-1].ended_at) == (start, start + hours * HOUR)
    for one, following in pairwise(shifts):
        assert one.ended_at == following.started_at
        assert one.person_id != following.person_id
    for shift in shifts[:10]:
        middle = shift.started_at + (shift.ended_at - shift.started_at) / 2
        found = on_call_at(plan, middle)
        assert (found.person_id if found else "") == shift.person_id
    assert all(each.ended_at - each.started_at > timedelta() for each in shifts)

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstay_server.areas.objectives.models import Period
from mainstay_server.areas.objectives.service.burning import (
    RULES,
    Amount,
    budget_left,
    burn_rate,
    burning_after,
    burns,
    exhausted_at,
    severities,
    status_after,
    window_name,
)
from mainstay_server.areas.objectives.service.periods import month_of, span_of
from mainstay_server.kernel.problems import Invalid

from .worlds import DAY, HOUR, MINUTE, NOON, Outages

SECOND = timedelta(seconds=1)


def test_the_factors_are_those_of_the_standard_table_exactly() -> None:
    table = [
        (rule.severity, rule.budget, window_name(rule.long), window_name(rule.short))
        for rule in RULES
    ]
    assert table == [
        ("page", 0.02, "1h", "5m"),
        ("page", 0.05, "6h", "30m"),
        ("ticket", 0.10, "1d", "2h"),
        ("ticket", 0.10, "3d", "6h"),
    ]
    factors = {days: [round(rule.factor(days * DAY), 3) for rule in RULES] for days in (30, 28, 7)}
    assert factors == {
        30: [14.4, 6.0, 3.0, 1.0],
        28: [13.44, 5.6, 2.8, 0.933],
        7: [3.36, 1.4, 0.7, 0.233],
    }


@pytest.mark.parametrize(("rule", "seconds"), [(0, 52), (1, 130), (2, 259), (3, 259)])
def test_a_total_outage_at_three_nines_is_noticed_when_the_table_says(
    rule: int, seconds: int
) -> None:
    def fires(after: int) -> bool:
        begin = NOON - after * SECOND
        found = burns(
            Outages(NOON - 30 * DAY, (begin, NOON)),
            target_percent=99.9,
            period=30 * DAY,
            now=NOON,
        )
        return found[rule].fires

    first = next(after for after in range(1, 600) if fires(after))
    assert first in (seconds, seconds + 1)


def test_a_budget_is_signed() -> None:
    assert budget_left(Amount(total=1000, bad=0), 99.9) == 100
    assert round(budget_left(Amount(total=10_000, bad=5), 99.9), 6) == 50
    assert round(budget_left(Amount(total=1000, bad=3), 99.9), 6) == -200
    assert round(burn_rate(Amount(total=1000, bad=3), 99.9), 6) == 3


def test_nothing_fires_before_a_full_long_window_is_known() -> None:
    def fired(known_since: datetime) -> list[bool]:
        outage = Outages(known_since, (NOON - 50 * MINUTE, NOON))
        found = burns(outage, target_percent=99.9, period=30 * DAY, now=NOON)
        return [each.fires for each in found]

    assert fired(NOON - 59 * MINUTE) == [False, False, False, False]
    assert fired(NOON - HOUR) == [True, False, False, False]
    assert fired(NOON - 6 * HOUR) == [True, True, False, False]
    assert fired(NOON - 3 * DAY) == [True, True, True, True]


def test_both_windows_have_to_burn() -> None:
    over = Outages(NOON - 30 * DAY, (NOON - 30 * MINUTE, NOON - 10 * MINUTE))
    hour, six_hours, *_ = burns(over, target_percent=99.9, period=30 * DAY, now=NOON)
    assert hour.long > hour.factor
    assert not hour.short
    assert not hour.fires
    assert six_hours.fires


def replayed(outage: Outages, since: datetime, until: datetime) -> list[tuple[str, bool, datetime]]:
    """Each rule that began or ended to burn, minute by minute."""
    changes: list[tuple[str, bool, datetime]] = []
    state: dict[str, dict[str, str | bool]] = {}
    now = since
    while now <= until:
        found = burns(outage, target_percent=99.9, period=30 * DAY, now=now)
        after = burning_after(state, found, now=now)
        for rule in RULES:
            was = bool(state.get(rule.key, {}).get("burns"))
            burning = bool(after.get(rule.key, {}).get("burns"))
            if was != burning:
                changes.append((rule.key, burning, now))
        state = after
        now += MINUTE
    return changes


def test_an_outage_of_ten_minutes_burns_until_the_long_window_is_calm() -> None:
    outage = Outages(NOON - 30 * DAY, (NOON, NOON + 10 * MINUTE))
    changes = replayed(outage, NOON - MINUTE, NOON + 3 * HOUR)
    hour = [(burning, at - NOON) for key, burning, at in changes if key == "1h"]
    # 14.4 times 0.1 % of an hour are 52 s; of the last minute of the outage, nothing is left then.
    assert hour == [(True, MINUTE), (False, HOUR + 10 * MINUTE)]


def test_it_does_not_begin_again_within_a_long_window_of_its_beginning() -> None:
    # The second outage comes after the first has left the hour, but within six of its beginning.
    outages = Outages(
        NOON - 30 * DAY,
        (NOON, NOON + 3 * MINUTE),
        (NOON + 400 * MINUTE, NOON + 403 * MINUTE),
        (NOON + 500 * MINUTE, NOON + 503 * MINUTE),
    )
    changes = replayed(outages, NOON - MINUTE, NOON + 12 * HOUR)
    for rule in RULES:
        begun = [at for key, burning, at in changes if key == rule.key and burning]
        assert all(later - earlier >= rule.long for earlier, later in pairwise(begun))
    assert [burning for key, burning, _ in changes if key == "1h"] == [True, False] * 3


def test_how_grave_it_is_goes_by_the_rules_that_burn() -> None:
    state: dict[str, dict[str, str | bool]] = {
        "1h": {"firedAt": NOON.isoformat(), "burns": False},
        "24h": {"firedAt": NOON.isoformat(), "burns": True},
    }
    assert severities(state) == {"ticket"}
    assert severities({}) == set()


def test_when_nothing_is_left_is_told_if_it_goes_on_so() -> None:
    period = 30 * DAY

    def gone(left: float, burn: float, ends_at: datetime | None = None) -> datetime | None:
        return exhausted_at(left, burn, period=period, ends_at=ends_at, now=NOON)

    assert gone(50, 10) == NOON + 1.5 * DAY
    assert gone(50, 1) is None
    assert gone(50, 0) is None
    assert gone(-3, 0) == NOON
    assert gone(50, 1, NOON + 20 * DAY) == NOON + 15 * DAY
    assert gone(50, 1, NOON + 10 * DAY) is None


@given(left=st.lists(st.floats(-200, 100), min_size=1, max_size=30))
def test_a_status_goes_by_what_is_left_and_stays_near_an_edge(left: list[float]) -> None:
    status = "ok"
    for each in left:
        status = status_after(status, each)
        assert (status == "exhausted") == (each <= 0)
        if each >= 25:
            assert status == "ok"
        if 0 < each < 20:
            assert status == "at_risk"


def test_a_status_near_the_edge_stays() -> None:
    assert status_after("ok", 22) == "ok"
    assert status_after("at_risk", 22) == "at_risk"
    assert status_after("exhausted", 22) == "at_risk"


def test_periods_roll_or_begin_anew_with_the_month() -> None:
    rolling = span_of(Period.FOUR_WEEKS, now=NOON)
    assert (rolling.since, rolling.ends_at) == (NOON - 28 * DAY, None)
    month = span_of(Period.MONTH, now=NOON)
    assert month.length == 30 * DAY
    assert month.since == NOON.replace(day=1, hour=0)
    assert month.ends_at == NOON.replace(month=12, day=1, hour=0)


@pytest.mark.parametrize("text", ["2026", "2026-13", "x", "2027-01", "1999-12", "2026-1-1"])
def test_a_month_that_is_none_or_lies_ahead_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        month_of(text, now=NOON)
    assert month_of("", now=NOON).isoformat() == "2026-11-01"

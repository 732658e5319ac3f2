"""Times of others: moved when their clock is wrong, and never believed beyond what can be."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from mainstay_server.kernel.clock import SenderClock, rfc3339

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


def test_a_clock_that_is_an_hour_slow_is_put_right() -> None:
    slow = SenderClock(NOON - HOUR, received_at=NOON)
    assert slow.ours(NOON - HOUR - SECOND) == NOON - SECOND


def test_a_few_seconds_are_the_way_and_no_wrong_clock() -> None:
    late = SenderClock(NOON - 4 * SECOND, received_at=NOON)
    assert late.ours(NOON - 9 * SECOND) == NOON - 9 * SECOND


@pytest.mark.parametrize("at", [NOON + SECOND, NOON - 30 * DAY, LAST, FIRST])
@pytest.mark.parametrize("sent_at", [None, LAST, FIRST])
def test_what_nobody_can_believe_happens_now(at: datetime, sent_at: datetime | None) -> None:
    ours = SenderClock(sent_at, received_at=NOON).ours(at)
    assert NOON - 29 * DAY < ours <= NOON


def test_a_time_without_a_zone_is_in_utc() -> None:
    assert SenderClock(None, received_at=NOON).ours(datetime(2026, 11, 21, 11)) == NOON - HOUR  # noqa: DTZ001 - that is the case


def test_a_time_on_the_wire_is_in_utc_with_milliseconds() -> None:
    berlin = timezone(HOUR)
    assert rfc3339(datetime(2026, 11, 21, 13, tzinfo=berlin)) == "2026-11-21T12:00:00.000Z"

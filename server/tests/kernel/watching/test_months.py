"""Months: frozen once, the same as their spells, and there when the spells are gone."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
from mainstay_server.areas import health_checks
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.kernel.area import install
from mainstay_server.kernel.settings import load_settings
from mainstay_server.kernel.watching import (
    RecordedSpell,
    SpellMonth,
    State,
    WatchingSettings,
    forget_spells,
    freeze_months,
    install_windows,
    months_of,
    uptime_over,
)
from sqlalchemy.orm import Session
from tests.kernel.watching.worlds import (
    HOUR,
    UNKNOWN,
    D,
    H,
    Planned,
    U,
    Window,
    a_subject,
    turn,
)

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
FEBRUARY, MARCH = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def assembled() -> Iterator[None]:
    install((health_checks.area,))
    install_windows(None)
    load_settings([WatchingSettings])
    yield
    install(())
    install_windows(None)


@pytest.fixture
def subject(session: Session) -> HealthCheck:
    """Watched from 20 January on: up, ten hours down over the end of the month, degraded, up."""
    subject = a_subject(session, now=JANUARY + 19 * DAY)
    turn(session, subject, H, at=JANUARY + 19 * DAY)
    turn(session, subject, U, D, H, at=FEBRUARY - 4 * HOUR, every=10 * HOUR)
    return subject


def kept(session: Session) -> dict[date, datetime]:
    rows = session.scalars(sa.select(SpellMonth).order_by(SpellMonth.month))
    return {row.month: row.frozen_at for row in rows}


def test_a_month_is_frozen_a_day_after_its_end_and_then_left_alone(
    session: Session, subject: HealthCheck
) -> None:
    early = freeze_months.function(session, now=FEBRUARY + DAY - HOUR)
    first = freeze_months.function(session, now=FEBRUARY + DAY)
    again = freeze_months.function(session, now=FEBRUARY + 2 * DAY)
    next_month = freeze_months.function(session, now=MARCH + DAY)

    assert (early, first, again, next_month) == (0, 1, 0, 1)
    assert kept(session) == {
        JANUARY.date(): FEBRUARY + DAY,
        FEBRUARY.date(): MARCH + DAY,
    }


def test_months_that_were_missed_are_all_frozen(session: Session, subject: HealthCheck) -> None:
    assert freeze_months.function(session, now=MARCH + 40 * DAY) == 3


def test_what_is_frozen_is_what_the_spells_said(session: Session, subject: HealthCheck) -> None:
    since, until = JANUARY + 25 * DAY, MARCH + 3 * DAY
    now = MARCH + 5 * DAY
    before = uptime_over(session, subject, since=since, until=until, now=now)

    freeze_months.function(session, now=now)
    session.execute(sa.update(SpellMonth).values(frozen_at=now))
    after = uptime_over(session, subject, since=since, until=until, now=now)

    assert after == before
    assert before.lasted[State.UNHEALTHY] == 10 * HOUR
    assert before.lasted[State.DEGRADED] == 10 * HOUR
    assert sum(before.lasted.values(), timedelta()) == until - since


def test_maintenance_is_in_no_state_and_is_frozen_with_the_month(
    session: Session, subject: HealthCheck
) -> None:
    window = Window(started_at=FEBRUARY - 2 * HOUR, ended_at=FEBRUARY + 8 * HOUR)
    install_windows(Planned(window))
    freeze_months.function(session, now=MARCH + DAY)
    install_windows(None)

    february, january = months_of(session, subject, newest=3, now=MARCH + DAY)[1:]

    assert january.uptime.maintenance == 2 * HOUR
    assert january.uptime.lasted[U] == 2 * HOUR
    assert february.uptime.maintenance == 8 * HOUR
    assert february.uptime.lasted[U] == timedelta()
    assert february.uptime.lasted[D] == 8 * HOUR


def test_history_outlives_its_spells(session: Session, subject: HealthCheck) -> None:
    freeze_months.function(session, now=MARCH + DAY)
    now = JANUARY + 900 * DAY
    whole = uptime_over(session, subject, since=JANUARY, until=MARCH, now=now)

    freeze_months.function(session, now=now)
    gone = forget_spells.function(session, now=now)

    assert gone == 4
    assert session.scalars(sa.select(RecordedSpell.ended_at)).all() == [None]
    assert uptime_over(session, subject, since=JANUARY, until=MARCH, now=now) == whole
    assert whole.lasted[U] == 10 * HOUR


def test_no_spell_is_forgotten_before_its_month_is_frozen(
    session: Session, subject: HealthCheck
) -> None:
    assert forget_spells.function(session, now=JANUARY + 900 * DAY) == 0


def test_the_present_month_is_told_and_not_frozen(session: Session, subject: HealthCheck) -> None:
    freeze_months.function(session, now=MARCH + 3 * DAY)

    months = months_of(session, subject, newest=2, now=MARCH + 3 * DAY)

    assert [(month.first, month.frozen) for month in months] == [
        (MARCH.date(), False),
        (FEBRUARY.date(), True),
    ]
    assert months[0].uptime.lasted[H] == 3 * DAY
    assert months[0].uptime.percent == 100


def test_a_gap_that_ours_was_is_coverage_and_never_more_than_a_hundred_percent(
    session: Session,
) -> None:
    subject = a_subject(session, now=JANUARY)
    turn(session, subject, H, UNKNOWN, H, at=JANUARY, every=10 * DAY)

    month = months_of(session, subject, newest=1, now=JANUARY + 30 * DAY)[0]

    assert month.uptime.percent == 100
    assert month.uptime.coverage == pytest.approx(100 * 20 / 30)

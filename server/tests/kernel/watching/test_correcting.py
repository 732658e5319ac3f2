"""Corrections: the past is what a person says it was; what stood there is kept."""

from collections.abc import Iterator
from datetime import datetime

import pytest
import sqlalchemy as sa
from mainstay_server.areas import health_checks
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.kernel.area import install
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.watching import (
    Correction,
    RecordedSpell,
    State,
    correct,
    freeze_months,
    list_corrections,
    months_of,
    uptime_over,
)
from sqlalchemy.orm import Session
from tests.kernel.watching.worlds import HOUR, MINUTE, NOON, UNKNOWN, D, H, U, a_subject, turn


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    install((health_checks.area,))
    yield
    install(())


@pytest.fixture
def subject(session: Session) -> HealthCheck:
    """Up at noon, down from one to two, degraded until three, and up since."""
    subject = a_subject(session)
    turn(session, subject, H, U, D, H, at=NOON, every=HOUR)
    return subject


def said(state: State, since: datetime, until: datetime) -> Correction:
    return Correction(state=state, since=since, until=until, reason="customers saw it", by="Alice")


def spells(session: Session) -> list[tuple[str, float, float | None]]:
    """State, start and end in hours after noon."""
    rows = session.scalars(
        sa.select(RecordedSpell).order_by(RecordedSpell.started_at, RecordedSpell.id)
    )
    return [
        (
            str(row.state),
            (row.started_at - NOON) / HOUR,
            None if row.ended_at is None else (row.ended_at - NOON) / HOUR,
        )
        for row in rows
        if row.started_at != row.ended_at
    ]


def test_an_outage_that_was_none_is_up_time(session: Session, subject: HealthCheck) -> None:
    now = NOON + 4 * HOUR

    correct(session, subject, said(H, NOON + HOUR, NOON + 2 * HOUR), now=now)

    assert spells(session) == [
        ("healthy", 0, 1),
        ("healthy", 1, 2),
        ("degraded", 2, 3),
        ("healthy", 3, None),
    ]
    assert uptime_over(session, subject, since=NOON, until=now, now=now).percent == 100


def test_a_range_that_cuts_spells_leaves_what_lies_outside(
    session: Session, subject: HealthCheck
) -> None:
    correct(
        session,
        subject,
        said(UNKNOWN, NOON + 1.5 * HOUR, NOON + 2.5 * HOUR),
        now=NOON + 4 * HOUR,
    )

    assert spells(session)[1:4] == [
        ("unhealthy", 1, 1.5),
        ("unknown", 1.5, 2.5),
        ("degraded", 2.5, 3),
    ]


def test_a_range_within_one_spell_cuts_it_in_two(session: Session, subject: HealthCheck) -> None:
    correct(session, subject, said(U, NOON + 0.25 * HOUR, NOON + 0.5 * HOUR), now=NOON + 4 * HOUR)

    assert spells(session)[:3] == [
        ("healthy", 0, 0.25),
        ("unhealthy", 0.25, 0.5),
        ("healthy", 0.5, 1),
    ]


def test_what_is_now_stays_and_goes_on(session: Session, subject: HealthCheck) -> None:
    now = NOON + 5 * HOUR

    correct(session, subject, said(U, NOON + 3.5 * HOUR, now), now=now)
    turn(session, subject, D, at=NOON + 6 * HOUR)

    assert spells(session)[3:] == [
        ("healthy", 3, 3.5),
        ("unhealthy", 3.5, 5),
        ("healthy", 5, 6),
        ("degraded", 6, None),
    ]


def test_what_stood_there_is_kept_with_who_said_otherwise(
    session: Session, subject: HealthCheck
) -> None:
    now = NOON + 4 * HOUR

    correct(session, subject, said(H, NOON + 1.5 * HOUR, NOON + 2.5 * HOUR), now=now)
    (correction,) = list_corrections(session, subject.id)

    assert (correction.made_by, correction.reason, correction.made_at) == (
        "Alice",
        "customers saw it",
        now,
    )
    assert [(spell["state"], spell["startedAt"][11:16]) for spell in correction.before] == [
        ("unhealthy", "13:30"),
        ("degraded", "14:00"),
    ]


def test_a_frozen_month_is_added_up_anew(session: Session, subject: HealthCheck) -> None:
    now = NOON.replace(month=5)
    freeze_months.function(session, now=now)
    before = months_of(session, subject, newest=3, now=now)[-1]

    correct(session, subject, said(H, NOON + HOUR, NOON + 2 * HOUR), now=now)
    after = months_of(session, subject, newest=3, now=now)[-1]

    assert (before.frozen, before.uptime.lasted[U]) == (True, HOUR)
    assert (after.frozen, after.uptime.lasted[U]) == (True, 0 * HOUR)
    assert after.uptime.lasted[H] == before.uptime.lasted[H] + HOUR


@pytest.mark.parametrize(
    ("since", "until", "word"),
    [
        (NOON + HOUR, NOON + 9 * HOUR, "of the past"),  # reaches beyond now
        (NOON + HOUR, NOON + HOUR, "of the past"),
        (NOON - MINUTE, NOON + HOUR, "begins"),  # nobody watched it then
    ],
)
def test_what_is_not_of_its_past_is_refused(
    session: Session, subject: HealthCheck, since: datetime, until: datetime, word: str
) -> None:
    before = spells(session)

    with pytest.raises(Invalid, match=word):
        correct(session, subject, said(H, since, until), now=NOON + 4 * HOUR)

    assert spells(session) == before

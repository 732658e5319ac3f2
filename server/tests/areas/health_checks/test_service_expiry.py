"""Ends of certificates and domains: one notice per threshold, renewal told once, then quiet."""

from datetime import datetime, timedelta

import pytest
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.schemas.bodies import HealthCheckChanges
from mainstay_server.areas.health_checks.service import checks, expiry
from mainstay_server.areas.health_checks.service.recording import record_results
from mainstay_server.contracts.health_checks import ExpiryMoved
from mainstay_server.kernel.watching import State
from sqlalchemy.orm import Session
from tests.areas.health_checks.worlds import GRACE, MINUTE, NOON, a_check, finished
from tests.conftest import Said

DAY = timedelta(days=1)
ENDS = NOON + 20 * DAY


def sees(session: Session, check: HealthCheck, ends_at: datetime, *, at: datetime) -> None:
    expiry.note_ends(session, check, {"certificate_ends_at": ends_at.timestamp()}, at=at)


def told(said: Said) -> list[tuple[str, int | None, str]]:
    return [(e.what, e.days, e.reason) for e in said() if isinstance(e, ExpiryMoved)]


def test_each_threshold_is_told_once_and_the_nearest_alone(session: Session, said: Said) -> None:
    check = a_check(session)
    days = []
    for hours in range(0, 20 * 24 + 12, 6):
        sees(session, check, ENDS, at=NOON + timedelta(hours=hours))
        days += [(hours // 24, what) for what in told(said)]

    assert days == [
        (6, ("certificate", 14, "")),
        (13, ("certificate", 7, "")),
        (17, ("certificate", 3, "")),
        (19, ("certificate", 1, "")),
    ]


def test_what_is_first_seen_late_is_told_at_its_nearest_threshold(
    session: Session, said: Said
) -> None:
    sees(session, a_check(session), ENDS, at=ENDS - 2 * DAY)

    assert told(said) == [("certificate", 3, "")]


def test_a_renewal_is_told_once_and_only_after_a_warning(session: Session, said: Said) -> None:
    check = a_check(session)
    sees(session, check, ENDS, at=ENDS - 5 * DAY)
    sees(session, check, ENDS + 90 * DAY, at=ENDS - 4 * DAY)
    sees(session, check, ENDS + 90 * DAY, at=ENDS - 4 * DAY + MINUTE)
    assert told(said) == [("certificate", 7, "")]

    for minutes in range(2, 6):
        sees(session, check, ENDS + 90 * DAY, at=ENDS - 4 * DAY + minutes * MINUTE)
    assert told(said) == [("certificate", None, f"renewed until {ENDS + 90 * DAY:%Y-%m-%d}")]

    quiet = a_check(session, number=2)
    sees(session, quiet, ENDS, at=NOON)
    sees(session, quiet, ENDS + 90 * DAY, at=NOON + MINUTE)
    assert told(said) == []
    assert quiet.certificate_ends_at == ENDS + 90 * DAY


def test_two_machines_with_two_certificates_are_told_of_once(session: Session, said: Said) -> None:
    check = a_check(session)
    for minutes in range(40):
        later = 90 * DAY if minutes % 2 else timedelta()
        sees(session, check, ENDS + later, at=ENDS - 5 * DAY + minutes * MINUTE)

    assert told(said) == [("certificate", 7, "")]


def test_thresholds_are_those_of_the_check(session: Session, said: Said) -> None:
    check = a_check(session)
    checks.change_check(session, check, HealthCheckChanges(expiry_days=[30]), now=NOON)
    said()

    sees(session, check, ENDS, at=NOON)
    sees(session, check, ENDS, at=ENDS - MINUTE)

    assert told(said) == [("certificate", 30, "")]


@pytest.mark.parametrize("how", ["pause", "target"])
def test_whoever_was_warned_is_told_when_nobody_looks_any_more(
    session: Session, said: Said, how: str
) -> None:
    check = a_check(session)
    sees(session, check, ENDS, at=ENDS - DAY)
    said()

    if how == "pause":
        checks.pause_check(session, check, now=ENDS)
    else:
        checks._change(session, check, {"url": "https://other.example/"}, now=ENDS)

    ((what, days, reason),) = told(said)
    assert (what, days) == ("certificate", None)
    assert reason in ("paused by hand", "another target is watched now")
    assert check.certificate_ends_at is None


def test_results_bring_the_ends_also_where_they_change_nothing_else(
    session: Session, said: Said
) -> None:
    check = a_check(session)
    facts = {"domain_ends_at": (NOON + 3 * DAY).timestamp()}
    for minutes in range(1, 4):
        at = NOON + minutes * MINUTE
        one = finished(check, State.HEALTHY, at=at, fence=check.fence, facts=facts)
        record_results(session, [one], grace_seconds=GRACE)
        session.refresh(check)

    assert told(said) == [("domain", 3, "")]
    assert check.domain_ends_at == NOON + 3 * DAY

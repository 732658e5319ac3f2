"""What browsers showed is kept once per outcome, for 30 days, and goes with its check."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from mainstay_server.areas.health_checks.models import HealthCheck, HealthState
from mainstay_server.areas.health_checks.schemas.orders import Finished
from mainstay_server.areas.health_checks.service import evidence
from mainstay_server.kernel import blobs
from sqlalchemy.orm import Session
from tests.areas.health_checks.worlds import NOON, a_check, finished

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def store() -> Iterator[None]:
    blobs.open_blobs("memory://")
    yield
    blobs.close_blobs()


def showing(check: HealthCheck, picture: bytes, state: HealthState, at: datetime) -> Finished:
    found = finished(check, state, at=at)
    assert found.result is not None
    return replace(found, result=replace(found.result, screenshot=picture))


def test_the_last_failure_and_the_last_success_are_kept_and_no_more(session: Session) -> None:
    check = a_check(session)
    for days, state in enumerate(("healthy", "unhealthy", "healthy", "degraded")):
        picture = f"{state} {days}".encode()
        evidence.keep_screenshots([showing(check, picture, HealthState(state), NOON + days * DAY)])

    assert evidence.find_screenshot(check.id, "success") == b"degraded 3"
    assert evidence.find_screenshot(check.id, "failure") == b"unhealthy 1"
    assert len(blobs.list_keys(evidence.FOLDER)) == 2
    assert evidence.find_screenshot(check.id, "../../secret") is None


def test_a_result_without_a_picture_keeps_the_one_before(session: Session) -> None:
    check = a_check(session)
    evidence.keep_screenshots([showing(check, b"before", HealthState.HEALTHY, NOON)])
    evidence.keep_screenshots([finished(check, HealthState.HEALTHY, at=NOON + DAY)])

    assert evidence.list_screenshots(check.id) == ["success"]


def test_pictures_go_after_thirty_days_and_with_their_check(session: Session) -> None:
    check, gone = a_check(session), a_check(session, number=2)
    evidence.keep_screenshots(
        [
            showing(check, b"old", HealthState.UNHEALTHY, NOON),
            showing(check, b"new", HealthState.HEALTHY, NOON + 20 * DAY),
            showing(gone, b"gone", HealthState.HEALTHY, NOON + 20 * DAY),
        ]
    )
    session.delete(gone)
    session.flush()

    removed = evidence.remove_old_screenshots(session, now=NOON + 31 * DAY)

    assert removed == 2
    assert evidence.list_screenshots(check.id) == ["success"]
    assert evidence.list_screenshots(gone.id) == []

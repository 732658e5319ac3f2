"""The API of the past: months, corrections with what stood there, and who may say so."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from mainstay_server.areas.health_checks import area
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.service import checks, recording
from mainstay_server.contracts.health_checks import HealthCheckCorrected
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import said_events
from mainstay_server.kernel.watching import State
from tests.areas.health_checks.worlds import GRACE, finished
from tests.world import World

HOUR = timedelta(hours=1)


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area)


@pytest.fixture
def noon() -> datetime:
    """Four hours ago, to the second."""
    return utc_now().replace(microsecond=0) - 4 * HOUR


@pytest.fixture
def check_id(world: World, noon: datetime) -> str:
    """A check that was down from one hour after noon to two hours after it."""
    with transaction() as session:
        check = HealthCheck(
            **world.instance.ids,
            default_of=world.instance.id,
            name="health",
            kind="http",
            url="https://shop.example/health",
            interval_seconds=3600,
            timeout_seconds=10,
            degraded_after_ms=2000,
            config={},
        )
        checks._add(session, check, now=noon)
        for hour, state in enumerate((State.HEALTHY, State.UNHEALTHY, State.HEALTHY)):
            one = finished(check, state, at=noon + hour * HOUR, took_ms=0)
            recording.record_results(session, [one], grace_seconds=GRACE)
        check.silent_at = None
        return check.id


def correction(noon: datetime, *, since: float = 1, until: float = 2) -> dict[str, str]:
    return {
        "state": "healthy",
        "from": (noon + since * HOUR).isoformat(),
        "to": (noon + until * HOUR).isoformat(),
        "reason": "A firewall of ours kept the probe out.",
    }


def test_a_correction_changes_uptime_and_keeps_what_stood_there(
    world: World, check_id: str, noon: datetime
) -> None:
    base = f"/api/instances/{world.instance.id}"
    path = f"{base}/health-checks/{check_id}/corrections"
    since = {"from": noon.isoformat()}
    before = world.alice.get(f"{base}/uptime", params=since).json()

    made = world.alice.post(path, json=correction(noon))
    after = world.alice.get(f"{base}/uptime", params=since).json()
    listed = world.alice.get(path).json()

    assert before["uptime"] == pytest.approx(75, abs=0.1)
    assert after["uptime"] == 100
    assert made.status_code == 201
    assert listed == {"corrections": [made.json()], "nextCursor": None}
    assert made.json()["by"] == "Alice"
    assert [(spell["state"], spell["reason"]) for spell in made.json()["before"]] == [
        ("unhealthy", "answered 503")
    ]


def test_a_correction_is_in_the_audit_log(world: World, check_id: str, noon: datetime) -> None:
    path = f"/api/instances/{world.instance.id}/health-checks/{check_id}/corrections"

    world.alice.post(path, json=correction(noon))

    with reading() as session:
        events = [event for _, event in said_events(session, after=0)]
    (said,) = [event for event in events if isinstance(event, HealthCheckCorrected)]
    assert (said.action(), said.target.name) == ("health_check.corrected", "health")
    assert said.details["reason"] == "A firewall of ours kept the probe out."


def test_only_administrators_say_what_the_past_was(
    world: World, check_id: str, noon: datetime
) -> None:
    path = f"/api/instances/{world.instance.id}/health-checks/{check_id}/corrections"

    assert world.bob.post(path, json=correction(noon)).status_code == 403
    assert world.bob.get(path).status_code == 200
    assert world.charlie.post(path, json=correction(noon)).status_code == 403
    assert world.charlie.get(path).status_code == 403


@pytest.mark.parametrize(("since", "until"), [(2, 1), (3, 9), (-1, 1)])
def test_what_is_not_of_its_past_is_refused(
    world: World, check_id: str, noon: datetime, since: int, until: int
) -> None:
    path = f"/api/instances/{world.instance.id}/health-checks/{check_id}/corrections"

    refused = world.alice.post(path, json=correction(noon, since=since, until=until))

    assert refused.status_code in (400, 422)
    assert world.alice.get(path).json()["corrections"] == []


def test_months_tell_uptime_and_coverage_newest_first(world: World, check_id: str) -> None:
    path = f"/api/instances/{world.instance.id}/health-checks/{check_id}/months"

    months = world.alice.get(path).json()["months"]

    assert months[0]["month"] == f"{utc_now():%Y-%m}"
    assert not any(month["frozen"] for month in months)
    assert all(0 <= month["uptime"] <= 100 for month in months if month["uptime"] is not None)
    assert world.charlie.get(path).status_code == 403

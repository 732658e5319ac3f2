"""The dialog that corrects the past: for administrators, with a reason, told on the page."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from mainstay_server.areas.health_checks import area
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.service import recording
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.watching import State
from tests.areas.health_checks.worlds import GRACE, finished
from tests.world import World

HOUR = timedelta(hours=1)


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area)


@pytest.fixture
def here(world: World) -> str:
    """The page of a check that has been down for two hours, which began an hour after it did."""
    body = {"url": "https://shop.example/", "name": "shop"}
    made = world.bob.post(f"/api/instances/{world.instance.id}/health-checks", json=body).json()
    with transaction() as session:
        check = session.get_one(HealthCheck, made["id"])
        check.state_since = utc_now() - 3 * HOUR
        for hours, state in ((3, State.HEALTHY), (2, State.UNHEALTHY)):
            one = finished(check, state, at=utc_now() - hours * HOUR, took_ms=0)
            recording.record_results(session, [one], grace_seconds=GRACE)
            check.silent_at = None
    return f"/dashboard/projects/{world.project}/health-checks/{made['id']}"


def form(*, since: float, until: float, reason: str = "a firewall of ours") -> dict[str, str]:
    now = utc_now().replace(tzinfo=None, microsecond=0)
    return {
        "state": "healthy",
        "since": (now - since * HOUR).isoformat(),
        "until": (now - until * HOUR).isoformat(),
        "reason": reason,
    }


def test_a_correction_by_the_form_is_a_spell_of_the_page(world: World, here: str) -> None:
    assert "What the past really was" in world.alice.get(here).text

    answer = world.alice.post(f"{here}/correct", data=form(since=1.5, until=0.5))

    assert answer.headers["location"] == here
    page = world.alice.get(here).text
    assert "a firewall of ours" in page


@pytest.mark.parametrize(
    "sent",
    [
        form(since=0.5, until=1.5),  # backwards
        form(since=1.5, until=-9),  # not past yet
        form(since=1.5, until=0.5, reason=""),
        form(since=1.5, until=0.5) | {"since": "yesterday"},
        form(since=1.5, until=0.5) | {"state": "splendid"},
    ],
)
def test_what_is_no_correction_is_said_to_be_none(
    world: World, here: str, sent: dict[str, str]
) -> None:
    answer = world.alice.post(f"{here}/correct", data=sent)

    assert answer.status_code in (303, 400)
    assert "a firewall of ours" not in world.alice.get(here).text


def test_members_and_strangers_correct_nothing(world: World, here: str) -> None:
    assert "What the past really was" not in world.bob.get(here).text
    for person in (world.bob, world.charlie):
        refused = person.post(f"{here}/correct", data=form(since=1.5, until=0.5))
        assert refused.status_code in (403, 404)

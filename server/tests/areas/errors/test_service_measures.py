"""What rules are told of errors: how many error events an hour, by instance."""

from datetime import timedelta
from typing import cast

from mainstay_server.areas.errors.service.measures import ERRORS
from mainstay_server.kernel.clock import utc_now
from sqlalchemy.orm import Session
from tests.areas.errors.conftest import an_event, report
from tests.world import World


def test_error_events_are_reckoned_by_the_hour(world: World) -> None:
    for number in range(3):
        report(world, an_event(event_id=f"{number:032x}"))
    later = utc_now() + timedelta(seconds=1)

    def read(minutes: int) -> dict[str, float]:
        since = later - timedelta(minutes=minutes)
        found = ERRORS.read(cast("Session", None), since=since, until=later, by_part=False)
        return {each.instance_id: each.values["errors.per_hour"] for each in found}

    assert read(60) == {world.instance.id: 3}
    assert read(15) == {world.instance.id: 12}

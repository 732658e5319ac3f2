"""What rules are told of errors: how many error events an hour, by instance."""

import json
from datetime import timedelta
from typing import cast

from mainstay_server.areas.errors.columns import ERROR_EVENTS
from mainstay_server.areas.errors.service.measures import ERRORS
from mainstay_server.kernel import columns
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.columns import Windows
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.measures import PastQuestion
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


def test_the_past_is_replayed_as_each_minute_would_have_been_told_it(world: World) -> None:
    minute = timedelta(minutes=1)
    now = utc_now().replace(second=0, microsecond=0)
    begin = now - timedelta(minutes=30)
    for ago in (29, 20, 19, 18, 3):
        row = {
            "project_id": world.instance.project_id,
            "instance_id": world.instance.id,
            "received_at": f"{now - ago * minute:%Y-%m-%d %H:%M:%S}",
        }
        columns.append_blocking(ERROR_EVENTS, json.dumps(row).encode(), rows=1)
    replay = ERRORS.replay
    assert replay is not None
    with reading() as session:
        for window in (minute, 15 * minute):
            asked = PastQuestion(
                measure="errors.per_hour",
                instance_id=world.instance.id,
                windows=Windows(width=window, since=begin, until=now),
            )
            past = replay(session, asked)
            for passed in range(1, 31):
                moment = begin + passed * minute
                told = ERRORS.read(session, since=moment - window, until=moment, by_part=False)
                assert past.at(moment) == list(told), (window, passed)

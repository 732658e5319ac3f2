"""A job that went silent is one alert of its own, which ends when it reports again."""

from datetime import timedelta

from mainstay_server.contracts.heartbeats import (
    HeartbeatDegraded,
    HeartbeatFlapping,
    HeartbeatMoved,
    HeartbeatRecovered,
    HeartbeatStopped,
    HeartbeatWentDown,
)
from mainstay_server.kernel.clock import utc_now
from tests.areas.alerts.conftest import Harbour

BEGAN = utc_now() - timedelta(hours=1)


def said(
    harbour: Harbour,
    kind: type[HeartbeatMoved],
    *,
    minutes: int = 0,
    beat: str = "b1",
    **more: object,
) -> HeartbeatMoved:
    return kind(
        **harbour.instance.ids,
        heartbeat_id=beat,
        name="Nightly backup",
        since=BEGAN + timedelta(minutes=minutes),
        reason="no report",
        **more,
    )


def test_each_heartbeat_opens_and_ends_its_own(harbour: Harbour) -> None:
    harbour.happens(said(harbour, HeartbeatWentDown), said(harbour, HeartbeatWentDown, beat="b2"))
    assert harbour.active() == ["heartbeat_missed:b1", "heartbeat_missed:b2"]

    harbour.happens(said(harbour, HeartbeatRecovered, minutes=5, troubled_since=BEGAN))
    assert harbour.active() == ["heartbeat_missed:b2"]


def test_one_word_takes_the_place_of_the_other(harbour: Harbour) -> None:
    for minute, kind in enumerate((HeartbeatDegraded, HeartbeatWentDown, HeartbeatFlapping)):
        harbour.happens(said(harbour, kind, minutes=minute))
        assert len(harbour.active()) == 1
    assert harbour.active() == ["heartbeat_missed:b1:flapping"]

    harbour.happens(said(harbour, HeartbeatStopped, minutes=9))
    assert harbour.active() == []


def test_a_late_word_of_an_older_state_opens_nothing(harbour: Harbour) -> None:
    harbour.happens(said(harbour, HeartbeatRecovered, minutes=5, troubled_since=BEGAN))
    harbour.happens(said(harbour, HeartbeatWentDown))

    assert harbour.active() == []

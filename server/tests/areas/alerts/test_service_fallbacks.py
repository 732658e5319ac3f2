"""A channel that cannot be told has somebody who is told instead: once, in order, marked so."""

import json
from datetime import timedelta
from typing import Any

from mainstay_server.areas.alerts.models import AlertChannel, AlertNotification
from mainstay_server.areas.alerts.service import channels, fallbacks
from mainstay_server.contracts.alerts import AlertChannelDisabled
from mainstay_server.kernel.database import transaction
from tests.areas.alerts.conftest import MINUTE, Harbour
from tests.servers.http import Answer, HttpReceiver

DAY = timedelta(days=1)


def change(harbour: Harbour, channel: AlertChannel, **what: Any) -> None:
    with transaction() as session:
        found = session.get_one(AlertChannel, channel.id)
        channels.change_channel(session, found, now=harbour.now, **what)


def two_channels(harbour: Harbour, receiver: HttpReceiver) -> tuple[AlertChannel, AlertChannel]:
    """A channel at `/first`, whose fallback at `/other` hears by itself of nothing."""
    first, other = (
        harbour.channel(f"{receiver.url}/first"),
        harbour.channel(f"{receiver.url}/other"),
    )
    change(harbour, first, fallback_id=other.id)
    return first, other


def told_at(receiver: HttpReceiver, path: str) -> list[dict[str, Any]]:
    return [json.loads(r.body) for r in receiver.requests if r.path == path]


def types(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


def critical_only(harbour: Harbour, channel: AlertChannel) -> None:
    change(harbour, channel, minimum_severity="critical")


def test_what_a_channel_gave_up_goes_to_its_fallback_once_and_says_whose_it_was(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    first, other = two_channels(harbour, http_receiver)
    critical_only(harbour, other)
    http_receiver.answer_at("/first", Answer(status=422))

    harbour.happens(harbour.regressed("one"))
    harbour.deliver()

    (instead,) = told_at(http_receiver, "/other")
    assert instead["insteadOf"] == f"webhook ({http_receiver.url}/first)"
    by_channel = {n.channel_id: n for n in harbour.notifications()}
    assert by_channel[first.id].state == "failed"
    assert by_channel[other.id].state == "delivered"
    assert by_channel[other.id].stands_in_for == by_channel[first.id].id
    for _ in range(3):
        harbour.later(DAY)
        harbour.deliver()
    assert len(told_at(http_receiver, "/other")) == 1


def test_when_a_receiver_is_gone_all_that_it_was_owed_goes_to_the_fallback_down_before_up(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    first, other = two_channels(harbour, http_receiver)
    http_receiver.answer_at("/first", Answer(status=503, headers={"Retry-After": "7200"}))
    change(harbour, other, enabled=False)
    harbour.happens(harbour.regressed("one"), harbour.new_issue("two"))
    harbour.goes_down()
    harbour.later(MINUTE)
    harbour.recovers()
    change(harbour, other, enabled=True)
    waiting = [n for n in harbour.notifications() if n.state == "waiting"]
    assert len(waiting) == 4

    http_receiver.answer_at("/first", Answer(status=410))
    harbour.later(3 * 60 * MINUTE)
    harbour.deliver()

    messages = told_at(http_receiver, "/other")
    of_outage = [m["type"] for m in messages if m["alert"]["type"] == "instance_down"]
    assert of_outage == ["alert.opened", "alert.resolved"]
    assert len(messages) == 4
    assert all(m["insteadOf"].startswith("webhook (") for m in messages)
    assert not harbour.reloaded(first).enabled
    assert len([e for e in harbour.said() if isinstance(e, AlertChannelDisabled)]) == 1


def test_a_channel_that_is_off_since_its_receiver_is_gone_is_stood_in_for_at_once(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    first, other = two_channels(harbour, http_receiver)
    critical_only(harbour, other)
    http_receiver.answer_at("/first", Answer(status=410))
    harbour.happens(harbour.regressed("one"))
    assert not harbour.reloaded(first).enabled
    http_receiver.clear()

    harbour.happens(harbour.new_issue("two"))
    harbour.deliver()

    assert told_at(http_receiver, "/first") == []
    (instead,) = told_at(http_receiver, "/other")
    assert "two" in instead["alert"]["title"]


def test_who_was_told_of_the_beginning_instead_is_told_of_the_end_as_well(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    first, other = two_channels(harbour, http_receiver)
    change(harbour, other, enabled=False)
    http_receiver.answer(Answer(status=422))
    harbour.goes_down()
    assert types(told_at(http_receiver, "/first")) == ["alert.opened"]
    change(harbour, other, enabled=True)
    with transaction() as session:
        lost = session.get_one(AlertNotification, harbour.notifications()[0].id)
        found = session.get_one(AlertChannel, first.id)
        fallbacks.fall_back(session, lost, found, now=harbour.now)
    harbour.deliver()
    assert types(told_at(http_receiver, "/other")) == ["alert.opened"]

    harbour.later(MINUTE)
    harbour.recovers()
    harbour.deliver()

    assert types(told_at(http_receiver, "/first")) == ["alert.opened", "alert.resolved"]
    assert types(told_at(http_receiver, "/other")) == ["alert.opened", "alert.resolved"]


def test_a_fallback_that_hears_of_it_anyway_is_told_once(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    two_channels(harbour, http_receiver)
    http_receiver.answer_at("/first", Answer(status=410))

    harbour.goes_down()
    harbour.later(MINUTE)
    harbour.recovers()
    harbour.deliver()

    messages = told_at(http_receiver, "/other")
    assert types(messages) == ["alert.opened", "alert.resolved"]
    assert "insteadOf" not in messages[0]


def test_channels_that_stand_in_for_each_other_do_not_go_round_in_circles(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    first, other = two_channels(harbour, http_receiver)
    change(harbour, other, fallback_id=first.id)
    for path in ("/first", "/other"):
        http_receiver.answer_at(path, Answer(status=422))

    harbour.goes_down()
    for _ in range(3):
        harbour.later(DAY)
        harbour.deliver()

    assert len(http_receiver.requests) == 2
    assert [n.state for n in harbour.notifications()] == ["failed", "failed"]


def test_what_a_person_switched_off_is_told_to_nobody(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    first, other = two_channels(harbour, http_receiver)
    critical_only(harbour, other)
    http_receiver.answer_at("/first", Answer(status=503))
    harbour.happens(harbour.regressed("one"))
    change(harbour, first, enabled=False)

    harbour.later(DAY)
    harbour.deliver()
    harbour.happens(harbour.new_issue("two"))

    assert told_at(http_receiver, "/other") == []


def test_a_fallback_whose_own_receiver_is_gone_passes_on_what_it_gets(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    _, other = two_channels(harbour, http_receiver)
    last = harbour.channel(f"{http_receiver.url}/last")
    change(harbour, other, fallback_id=last.id)
    change(harbour, last, fallback_id=other.id)  # a circle, which ends all the same
    for path in ("/first", "/other"):
        http_receiver.answer_at(path, Answer(status=410))
    harbour.happens(harbour.regressed("one"))
    for channel in (other, last):
        critical_only(harbour, channel)
    http_receiver.clear()

    harbour.happens(harbour.new_issue("two"))
    for _ in range(3):
        harbour.later(DAY)
        harbour.deliver()

    (instead,) = told_at(http_receiver, "/last")
    assert "two" in instead["alert"]["title"]
    assert len(http_receiver.requests) == 1


def told_instead(harbour: Harbour, receiver: HttpReceiver) -> tuple[AlertChannel, AlertChannel]:
    """Two channels, of which the other alone heard that something is down."""
    first, other = two_channels(harbour, receiver)
    critical_only(harbour, other)
    receiver.answer_at("/first", Answer(status=422))
    harbour.degrades()
    harbour.deliver()
    receiver.answer_at("/first", Answer())
    assert types(told_at(receiver, "/other")) == ["alert.opened"]
    return first, other


def recovered(harbour: Harbour, receiver: HttpReceiver) -> list[str]:
    harbour.later(MINUTE)
    harbour.recovers()
    harbour.deliver()
    return types(told_at(receiver, "/other"))


def test_who_was_told_instead_hears_the_end_once_while_the_channel_is_there(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    told_instead(harbour, http_receiver)
    assert recovered(harbour, http_receiver) == ["alert.opened", "alert.resolved"]


def test_who_was_told_instead_hears_the_end_though_the_channel_was_switched_off(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    first, _ = told_instead(harbour, http_receiver)
    change(harbour, first, enabled=False)
    assert recovered(harbour, http_receiver) == ["alert.opened", "alert.resolved"]


def test_who_was_told_instead_hears_the_end_though_the_channel_has_another_fallback(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    first, _ = told_instead(harbour, http_receiver)
    change(harbour, first, fallback_id="")
    assert recovered(harbour, http_receiver) == ["alert.opened", "alert.resolved"]


def test_who_was_told_instead_hears_the_end_though_the_channel_was_removed(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    first, _ = told_instead(harbour, http_receiver)
    with transaction() as session:
        found = session.get_one(AlertChannel, first.id)
        channels.remove_channel(session, found, now=harbour.now)
    assert recovered(harbour, http_receiver) == ["alert.opened", "alert.resolved"]


def test_who_was_told_instead_hears_of_what_took_its_place_and_of_no_end(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    told_instead(harbour, http_receiver)
    harbour.later(MINUTE)
    harbour.goes_down()  # which the other hears by itself
    assert types(told_at(http_receiver, "/other")) == ["alert.opened", "alert.opened"]

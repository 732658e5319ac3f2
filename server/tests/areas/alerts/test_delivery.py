"""How messages leave: so many a minute, signed with two secrets for a day, resent when dead."""

import json
from datetime import timedelta

import pytest
from mainstay_server.areas.alerts.models import AlertChannel
from mainstay_server.areas.alerts.service import channels, dead_letters, notifications, rate_limit
from mainstay_server.contracts.alerts import AlertChannelSecretRotated, AlertNotificationResent
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.problems import Conflict, Invalid
from tests.areas.alerts.conftest import MINUTE, Harbour
from tests.areas.alerts.test_reactions import verifies
from tests.servers.http import Answer, HttpReceiver


@pytest.fixture(autouse=True)
def _many_tests_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "MOST_WAITING_TESTS", 100)


def change(harbour: Harbour, channel: AlertChannel, **what: object) -> None:
    with transaction() as session:
        found = session.get_one(AlertChannel, channel.id)
        channels.change_channel(session, found, now=harbour.now, **what)  # type: ignore[arg-type]


def send_tests(harbour: Harbour, channel: AlertChannel, count: int) -> None:
    """Send so many tests, which go the way of alerts and are gathered by nobody."""
    with transaction() as session:
        found = session.get_one(AlertChannel, channel.id)
        for _ in range(count):
            notifications.send_test(session, found, now=harbour.now)
    harbour.deliver()


def test_what_is_over_the_limit_waits_its_turn_and_nothing_is_lost(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    channel = harbour.channel(http_receiver.url)
    change(harbour, channel, per_minute=6)

    send_tests(harbour, channel, 8)
    arrived = [len(http_receiver.requests)]
    for _ in range(9):
        harbour.later(timedelta(seconds=10))
        harbour.deliver()
        arrived.append(len(http_receiver.requests))

    assert arrived == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8]
    keys = [request.headers["idempotency-key"] for request in http_receiver.requests]
    assert len(set(keys)) == 8
    assert {(n.state, n.attempts) for n in harbour.notifications()} == {("delivered", 1)}


def test_a_try_that_failed_takes_another_turn(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    channel = harbour.channel(http_receiver.url)
    change(harbour, channel, per_minute=1)
    http_receiver.answer(Answer(status=503))

    send_tests(harbour, channel, 2)
    for _ in range(5):
        harbour.later(MINUTE)
        harbour.deliver()

    assert len(http_receiver.requests) == 3
    assert [n.state for n in harbour.notifications()] == ["delivered", "delivered"]


def test_a_service_that_says_what_it_takes_is_told_no_faster(harbour: Harbour) -> None:
    hook = {"webhookUrl": "https://discord.com/api/webhooks/1/a"}
    channel = harbour.channel_of("discord", hook)
    assert rate_limit.limit_of(channel) == 30
    change(harbour, channel, per_minute=5)
    assert rate_limit.limit_of(harbour.reloaded(channel)) == 5
    assert rate_limit.limit_of(harbour.channel("https://hooks.example/a")) == 0


def test_for_a_day_after_a_rotation_both_secrets_sign_and_then_the_new_one_alone(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    channel = harbour.channel(http_receiver.url)
    old = channel.secret
    with transaction() as session:
        found = session.get_one(AlertChannel, channel.id)
        until = channels.rotate_secret(session, found, now=harbour.now)
        new = found.secret
    assert until == harbour.now + timedelta(hours=24)

    harbour.goes_down()
    harbour.later(timedelta(hours=25))
    harbour.recovers()

    down, up = http_receiver.requests
    assert verifies(down, old)
    assert verifies(down, new)
    assert not verifies(up, old)
    assert verifies(up, new)
    (said,) = (e for e in harbour.said() if isinstance(e, AlertChannelSecretRotated))
    assert "whsec" not in str(said)


def test_what_does_not_sign_has_no_secret_to_rotate(harbour: Harbour) -> None:
    channel = harbour.channel(email="team@ships.example")
    with transaction() as session, pytest.raises(Conflict, match="only webhooks"):
        channels.rotate_secret(session, session.get_one(AlertChannel, channel.id), now=harbour.now)


def test_all_dead_letters_are_sent_again_under_their_old_keys_in_their_old_order(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    channel = harbour.channel(http_receiver.url)
    off = harbour.channel(f"{http_receiver.url}/off")
    http_receiver.answer_at("/", Answer(status=422))
    http_receiver.answer_at("/off", Answer(status=422))
    harbour.goes_down()
    harbour.recovers()
    change(harbour, off, enabled=False)
    assert [n.state for n in harbour.notifications()] == ["failed"] * 4
    before = {r.headers["idempotency-key"] for r in http_receiver.requests if r.path == "/"}
    http_receiver.clear()

    with transaction() as session:
        done = dead_letters.resend_all(
            session, project_id=harbour.instance.project_id, now=harbour.now
        )
    harbour.deliver()

    assert (done.resent, done.left) == (2, 0)
    assert [json.loads(r.body)["type"] for r in http_receiver.requests] == [
        "alert.opened",
        "alert.resolved",
    ]
    assert {r.headers["idempotency-key"] for r in http_receiver.requests} == before
    states = {(n.channel_id == channel.id, n.state) for n in harbour.notifications()}
    assert states == {(True, "delivered"), (False, "failed")}
    assert len([e for e in harbour.said() if isinstance(e, AlertNotificationResent)]) == 2


def test_a_call_resends_so_many_and_says_how_many_are_left(
    harbour: Harbour, http_receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "MOST_RESENT_AT_ONCE", 3)
    channel = harbour.channel(http_receiver.url)
    http_receiver.answer_at("/", Answer(status=422))
    send_tests(harbour, channel, 5)

    with transaction() as session:
        done = dead_letters.resend_all(
            session,
            project_id=harbour.instance.project_id,
            channel_id=channel.id,
            now=harbour.now,
        )

    assert (done.resent, done.left) == (3, 2)


def test_a_fallback_hears_of_the_same_instances_and_is_another_channel(harbour: Harbour) -> None:
    channel = harbour.channel("https://hooks.example/a")
    for nobody in (channel.id, "0193a5c2-7d1e-7c6b-9a3f-2f7d4c1b8e90"):
        with pytest.raises(Invalid, match="fallbackId"):
            change(harbour, channel, fallback_id=nobody)
    wide = harbour.channel("https://hooks.example/b", project_wide=True)
    change(harbour, channel, fallback_id=wide.id)
    with pytest.raises(Invalid):
        change(harbour, wide, fallback_id=channel.id)
    with transaction() as session:
        channels.remove_channel(session, session.get_one(AlertChannel, wide.id), now=harbour.now)
    assert harbour.reloaded(channel).fallback_id == ""

"""From what others say to what people read, over real HTTP and real SMTP."""

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from mainstay_server.areas.alerts.models import AlertRule, AlertType, Severity
from mainstay_server.areas.alerts.providers import webhook
from mainstay_server.areas.alerts.schemas import AlertNotificationDue, Parcel
from mainstay_server.areas.alerts.service import channels, notifications, parcels, rules
from mainstay_server.contracts.alerts import (
    AlertChannelDisabled,
    AlertOpened,
    AlertResolved,
)
from mainstay_server.contracts.errors import IssueStatusChanged
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.events.deliveries import claim_for_sending
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.settings import override_settings
from pydantic import SecretStr
from tests.areas.alerts.conftest import MINUTE, Harbour
from tests.servers.http import Answer, HttpReceiver, Received
from tests.servers.smtp import SmtpServer

HOUR = timedelta(hours=1)


def told(receiver: HttpReceiver) -> list[tuple[str, str]]:
    """What kind of message about which type arrived, in order."""
    bodies: list[dict[str, Any]] = [json.loads(request.body) for request in receiver.requests]
    return [(body["type"], body["alert"]["type"]) for body in bodies]


def keys(receiver: HttpReceiver) -> list[str]:
    return [request.headers["idempotency-key"] for request in receiver.requests]


def verifies(request: Received, secret: str) -> bool:
    """The check of the Standard Webhooks specification, written from its text."""
    key = base64.b64decode(secret.split("_", 1)[1])
    content = b".".join(
        [
            request.headers["webhook-id"].encode(),
            request.headers["webhook-timestamp"].encode(),
            request.body,
        ]
    )
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    versions = (part.split(",", 1) for part in request.headers["webhook-signature"].split(" "))
    return any(v == "v1" and hmac.compare_digest(s, expected) for v, s in versions)


def use_mail(smtp: SmtpServer) -> None:
    override_settings(
        SmtpSettings(smtp_host=smtp.host, smtp_port=smtp.port, smtp_from="mainstay@ships.example")
    )


def test_an_outage_is_told_of_once_and_so_is_its_end(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    channel = harbour.channel(f"{http_receiver.url}/hook")

    harbour.goes_down()
    harbour.later(12 * MINUTE)
    harbour.recovers()
    harbour.deliver()

    down, up = http_receiver.requests
    page = f"alerts/{harbour.alerts()[0].id}?instance=production"
    assert json.loads(down.body) == {
        "type": "alert.opened",
        "timestamp": "2026-03-01T12:00:00.000Z",
        "alert": {
            "id": harbour.alerts()[0].id,
            "type": "instance_down",
            "severity": "critical",
            "title": "inspections production is down",
            "message": "It answered 500.\nhttps://inspections.example/health",
            "status": "active",
            "createdAt": "2026-03-01T12:00:00.000Z",
            "resolvedAt": None,
        },
        "instance": {
            "id": harbour.instance.id,
            "environment": "production",
            "url": "https://inspections.example",
        },
        "project": {"slug": "inspections", "name": "Inspections"},
        "url": f"http://127.0.0.1:8000/dashboard/projects/inspections/{page}",
        "runbookUrl": f"http://127.0.0.1:8000/dashboard/projects/inspections/{page}#runbook",
    }
    ended = json.loads(up.body)
    assert "runbookUrl" not in ended
    assert ended["type"] == "alert.resolved"
    assert ended["alert"]["resolvedAt"] == "2026-03-01T12:12:00.000Z"
    assert ended["alert"]["resolution"] == "It is healthy again after 12 min."
    assert verifies(down, channel.secret)
    assert verifies(up, channel.secret)
    assert not verifies(up, "whsec_" + base64.b64encode(b"another").decode())
    assert [n.state for n in harbour.notifications()] == ["delivered", "delivered"]


def test_hearing_twice_that_it_is_down_opens_one_alert_and_tells_nobody_twice(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)

    harbour.goes_down()
    harbour.goes_down()

    (alert,) = harbour.alerts()
    assert alert.count == 2
    assert told(http_receiver) == [("alert.opened", "instance_down")]


def test_getting_worse_is_one_message_and_getting_well_another(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)

    harbour.degrades()
    harbour.later(MINUTE)
    harbour.goes_down()
    harbour.later(MINUTE)
    harbour.recovers()

    assert told(http_receiver) == [
        ("alert.opened", "instance_degraded"),
        ("alert.opened", "instance_down"),
        ("alert.resolved", "instance_down"),
    ]
    degraded, down = harbour.alerts()
    assert json.loads(http_receiver.requests[1].body)["alert"]["supersedes"] == degraded.id
    assert harbour.active() == []
    ends = [event for event in harbour.said() if isinstance(event, AlertResolved)]
    assert [(e.alert_id, e.superseded_by) for e in ends] == [(degraded.id, down.id), (down.id, "")]


def test_who_hears_only_of_outages_hears_that_one_became_a_slowness(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(f"{http_receiver.url}/all")
    harbour.channel(f"{http_receiver.url}/critical", minimum=Severity.CRITICAL)

    harbour.goes_down()
    http_receiver.clear()
    harbour.later(MINUTE)
    harbour.degrades()

    by_path = {r.path: json.loads(r.body)["type"] for r in http_receiver.requests}
    assert by_path == {"/all": "alert.opened", "/critical": "alert.resolved"}
    assert len(http_receiver.requests) == 2


def test_an_app_that_is_down_is_never_called_resolved_because_a_rule_is_off(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    about = (harbour.instance.organization_id, harbour.instance.project_id, harbour.instance.id)
    with transaction() as session:
        off = {"enabled": False}
        rules.change_rule(session, about, AlertType.INSTANCE_DOWN, off, now=harbour.now)

    harbour.degrades()
    harbour.later(MINUTE)
    harbour.goes_down()

    assert told(http_receiver) == [("alert.opened", "instance_degraded")]
    assert harbour.active() == []


def test_an_outage_that_nobody_watches_any_more_is_closed_with_the_reason(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    harbour.goes_down()
    harbour.later(MINUTE)
    harbour.is_not_watched_any_more()

    assert harbour.active() == []
    assert harbour.alerts()[0].resolution == (
        "Its health is not watched now: the health check was paused."
    )
    assert told(http_receiver)[-1] == ("alert.resolved", "instance_down")


@pytest.mark.parametrize(("after", "stands"), [("resolved", 0), ("ignored", 0), ("unresolved", 1)])
def test_taking_an_issue_in_hand_ends_its_alert_without_another_message(
    harbour: Harbour, http_receiver: HttpReceiver, after: str, stands: int
) -> None:
    harbour.channel(http_receiver.url)
    harbour.happens(harbour.new_issue("a"), harbour.new_issue("b"))
    harbour.later(MINUTE)
    harbour.jobs_run()
    decision = IssueStatusChanged(
        organization_id=harbour.instance.organization_id,
        project_id=harbour.instance.project_id,
        issue_id="a",
        title="KeyError: a",
        before="unresolved",
        after=after,
    )
    harbour.happens(decision)

    assert len(harbour.active()) == 1 + stands
    assert told(http_receiver) == [("alert.opened", "new_issue")] * 2


def test_a_late_word_of_an_older_state_opens_nothing(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    harbour.later(5 * MINUTE)
    harbour.recovers()

    harbour.now -= 2 * MINUTE  # the outage that had ended before
    harbour.goes_down()

    assert harbour.alerts() == []


def test_down_comes_before_up_also_when_the_first_try_fails(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    http_receiver.answer(Answer(status=500), Answer(status=500))

    harbour.goes_down()
    harbour.later(timedelta(milliseconds=100))
    harbour.recovers()
    assert told(http_receiver) == [("alert.opened", "instance_down")]
    for _ in range(3):
        harbour.later(HOUR)
        harbour.deliver()

    assert [kind for kind, _ in told(http_receiver)] == [
        "alert.opened",
        "alert.opened",
        "alert.opened",
        "alert.resolved",
    ]
    first, second, third, last = keys(http_receiver)
    assert first == second == third != last
    bodies = {request.body for request in http_receiver.requests[:3]}
    assert len(bodies) == 1, "every try says the same"
    assert [(n.state, n.attempts) for n in harbour.notifications()] == [
        ("delivered", 3),
        ("delivered", 1),
    ]


def test_a_receiver_that_asks_for_a_pause_gets_it(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    channel = harbour.channel(http_receiver.url)
    http_receiver.answer(Answer(status=429, headers={"Retry-After": "1800"}, body=b"slow down"))

    harbour.goes_down()
    harbour.later(29 * MINUTE)
    harbour.deliver()
    assert len(http_receiver.requests) == 1
    assert harbour.reloaded(channel).last_error == "The receiver answered 429: slow down"

    harbour.later(2 * MINUTE)
    harbour.deliver()
    assert len(http_receiver.requests) == 2
    assert len(set(keys(http_receiver))) == 1
    assert harbour.reloaded(channel).last_error == ""


def test_a_receiver_that_is_down_or_hangs_up_gets_the_message_when_it_is_back(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    http_receiver.answer(Answer(close=True))
    harbour.goes_down()
    http_receiver.stop()
    harbour.later(HOUR)
    harbour.deliver()
    (waiting,) = harbour.notifications()
    assert (waiting.state, waiting.attempts) == ("waiting", 2)
    assert "refused the connection" in waiting.last_error

    http_receiver.start()
    harbour.later(HOUR)
    harbour.deliver()

    assert [n.state for n in harbour.notifications()] == ["delivered"]
    assert len(set(keys(http_receiver))) == 1


def test_a_receiver_that_is_gone_for_good_switches_its_channel_off_and_says_so(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    channel = harbour.channel(http_receiver.url)
    http_receiver.answer(Answer(status=410))

    harbour.goes_down()
    harbour.later(MINUTE)
    harbour.recovers()

    assert len(http_receiver.requests) == 1
    found = harbour.reloaded(channel)
    assert not found.enabled
    assert "410" in found.disabled_reason
    assert found.failing_since is None
    assert [e.channel_id for e in harbour.said() if isinstance(e, AlertChannelDisabled)] == [
        channel.id
    ]


def test_a_refusal_is_a_dead_letter_at_once_and_can_be_resent_under_its_old_key(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    channel = harbour.channel(http_receiver.url)
    http_receiver.answer(Answer(status=422, body=b"unknown\nroom"))

    harbour.goes_down()
    harbour.later(HOUR)
    harbour.deliver()
    (dead,) = harbour.notifications()
    assert (dead.state, dead.last_error) == ("failed", "The receiver answered 422: unknown room")
    assert harbour.reloaded(channel).failing_since is not None
    assert len(http_receiver.requests) == 1

    with transaction() as session:
        notifications.resend(
            session, dead.id, project_id=harbour.instance.project_id, now=harbour.now
        )
    harbour.deliver()

    assert harbour.notifications()[0].state == "delivered"
    assert len(set(keys(http_receiver))) == 1
    assert harbour.reloaded(channel).failing_since is None


def test_a_process_killed_after_sending_sends_again_under_the_same_key(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    harbour.goes_down()
    http_receiver.clear()
    harbour.later(MINUTE)
    with transaction() as session:
        alert = harbour.alerts()[0]
        notifications.announce_resolved(session, alert.id, now=harbour.now)
    with transaction() as session:
        (claimed,) = claim_for_sending(session, now=harbour.now, lease=MINUTE, limit=1)
        assert isinstance(claimed.event, AlertNotificationDue)
        (parcel,) = parcels.find_parcels(session, [claimed.event], now=harbour.now)
    assert isinstance(parcel, Parcel)
    # What a kill between the answer and its being written down leaves: sent, and still waiting.
    webhook.send(
        parcel.notice,
        config=parcel.config,
        secrets=parcel.secrets,
        delivery_id=claimed.id,
        now=harbour.now,
    )

    harbour.later(5 * MINUTE)  # the lease of the dead process has run out
    harbour.deliver()

    first, second = http_receiver.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body
    harbour.later(HOUR)
    harbour.deliver()
    assert len(http_receiver.requests) == 2


def test_a_sender_called_again_after_it_was_written_down_sends_nothing(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    harbour.goes_down()
    with transaction() as session:
        # As if the process had died before the outbox was told, but after the notification was.
        session.execute(sa.text("UPDATE outbox_deliveries SET status='waiting', done_at=NULL"))
    harbour.later(HOUR)
    harbour.deliver()

    assert len(http_receiver.requests) == 1
    assert len(harbour.alerts()) == 1


def test_one_channel_that_fails_holds_up_no_other(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    http_receiver.answer_at("/broken", Answer(status=503))
    harbour.channel(f"{http_receiver.url}/broken")
    harbour.channel(f"{http_receiver.url}/fine")

    harbour.goes_down()
    harbour.later(MINUTE)
    harbour.recovers()

    assert [r.path for r in http_receiver.requests].count("/fine") == 2


def test_project_wide_channels_hear_too_and_those_of_other_instances_do_not(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(f"{http_receiver.url}/project", project_wide=True)
    harbour.channel(f"{http_receiver.url}/critical", minimum=Severity.CRITICAL)

    harbour.degrades()

    assert [r.path for r in http_receiver.requests] == ["/project"]


def test_a_channel_made_after_the_beginning_does_not_hear_of_the_end(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.goes_down()
    harbour.channel(http_receiver.url)
    harbour.later(MINUTE)
    harbour.recovers()

    assert http_receiver.requests == []


def test_mail_has_a_subject_that_says_it_all_and_both_parts(
    harbour: Harbour, smtp: SmtpServer
) -> None:
    use_mail(smtp)
    harbour.channel(email="team@ships.example")

    harbour.goes_down()
    harbour.later(12 * MINUTE)
    harbour.recovers()

    down, up = smtp.messages
    assert down.subject == "[critical] inspections production is down"
    assert up.subject == "[resolved] inspections production is down"
    assert down.recipients == ("team@ships.example",)
    assert down.sender == "mainstay@ships.example"
    assert "It answered 500." in down.text
    assert "It answered 500." in down.html
    assert "It is healthy again after 12 min." in up.text
    assert "/dashboard/projects/inspections/alerts" in up.html
    assert down.message["References"] == up.message["References"]
    assert down.message["Message-ID"] != up.message["Message-ID"]


def test_mail_that_is_put_off_arrives_once_under_one_message_id(
    harbour: Harbour, smtp: SmtpServer
) -> None:
    use_mail(smtp)
    harbour.channel(email="team@ships.example")
    smtp.refuse("451 4.3.2 try later", "451 4.3.2 try later")

    harbour.goes_down()
    for _ in range(3):
        harbour.later(HOUR)
        harbour.deliver()

    (mail,) = smtp.messages
    (notification,) = harbour.notifications()
    assert mail.message["Message-ID"] == f"<{notification.delivery_id}@ships.example>"
    assert (notification.state, notification.attempts) == ("delivered", 3)


def test_mail_that_is_refused_for_good_is_a_dead_letter(harbour: Harbour, smtp: SmtpServer) -> None:
    use_mail(smtp)
    channel = harbour.channel(email="team@ships.example")
    smtp.refuse("554 5.6.0 no such mail here")

    harbour.goes_down()

    (notification,) = harbour.notifications()
    assert notification.state == "failed"
    assert "554" in notification.last_error
    assert harbour.reloaded(channel).failing_since is not None
    assert harbour.reloaded(channel).enabled


def test_an_address_that_takes_no_mail_switches_its_channel_off_and_says_so(
    harbour: Harbour, smtp: SmtpServer
) -> None:
    use_mail(smtp)
    channel = harbour.channel(email="nobody@ships.example")
    smtp.refuse_recipient("nobody@ships.example", "550 5.1.1 no such user")

    harbour.goes_down()

    (notification,) = harbour.notifications()
    assert notification.state == "failed"
    assert "550" in notification.last_error
    off = harbour.reloaded(channel)
    assert not off.enabled
    assert "Give an address that takes mail." in off.disabled_reason


def test_without_a_mail_server_mails_wait_and_say_why(harbour: Harbour) -> None:
    override_settings(SmtpSettings(smtp_host="", smtp_password=SecretStr("")))
    harbour.channel(email="team@ships.example")

    harbour.goes_down()

    (notification,) = harbour.notifications()
    assert notification.state == "waiting"
    assert "MAINSTAY_SMTP_HOST" in notification.last_error


def test_a_message_about_an_issue_leads_to_the_issue(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)

    harbour.happens(harbour.new_issue("one"))

    (message,) = http_receiver.requests
    page = "http://127.0.0.1:8000/dashboard/projects/inspections/errors/one?instance=production"
    assert json.loads(message.body)["url"] == page


def test_a_storm_of_new_issues_is_one_message_at_once_and_one_digest(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)

    harbour.happens(*[harbour.new_issue(f"issue-{i}") for i in range(100)])

    assert len(http_receiver.requests) == 1
    flood = harbour.alerts()[-1]
    assert flood.identity == "new_issue:flood"
    assert flood.count == 90
    harbour.later(MINUTE)
    harbour.jobs_run()

    _, gathered = http_receiver.requests
    assert json.loads(gathered.body)["digest"]["count"] == 10
    opened = [e for e in harbour.said() if isinstance(e, AlertOpened)]
    assert len(opened) == 11


def test_an_issue_that_came_back_is_a_warning(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)

    harbour.happens(harbour.regressed("one"), harbour.new_issue("two\nlines"))

    first, second = harbour.alerts()
    assert (first.type, first.severity) == ("issue_regressed", "warning")
    assert (second.type, second.severity) == ("new_issue", "info")
    assert second.title == "inspections production: KeyError: two lines"


def test_limits_that_refuse_again_and_again_are_one_warning_whoever_it_is(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    harbour.refuses(99)
    assert harbour.active() == []

    harbour.refuses(1204)
    harbour.refuses(100, address="198.51.100.4")

    (alert,) = harbour.alerts()
    assert (alert.type, alert.severity, alert.count) == ("rate_limit_exceeded", "warning", 2)
    assert alert.title == "inspections production refuses by its rate limits"
    assert alert.message.startswith(
        "203.0.113.9 was refused 1,204 times in ten minutes, with 1 API keys."
    )
    assert told(http_receiver) == [("alert.opened", "rate_limit_exceeded")]


def test_the_rule_says_how_many_refusals_are_worth_a_warning(harbour: Harbour) -> None:
    about = (harbour.instance.organization_id, harbour.instance.project_id, None)
    with transaction() as session:
        rules.change_rule(
            session, about, AlertType.RATE_LIMIT_EXCEEDED, {"threshold": 5000}, now=harbour.now
        )
    harbour.refuses(4999)
    assert harbour.active() == []
    harbour.refuses(5000)
    assert harbour.active() == ["rate_limit_exceeded"]


def test_a_removed_channel_is_told_nothing_more(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    channel = harbour.channel(http_receiver.url)
    http_receiver.answer(Answer(status=503))
    harbour.goes_down()

    with transaction() as session:
        found = channels.get_channel(session, harbour.instance.project_id, None, channel.id)
        channels.remove_channel(session, found, now=harbour.now)
    harbour.later(HOUR)
    harbour.deliver()

    assert len(http_receiver.requests) == 1
    assert harbour.notifications() == []


def test_no_rule_needs_a_row(harbour: Harbour) -> None:
    harbour.goes_down()
    with transaction() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(AlertRule)) == 0
    assert harbour.active() == ["instance_down:check"]


def test_a_receiver_that_nobody_finds_for_a_while_is_gone_and_one_that_comes_back_is_not(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    channel = harbour.channel(f"{http_receiver.url}/hook")
    http_receiver.answer(*[Answer(status=404)] * 9)
    harbour.goes_down()
    for _ in range(9):
        harbour.later(HOUR)
        harbour.deliver()
    assert harbour.reloaded(channel).enabled
    assert [n.state for n in harbour.notifications()] == ["delivered"]

    http_receiver.answer(*[Answer(status=404)] * 10)
    harbour.recovers()
    for _ in range(9):
        harbour.later(HOUR)
        harbour.deliver()

    channel = harbour.reloaded(channel)
    assert not channel.enabled
    assert "404" in channel.disabled_reason
    assert len([e for e in harbour.said() if isinstance(e, AlertChannelDisabled)]) == 1
    assert len(http_receiver.requests) == 20

"""The scorecard believes what arrived, not what is configured."""

from datetime import timedelta

from mainstay_server.areas.alerts import readiness
from mainstay_server.areas.alerts.models import AlertType, Severity
from mainstay_server.areas.alerts.service import channels, notifications, rules
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.readiness import (
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    ReadinessCheck,
)
from tests.areas.alerts.conftest import Harbour
from tests.servers.http import Answer, HttpReceiver


def asked(harbour: Harbour, check: ReadinessCheck) -> Outcome:
    with reading() as session:
        return check.ask(session, harbour.instance, harbour.now)


def test_without_a_channel_nobody_is_told(harbour: Harbour) -> None:
    finding = asked(harbour, readiness.somebody_is_told)

    assert isinstance(finding, Finding)
    assert finding.fix_url == "/dashboard/projects/inspections/alerts/channels?instance=production"
    assert isinstance(asked(harbour, readiness.a_channel_delivers), NotApplicable)
    assert isinstance(asked(harbour, readiness.no_channel_fails), NotApplicable)


def test_a_channel_counts_once_something_really_arrived(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    channel = harbour.channel(f"{http_receiver.url}/hook")
    assert isinstance(asked(harbour, readiness.somebody_is_told), Passed)
    assert isinstance(asked(harbour, readiness.a_channel_delivers), Finding)

    with transaction() as session:
        found = channels.get_channel(session, harbour.instance.project_id, None, channel.id)
        notifications.send_test(session, found, now=harbour.now)
    harbour.deliver()
    with reading() as session:
        delivered_at = channels.get_channel(
            session, harbour.instance.project_id, None, channel.id
        ).last_delivered_at
    assert delivered_at is not None
    harbour.now = delivered_at

    assert isinstance(asked(harbour, readiness.a_channel_delivers), Passed)
    harbour.later(timedelta(days=31))
    assert isinstance(asked(harbour, readiness.a_channel_delivers), Finding)


def test_a_channel_that_fails_is_found(harbour: Harbour, http_receiver: HttpReceiver) -> None:
    harbour.channel(http_receiver.url)
    assert isinstance(asked(harbour, readiness.no_channel_fails), Passed)
    http_receiver.answer(Answer(status=400, body=b"no such room"))

    harbour.goes_down()

    finding = asked(harbour, readiness.no_channel_fails)
    assert isinstance(finding, Finding)
    assert "no such room" in finding.problem


def test_a_rule_that_is_off_leaves_nobody_told(harbour: Harbour) -> None:
    harbour.channel("https://hooks.example/", minimum=Severity.CRITICAL)
    about = (harbour.instance.organization_id, harbour.instance.project_id, None)
    with transaction() as session:
        off = {"enabled": False}
        rules.change_rule(session, about, AlertType.INSTANCE_DOWN, off, now=harbour.now)

    finding = asked(harbour, readiness.somebody_is_told)

    assert isinstance(finding, Finding)
    assert "instance_down" in finding.fix

"""One alert per health check: each opens and ends its own, and flapping stands for all of it."""

import pytest
from mainstay_server.contracts.health_checks import (
    HealthCheckFlapping,
    HealthCheckRecovered,
    HealthCheckSettled,
    HealthCheckStopped,
    HealthCheckWentDown,
)
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.settings import override_settings
from tests.areas.alerts.conftest import MINUTE, Harbour
from tests.servers.http import HttpReceiver
from tests.servers.smtp import SmtpServer


def use_mail(smtp: SmtpServer) -> None:
    override_settings(
        SmtpSettings(smtp_host=smtp.host, smtp_port=smtp.port, smtp_from="mainstay@ships.example")
    )


def test_two_checks_of_one_instance_open_and_end_each_their_own(harbour: Harbour) -> None:
    harbour.check("database", HealthCheckWentDown)
    harbour.check("queue", HealthCheckWentDown)
    assert harbour.active() == ["instance_down:database", "instance_down:queue"]

    harbour.later(MINUTE)
    harbour.check("database", HealthCheckRecovered, troubled_since=harbour.now - MINUTE)
    assert harbour.active() == ["instance_down:queue"]
    harbour.later(MINUTE)
    harbour.check("queue", HealthCheckStopped)

    assert harbour.active() == []


def test_a_title_names_the_check_unless_it_stands_for_the_instance(harbour: Harbour) -> None:
    harbour.check("database", HealthCheckWentDown)
    harbour.goes_down()

    assert [alert.title for alert in harbour.alerts()] == [
        "inspections production: database is down",
        "inspections production is down",
    ]


def test_flapping_takes_the_place_of_what_was_told_and_is_told_once(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    harbour.check("database", HealthCheckWentDown)
    harbour.later(MINUTE)
    harbour.check("database", HealthCheckFlapping, state="unhealthy")

    assert harbour.active() == ["instance_down:database:flapping"]
    harbour.later(60 * MINUTE)
    harbour.check("database", HealthCheckSettled, state="healthy", troubled_since=harbour.now)

    assert harbour.active() == []
    assert [alert.title for alert in harbour.alerts()][1:] == [
        "inspections production: database is flapping"
    ]
    assert len(http_receiver.requests) == 3  # down, flapping, over


@pytest.mark.parametrize(
    ("state", "active"),
    [("unhealthy", "instance_down:database"), ("degraded", "instance_degraded:database")],
)
def test_what_settles_in_trouble_is_told_as_what_it_is(
    harbour: Harbour, state: str, active: str
) -> None:
    harbour.check("database", HealthCheckFlapping, state="unhealthy")
    harbour.later(60 * MINUTE)

    harbour.check("database", HealthCheckSettled, state=state, troubled_since=None)

    assert harbour.active() == [active]


def test_one_mail_counts_and_names_what_is_behind_a_parent(
    harbour: Harbour, smtp: SmtpServer
) -> None:
    use_mail(smtp)
    harbour.channel(email="oncall@ships.example")

    names = [f"berth-{number:02}" for number in range(10)]
    harbour.check("router", HealthCheckWentDown, unreachable=50, unreachable_names=names)

    (mail,) = smtp.messages
    assert "50 health checks behind it cannot be reached and are muted: berth-00" in mail.text
    assert "berth-09 and 40 more." in mail.text


def test_an_older_word_of_one_check_is_none_and_says_nothing_of_another(harbour: Harbour) -> None:
    harbour.check("database", HealthCheckWentDown)
    harbour.later(-MINUTE)

    harbour.check("database", HealthCheckRecovered, troubled_since=harbour.now)
    harbour.check("queue", HealthCheckWentDown)

    assert harbour.active() == ["instance_down:queue", "instance_down:database"]

"""Six words for how much an alert matters, understood at every door and by every channel."""

import json
from dataclasses import replace

import pytest
from mainstay_server.areas.alerts.models import AlertType, Severity
from mainstay_server.areas.alerts.providers import email, pagerduty
from mainstay_server.areas.alerts.service import firing
from mainstay_server.contracts.alerts.severities import COLOURS, TONES
from mainstay_server.kernel.database import transaction
from tests.areas.alerts.conftest import NOTICE, Harbour
from tests.servers.http import HttpReceiver


def test_severities_are_in_order_and_medium_and_warning_are_one_rank() -> None:
    assert [(word.value, word.rank) for word in Severity] == [
        ("info", 0),
        ("low", 1),
        ("medium", 2),
        ("warning", 2),
        ("high", 3),
        ("critical", 4),
    ]
    assert Severity.MEDIUM.equals == (Severity.MEDIUM, Severity.WARNING)
    assert Severity.HIGH.equals == (Severity.HIGH,)


@pytest.mark.parametrize("severity", Severity)
def test_every_severity_has_its_colours_and_its_words_elsewhere(severity: Severity) -> None:
    notice = replace(NOTICE, severity=severity)
    message = email.mail(notice, to="a@b.example", sender="m@b.example", delivery_id="1")
    assert f"[{severity}]" in message["Subject"]
    (event,) = pagerduty.events(notice, routing_key="k" * 32)
    assert event["payload"]["severity"] in ("critical", "error", "warning", "info")
    assert severity in COLOURS
    assert severity in TONES


def test_a_channel_hears_of_its_severity_and_above(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    for least in (Severity.LOW, Severity.MEDIUM, Severity.WARNING, Severity.HIGH):
        harbour.channel(f"{http_receiver.url}/{least}", minimum=least)
    for severity in Severity:
        with transaction() as session:
            named = firing.Firing(
                type=AlertType.STORAGE_LIMIT, about=severity, title=severity, message=""
            )
            firing.open_alert(session, harbour.instance, named, severity, now=harbour.now)
    harbour.deliver()

    heard: dict[str, list[str]] = {}
    for request in http_receiver.requests:
        title = json.loads(request.body)["alert"]["title"]
        heard.setdefault(request.path[1:], []).append(title)
    above = ["medium", "warning", "high", "critical"]
    assert {path: sorted(titles) for path, titles in heard.items()} == {
        "low": sorted(["low", *above]),
        "medium": sorted(above),
        "warning": sorted(above),
        "high": ["critical", "high"],
    }

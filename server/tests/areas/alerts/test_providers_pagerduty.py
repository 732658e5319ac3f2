"""PagerDuty: which incidents are opened and closed, and what its answers mean."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from mainstay_server.areas.alerts.models import Change
from mainstay_server.areas.alerts.providers import pagerduty
from mainstay_server.areas.alerts.service import notifications
from mainstay_server.areas.alerts.settings import AlertSettings
from mainstay_server.kernel import outbound
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.events import Refused, RetryLater
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.settings import override_settings
from tests.areas.alerts.conftest import MINUTE, NOON, NOTICE, Harbour
from tests.servers.http import Answer, HttpReceiver

KEY = "0123456789abcdef0123456789abcdef"
CONFIG = {"routingKey": KEY}
TAKEN = Answer(status=202, body=b'{"status":"success"}')


@pytest.fixture
def receiver(http_receiver: HttpReceiver) -> HttpReceiver:
    override_settings(AlertSettings(pagerduty_url=f"{http_receiver.url}/v2/enqueue"))
    http_receiver.answer_at("/v2/enqueue", TAKEN)
    return http_receiver


@pytest.fixture
def _way_out() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


def post(receiver: HttpReceiver, answer: Answer) -> None:
    receiver.answer(answer)
    pagerduty.send(NOTICE, config=CONFIG, secrets=(), delivery_id="d", now=NOON)


def enqueued(receiver: HttpReceiver) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in receiver.requests]


def open_incidents(receiver: HttpReceiver) -> set[str]:
    """What PagerDuty would show after all that it was sent."""
    found: set[str] = set()
    for event in enqueued(receiver):
        change = found.add if event["event_action"] == "trigger" else found.discard
        change(event["dedup_key"])
    return found


def test_an_outage_opens_an_incident_and_its_end_closes_it(
    harbour: Harbour, receiver: HttpReceiver
) -> None:
    harbour.channel_of("pagerduty", CONFIG)

    harbour.goes_down()
    harbour.later(12 * MINUTE)
    harbour.recovers()

    opened, closed = enqueued(receiver)
    key = f"mainstay-{harbour.alerts()[0].id}"
    alerts = "http://127.0.0.1:8000/dashboard/projects/inspections/alerts"
    page = f"{alerts}/{harbour.alerts()[0].id}?instance=production"
    runbook = f"{page}#runbook"
    assert opened == {
        "routing_key": KEY,
        "event_action": "trigger",
        "dedup_key": key,
        "payload": {
            "summary": "inspections production is down",
            "source": "https://inspections.example",
            "severity": "critical",
            "timestamp": "2026-03-01T12:00:00.000Z",
            "component": "production",
            "group": "inspections",
            "class": "instance_down",
            "custom_details": {
                "message": "It answered 500.\nhttps://inspections.example/health",
                "project": "Inspections",
            },
        },
        "client": "Mainstay",
        "client_url": page,
        "links": [
            {"href": page, "text": "Open in Mainstay"},
            {"href": runbook, "text": "Runbook"},
            {"href": "https://inspections.example", "text": "Open the app"},
        ],
    }
    assert closed == {"routing_key": KEY, "event_action": "resolve", "dedup_key": key}
    assert [n.state for n in harbour.notifications()] == ["delivered", "delivered"]


def test_a_slowness_that_becomes_an_outage_leaves_no_incident_behind(
    harbour: Harbour, receiver: HttpReceiver
) -> None:
    harbour.channel_of("pagerduty", CONFIG)

    harbour.degrades()
    harbour.later(MINUTE)
    harbour.goes_down()
    _, down = harbour.alerts()
    assert open_incidents(receiver) == {f"mainstay-{down.id}"}
    harbour.later(MINUTE)
    harbour.recovers()

    assert open_incidents(receiver) == set()


def test_a_test_closes_the_incident_that_it_opens(harbour: Harbour, receiver: HttpReceiver) -> None:
    channel = harbour.channel_of("pagerduty", CONFIG)
    with transaction() as session:
        notifications.send_test(session, channel, now=NOON)
    harbour.deliver()

    assert [event["event_action"] for event in enqueued(receiver)] == ["trigger", "resolve"]
    assert enqueued(receiver)[0]["payload"]["severity"] == "info"
    assert open_incidents(receiver) == set()


def test_a_second_try_is_the_same_incident(harbour: Harbour, receiver: HttpReceiver) -> None:
    harbour.channel_of("pagerduty", CONFIG)
    receiver.answer(Answer(status=500), Answer(close=True))

    for _ in range(3):
        harbour.goes_down() if not receiver.requests else harbour.deliver()
        harbour.later(timedelta(hours=2))

    assert len(receiver.requests) == 3
    assert len({request.body for request in receiver.requests}) == 1
    assert [n.state for n in harbour.notifications()] == ["delivered"]


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_severities_are_those_of_pagerduty(severity: str) -> None:
    (event,) = pagerduty.events(replace(NOTICE, severity=severity), routing_key=KEY)
    assert event["payload"]["severity"] == severity


def test_a_title_is_cut_to_what_a_summary_may_hold() -> None:
    (event,) = pagerduty.events(replace(NOTICE, title="x" * 2000), routing_key=KEY)
    assert len(event["payload"]["summary"]) == 1024


def test_an_end_names_only_its_own_alert() -> None:
    ended = replace(NOTICE, change=Change.RESOLVED, supersedes="earlier")
    (event,) = pagerduty.events(ended, routing_key=KEY)
    assert event["dedup_key"] == "mainstay-alert"


@pytest.mark.usefixtures("_way_out")
@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(receiver: HttpReceiver, status: int) -> None:
    with pytest.raises(RetryLater, match=str(status)) as refusal:
        post(receiver, Answer(status=status, headers={"Retry-After": "60"}))
    assert refusal.value.after_seconds == 60


@pytest.mark.usefixtures("_way_out")
def test_an_event_that_is_not_valid_is_refused_in_pagerdutys_words(
    receiver: HttpReceiver,
) -> None:
    body = (
        b'{"status":"invalid event","message":"Event object is invalid",'
        b'"errors":["\'routing_key\' is unknown"]}'
    )
    with pytest.raises(Refused, match="Event object is invalid: 'routing_key' is unknown"):
        post(receiver, Answer(status=400, body=body))


@pytest.mark.usefixtures("_way_out")
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message": 1, "errors": 2}'])
def test_a_refusal_without_words_is_one_too(receiver: HttpReceiver, body: bytes) -> None:
    with pytest.raises(Refused, match="answered 400"):
        post(receiver, Answer(status=400, body=body))


def test_the_key_is_masked() -> None:
    assert pagerduty.shown(CONFIG) == "PagerDuty …cdef"


@pytest.mark.parametrize("key", ["", "short", KEY + "0", KEY[:-1] + "-", KEY[:-1] + "é"])
def test_what_is_no_key_is_refused_with_the_next_step(key: str) -> None:
    with pytest.raises(Invalid, match="copy it from the service's page") as refusal:
        pagerduty.checked({"routingKey": key})
    assert refusal.value.errors[0]["field"] == "config.routingKey"

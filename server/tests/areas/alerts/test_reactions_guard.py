"""Abuse and plans that are nearly used up are told of once each, and end."""

import json
from datetime import timedelta
from typing import Any

from mainstay_server.contracts.abuse import AbuseDetected, BanLifted
from mainstay_server.contracts.quotas import QuotaThresholdReached
from tests.areas.alerts.conftest import NOON, Harbour
from tests.areas.alerts.test_reactions_keys import settle
from tests.servers.http import HttpReceiver

DAY = timedelta(days=1)
ATTACKER = "198.51.100.4/32"


def abuse(harbour: Harbour, **changed: Any) -> AbuseDetected:
    facts = {
        "rule": "key_spraying",
        "offender": ATTACKER,
        "evidence": "25 different keys were refused within ten minutes",
        "action": "banned",
        "until": NOON + timedelta(minutes=15),
        **changed,
    }
    return AbuseDetected(**harbour.instance.ids, **facts)


def quota(harbour: Harbour, percent: int, **changed: Any) -> QuotaThresholdReached:
    facts = {
        **harbour.instance.ids,
        "quota_subject": "organization",
        "meter": "calls",
        "plan": "FREE",
        "percent": percent,
        "used": percent,
        "limit": 100,
        "period_begins": NOON,
        "period_ends": NOON + 31 * DAY,
        **changed,
    }
    return QuotaThresholdReached(**facts)


def test_abuse_is_told_once_with_what_was_done_and_ends_with_the_ban(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)

    harbour.happens(abuse(harbour), abuse(harbour))

    assert harbour.active() == [f"abuse_detected:{ATTACKER}"]
    message = json.loads(http_receiver.requests[0].body)["alert"]
    assert message["title"] == f"inspections production: key spraying from {ATTACKER}"
    assert message["message"] == (
        "25 different keys were refused within ten minutes."
        " It is kept out until 2026-03-01 12:15 UTC."
    )
    harbour.happens(BanLifted(**harbour.instance.ids, ban_id="b", network=ATTACKER))
    assert harbour.active() == []


def test_what_nobody_ends_makes_room_after_a_day(harbour: Harbour) -> None:
    harbour.happens(abuse(harbour, action="simulated", until=None), quota(harbour, 80))
    assert len(harbour.active()) == 2
    harbour.later(DAY)
    settle(harbour)
    assert harbour.active() == []


def test_each_threshold_of_a_plan_is_an_alert_and_the_last_is_critical(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)

    harbour.happens(quota(harbour, 80), quota(harbour, 100))

    told = [json.loads(request.body)["alert"] for request in http_receiver.requests]
    assert [alert["severity"] for alert in told] == ["warning", "critical"]
    assert told[1]["title"] == "inspections production: 100 % of calls are used up"


def test_what_concerns_the_whole_organization_is_told_of_at_its_first_instance(
    harbour: Harbour,
) -> None:
    harbour.happens(quota(harbour, 90, instance_id="", project_id="", meter="storage_bytes"))
    assert harbour.active() == ["storage_limit:organization:storage_bytes:90"]

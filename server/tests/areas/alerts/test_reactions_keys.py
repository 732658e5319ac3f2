"""A leaked key is an alert of its own; keys that are due are one alert, not a flood."""

import json
from datetime import timedelta
from typing import Any

from mainstay_server.areas.alerts import jobs
from mainstay_server.contracts.api_keys import ApiKeyExpiring, ApiKeyLeaked, ApiKeyNeedsRotation
from mainstay_server.kernel.database import transaction
from tests.areas.alerts.conftest import NOON, Harbour
from tests.servers.http import HttpReceiver

DAY = timedelta(days=1)


def facts(harbour: Harbour, name: str) -> dict[str, Any]:
    return {
        "organization_id": harbour.instance.organization_id,
        "project_id": harbour.instance.project_id,
        "instance_id": harbour.instance.id,
        "api_key_id": f"id of {name}",
        "name": name,
        "hint": "mst_production_api_…wlnJ",
        "owner": "acme",
    }


def old(harbour: Harbour, name: str) -> ApiKeyNeedsRotation:
    return ApiKeyNeedsRotation(**facts(harbour, name), created_at=NOON - 90 * DAY, after_days=90)


def leaked(harbour: Harbour, name: str) -> ApiKeyLeaked:
    return ApiKeyLeaked(**facts(harbour, name), url="https://code.example/a.py", source="content")


def test_each_leaked_key_is_a_critical_alert_that_says_where_it_was_found(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)

    harbour.happens(leaked(harbour, "billing"), leaked(harbour, "reports"))

    assert harbour.active() == ["api_key_leaked:id of billing", "api_key_leaked:id of reports"]
    message = json.loads(http_receiver.requests[0].body)["alert"]
    assert message["severity"] == "critical"
    assert message["title"] == "inspections production: an API key was found in public"
    assert message["message"] == (
        "billing of acme (mst_production_api_…wlnJ) was found at https://code.example/a.py and"
        " revoked at once. Look at what it was used for, and give its user a new one."
    )
    harbour.later(3 * DAY)
    settle(harbour)
    assert len(harbour.active()) == 2, "until somebody says that it is over"


def test_keys_that_are_due_are_one_alert_that_makes_room_after_a_day(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    expiring = ApiKeyExpiring(**facts(harbour, "ending"), ends_at=NOON + 7 * DAY)

    harbour.happens(old(harbour, "first"), old(harbour, "second"), expiring)

    assert harbour.active() == ["api_key_rotation", "api_key_rotation:expiring"]
    harbour.later(timedelta(minutes=1))
    harbour.jobs_run()
    assert len(http_receiver.requests) == 2
    assert harbour.alerts()[0].message == (
        "first (mst_production_api_…wlnJ) is older than 90 days."
        " The page of the API keys lists all that are due."
    )
    harbour.later(DAY)
    settle(harbour)
    assert harbour.active() == []
    assert len(http_receiver.requests) == 2, "its end is told to nobody"
    harbour.happens(old(harbour, "third"))
    assert len(http_receiver.requests) == 3


def settle(harbour: Harbour) -> None:
    with transaction() as session:
        jobs.settle_key_reminders.function(session, now=harbour.now)
    harbour.deliver()

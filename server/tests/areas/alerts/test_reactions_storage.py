"""A bucket that is nearly full is told of once each, and ends when there is room."""

import json
from typing import Any

from mainstay_server.contracts.storage import StorageLimitEnded, StorageLimitReached
from tests.areas.alerts.conftest import Harbour
from tests.servers.http import HttpReceiver


def reached(harbour: Harbour, percent: int, owner: str = "") -> StorageLimitReached:
    return StorageLimitReached(
        **whose(harbour, owner), percent=percent, what="bytes", used=percent * 10, limit=1000
    )


def whose(harbour: Harbour, owner: str) -> dict[str, Any]:
    return {**harbour.instance.ids, "bucket_id": "b1", "name": "files", "owner": owner}


def test_each_threshold_is_an_alert_the_last_is_critical_and_all_end_together(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)

    harbour.happens(reached(harbour, 80), reached(harbour, 80), reached(harbour, 100))

    told = [json.loads(request.body)["alert"] for request in http_receiver.requests]
    assert [alert["severity"] for alert in told] == ["warning", "critical"]
    assert told[0]["type"] == "storage_limit"
    assert told[0]["title"] == "inspections production: 80 % of the storage of files are used"
    assert "800 of 1,000 bytes" in told[0]["message"]
    assert harbour.active() == ["storage_limit:b1::80", "storage_limit:b1::100"]

    harbour.happens(StorageLimitEnded(**whose(harbour, "")))
    assert harbour.active() == []


def test_one_owners_room_is_told_apart_from_the_buckets(harbour: Harbour) -> None:
    harbour.happens(reached(harbour, 80), reached(harbour, 80, "acme/" + "x" * 180))
    assert len(harbour.active()) == 2
    harbour.happens(StorageLimitEnded(**whose(harbour, "")))
    assert len(harbour.active()) == 1

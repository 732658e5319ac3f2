"""Alerts by hand: queued at once, delivered until the server has them, and never in the way."""

import json
import logging
from pathlib import Path

import mainstay
import pytest
from mainstay._internal import alerts, client
from mainstay._internal.alert_box import MOST_WAITING, AlertBox, SentAlert
from mainstay._internal.clock import Clock
from mainstay._internal.message import Origin
from tests.app_servers import PATIENCE_SECONDS
from tests.capture_server import Capture, a_server

WIRE = Path(__file__).parents[2] / "wire" / "alerts"
AT, SENT_AT = 1_795_229_999.12, 1_795_230_000.0


def sent(server: Capture) -> list[dict[str, object]]:
    return [
        alert
        for batch in server.batches
        if batch.path == "/api/7/alerts/"
        for alert in batch.message["alerts"]
    ]


def test_a_sent_alert_becomes_exactly_the_golden_message(monkeypatch: pytest.MonkeyPatch) -> None:
    walls = iter([AT, SENT_AT])
    clock = Clock(wall=lambda: next(walls), monotonic=lambda: 100.0)
    golden = json.loads((WIRE / "full.json").read_text())
    with a_server() as server:
        origin = Origin("production", "inspections@1.4.2", "web-1")
        client.connect(server.dsn, origin=origin, clock=clock)
        assert mainstay.send_alert(
            "error",
            "Payments are refused",
            "The provider answered 503 five times in a row.",
            {"provider": "acme", "attempts": 5},
        )
        assert mainstay.flush(PATIENCE_SECONDS)

    (batch,) = server.batches
    assert "sentry_key=a1b2c3" in batch.headers["x-sentry-auth"]
    made = batch.message["alerts"][0].pop("id")
    assert len(made) == 32
    golden["alerts"][0].pop("id")
    assert batch.message == golden


def test_an_alert_that_was_not_taken_is_sent_again_under_its_id() -> None:
    with a_server(lambda nth: (503 if nth == 0 else 200, {})) as server:
        mainstay.init(server.dsn, flush_interval_seconds=0.05)
        mainstay.send_alert("critical", "first")
        mainstay.send_alert("low", "second")
        assert mainstay.flush(PATIENCE_SECONDS)

    first, *rest = server.batches
    again = [alert["id"] for batch in rest for alert in batch.message["alerts"]]
    assert [alert["id"] for alert in first.message["alerts"]] == again[
        : len(first.message["alerts"])
    ]
    assert {alert["title"] for alert in sent(server)} == {"first", "second"}


def test_without_a_dsn_nothing_is_sent_and_nothing_raised() -> None:
    assert mainstay.send_alert("high", "nobody hears") is False


def test_what_is_too_long_is_cut_and_an_unknown_severity_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with a_server() as server, caplog.at_level(logging.WARNING, "mainstay"):
        mainstay.init(server.dsn)
        facts = {f"fact {number}": "v" * 900 for number in range(30)}
        mainstay.send_alert("catastrophic", "t" * 900, "m" * 9000, facts)
        assert mainstay.flush(PATIENCE_SECONDS)

    (alert,) = sent(server)
    assert alert["severity"] == "warning"
    assert "no severity" in caplog.text
    assert (len(str(alert["title"])), len(str(alert["message"]))) == (200, 1500)
    metadata = alert["metadata"]
    assert isinstance(metadata, dict)
    assert len(metadata) == alerts.MOST_METADATA
    assert {len(value) for value in metadata.values()} == {500}


def test_the_first_alerts_are_kept_when_there_are_too_many() -> None:
    box = AlertBox(path="/", key="k", origin=Origin("production", None, None))
    kept = [box.add(SentAlert(str(n), AT, "low", str(n), "", {})) for n in range(MOST_WAITING + 2)]
    assert kept == [True] * MOST_WAITING + [False] * 2
    parcel = box.take()
    assert [alert.id for alert in parcel.alerts[:2]] == ["0", "1"]
    parcel.put_back()
    assert [alert.id for alert in box.take().alerts[:2]] == ["0", "1"]
    assert len(box) == MOST_WAITING - 50

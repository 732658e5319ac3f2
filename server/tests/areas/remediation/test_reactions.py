"""From an alert to what is done about it, over real HTTP, in virtual time."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator

import pytest
from mainstay_server.areas.remediation.models import RunState
from mainstay_server.contracts.alerts import AlertSeen, find_alert
from mainstay_server.contracts.remediation import (
    RemediationFailed,
    RemediationStarted,
    RemediationSucceeded,
)
from mainstay_server.kernel import outbound
from mainstay_server.kernel.ports import forget_answers, install_answers
from tests.servers.http import Answer, HttpReceiver, http_receiver

from .worlds import MINUTE, SECOND, Harbour

__all__ = ["http_receiver"]


@pytest.fixture
def harbour(shared_memory: None, database: None) -> Iterator[Harbour]:
    outbound.open_outbound(allow_private=True)
    yield Harbour()
    outbound.close_outbound()


def test_a_webhook_is_sent_signed_and_the_end_of_the_alert_heals(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    action = harbour.allow(url=f"{http_receiver.url}/restart")
    alert = harbour.alert()
    (request,) = http_receiver.requests
    key = request.headers["webhook-id"]
    assert request.headers["idempotency-key"] == key
    signed = f"{key}.{request.headers['webhook-timestamp']}.".encode() + request.body
    secret = base64.b64decode(action.secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"
    body = json.loads(request.body)
    assert (body["action"], body["alert"]["id"], body["run"]["try"]) == ("restart-shop", alert, 1)
    assert harbour.runs()[0].state == RunState.VERIFYING
    harbour.now += 10 * SECOND
    harbour.over(alert)
    (run,) = harbour.runs()
    assert (run.state, run.tries) == (RunState.HEALED, 1)
    assert [type(event) for event in harbour.said()] == [RemediationStarted, RemediationSucceeded]


def test_what_it_cannot_mend_is_tried_three_times_and_then_said(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.allow(url=f"{http_receiver.url}/restart", verify_seconds=60, pause_seconds=30)
    harbour.alert()
    harbour.later(60 * MINUTE)
    assert len(http_receiver.requests) == 3
    assert len({request.headers["webhook-id"] for request in http_receiver.requests}) == 3
    (run,) = harbour.runs()
    assert (run.state, run.tries) == (RunState.FAILED, 3)
    started, failed = harbour.said()
    assert isinstance(failed, RemediationFailed)
    assert failed.tries == 3
    assert "not over 60 s" in failed.reason
    assert started.run_id == failed.run_id


def test_a_receiver_that_refuses_uses_its_tries_up_and_no_more(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    http_receiver.answer(*(Answer(status=status) for status in (503, 500, 404)))
    harbour.allow(url=f"{http_receiver.url}/restart")
    harbour.alert()
    harbour.later(20 * MINUTE)
    assert len(http_receiver.requests) == 3
    (run,) = harbour.runs()
    assert (run.state, run.tries) == (RunState.FAILED, 3)
    assert "404" in run.reason


def test_nobody_listening_is_a_try_that_failed(harbour: Harbour) -> None:
    harbour.allow(most_tries=1)
    harbour.alert()
    (run,) = harbour.runs()
    assert run.state == RunState.FAILED


def test_in_a_storm_of_twenty_three_begin_and_the_rest_is_said(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    for number in range(20):
        harbour.allow(
            name=f"restart-{number}",
            url=f"{http_receiver.url}/{number}",
            matchers=f'alertname="type-{number}"',
        )
    for number in range(20):
        harbour.alert(kind=f"type-{number}")
    states = [run.state for run in harbour.runs()]
    assert states.count(RunState.VERIFYING) == 3
    assert states.count(RunState.LIMITED) == 17
    assert len(http_receiver.requests) == 3
    failed = [event for event in harbour.said() if isinstance(event, RemediationFailed)]
    assert len(failed) == 17
    assert {event.tries for event in failed} == {0}
    assert "as many as may" in failed[0].reason


def test_one_action_rests_on_an_instance_between_two_alerts(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.allow(url=f"{http_receiver.url}/restart", cooldown_seconds=300)
    harbour.storm(20)
    assert len(http_receiver.requests) == 1
    harbour.over(harbour.runs()[0].alert_id)
    harbour.now += 299 * SECOND
    harbour.alert()
    assert len(http_receiver.requests) == 1
    harbour.now += 2 * SECOND
    harbour.alert()
    assert len(http_receiver.requests) == 2


def test_a_dry_run_does_nothing_but_write_down(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.allow(url=f"{http_receiver.url}/restart", dry_run=True)
    for _ in range(5):
        harbour.alert()
    assert http_receiver.requests == []
    assert {run.state for run in harbour.runs()} == {RunState.DRY}
    assert harbour.said() == []


def test_only_what_fits_is_on_and_begins_by_itself_does(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.allow(name="other", url=http_receiver.url, matchers='alertname="backup_failed"')
    harbour.allow(name="asked", url=http_receiver.url, automatic=False)
    harbour.allow(name="off", url=http_receiver.url, enabled=False)
    harbour.alert()
    assert http_receiver.requests == []
    assert harbour.runs() == []


@pytest.mark.parametrize("kind", ["external_alert", "app_alert"])
def test_what_comes_from_outside_begins_nothing_by_itself(
    harbour: Harbour, http_receiver: HttpReceiver, kind: str
) -> None:
    harbour.allow(url=http_receiver.url, matchers='severity="critical"')
    harbour.alert(kind=kind)
    assert http_receiver.requests == []
    assert harbour.runs() == []


def test_an_alert_heard_twice_begins_one_run(harbour: Harbour, http_receiver: HttpReceiver) -> None:
    harbour.allow(url=f"{http_receiver.url}/restart")
    opened = harbour._opened("one", "instance_down")
    harbour.hear(opened, opened)
    assert len(http_receiver.requests) == 1
    assert len(harbour.runs()) == 1


def a_seen(harbour: Harbour, alert_id: str, *, over: bool) -> AlertSeen:
    return AlertSeen(
        id=alert_id,
        project_id=harbour.instance.project_id,
        instance_id=harbour.instance.id,
        type="instance_down",
        severity="critical",
        title="shop is down",
        labels={"alertname": "instance_down", "severity": "critical"},
        opened_at=harbour.now,
        acknowledged_at=None,
        ended_at=harbour.now if over else None,
    )


def test_nothing_begins_for_what_is_over_when_its_beginning_is_heard(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    find = find_alert.answered_by(lambda session, alert_id: a_seen(harbour, alert_id, over=True))
    install_answers((find,))
    harbour.allow(url=f"{http_receiver.url}/restart")
    harbour.alert()
    forget_answers()
    assert http_receiver.requests == []
    assert harbour.runs() == []


def test_a_try_that_is_due_is_not_sent_when_its_alert_is_over(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    looks: list[str] = []

    def find(session: object, alert_id: str) -> AlertSeen:
        looks.append(alert_id)
        return a_seen(harbour, alert_id, over=len(looks) > 1)

    install_answers((find_alert.answered_by(find),))
    harbour.allow(url=f"{http_receiver.url}/restart")
    harbour.alert()
    harbour.later(2 * MINUTE)
    forget_answers()
    assert http_receiver.requests == []
    assert [run.state for run in harbour.runs()] == [RunState.HEALED]


def test_what_another_alert_took_the_place_of_is_not_healed(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.allow(url=f"{http_receiver.url}/restart")
    alert = harbour.alert()
    harbour.over(alert, superseded_by="another")
    (run,) = harbour.runs()
    assert (run.state, run.reason) == (
        RunState.FAILED,
        "Another alert took the place of this one.",
    )
    assert [type(event) for event in harbour.said()] == [RemediationStarted, RemediationFailed]

"""Each kind of channel: what it accepts, masks and says, and how it reads answers."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime

import msgspec
import pytest
from mainstay_server.areas.alerts.models import Change
from mainstay_server.areas.alerts.providers import KINDS, email, webhook
from mainstay_server.areas.alerts.schemas import Gathered
from mainstay_server.areas.alerts.schemas.alertmanager import Webhook, read_posted
from mainstay_server.kernel import outbound, posting
from mainstay_server.kernel.events import Refused, RetryLater
from mainstay_server.kernel.labels import fingerprint
from mainstay_server.kernel.posting import ReceiverGone, ReceiverMissing
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.standard_webhooks import signature
from tests.areas.alerts.conftest import MINUTE, NOON, NOTICE
from tests.servers.http import Answer, HttpReceiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(autouse=True)
def _way_out() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


def post(receiver: HttpReceiver, answer: Answer) -> None:
    receiver.answer(answer)
    config = {"webhookUrl": f"{receiver.url}/hook"}
    webhook.send(NOTICE, config=config, secrets=(SECRET,), delivery_id="msg", now=NOON)


def test_the_signature_is_that_of_the_specification() -> None:
    # The worked example of the Standard Webhooks reference libraries.
    signed = signature(
        SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}'
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_is_taken(http_receiver: HttpReceiver, status: int) -> None:
    post(http_receiver, Answer(status=status, body=b""))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 401, 403])
def test_what_may_pass_is_tried_again(http_receiver: HttpReceiver, status: int) -> None:
    with pytest.raises(RetryLater, match=str(status)):
        post(http_receiver, Answer(status=status))


@pytest.mark.parametrize("status", [301, 307, 400, 405, 413, 422])
def test_what_will_not_pass_is_refused(http_receiver: HttpReceiver, status: int) -> None:
    with pytest.raises(Refused, match=str(status)):
        post(http_receiver, Answer(status=status, headers={"Location": "/elsewhere"}))
    assert len(http_receiver.requests) == 1


def test_nobody_there_is_tried_again_for_it_may_be_a_proxy_without_its_app(
    http_receiver: HttpReceiver,
) -> None:
    with pytest.raises(ReceiverMissing):
        post(http_receiver, Answer(status=404))


def test_gone_is_gone(http_receiver: HttpReceiver) -> None:
    with pytest.raises(ReceiverGone):
        post(http_receiver, Answer(status=410))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (format_datetime(NOON + timedelta(minutes=5), usegmt=True), 300),
        (format_datetime(NOON - timedelta(minutes=5), usegmt=True), 0),
        ("99999999", 24 * 3600),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_bounded(
    http_receiver: HttpReceiver, header: str, seconds: float | None
) -> None:
    with pytest.raises(RetryLater) as refusal:
        post(http_receiver, Answer(status=503, headers={"Retry-After": header}))
    assert refusal.value.after_seconds == seconds


def test_who_refuses_our_credentials_is_given_time_to_renew_them(
    http_receiver: HttpReceiver,
) -> None:
    with pytest.raises(RetryLater) as refusal:
        post(http_receiver, Answer(status=401))
    assert refusal.value.after_seconds == 900


def test_a_receiver_that_hangs_is_tried_again(
    http_receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "POST_TIMEOUT_SECONDS", 0.3)
    with pytest.raises(RetryLater):
        post(http_receiver, Answer(hang=True))


def test_an_endless_answer_is_not_read_to_its_end(http_receiver: HttpReceiver) -> None:
    with pytest.raises(Refused) as refusal:
        post(http_receiver, Answer(status=400, body=b"x" * 300_000))
    assert len(str(refusal.value)) < 200


def test_an_address_that_nobody_may_reach_is_refused_for_good() -> None:
    config = {"webhookUrl": "http://169.254.169.254/latest/meta-data"}
    with pytest.raises(Refused):
        webhook.send(NOTICE, config=config, secrets=(SECRET,), delivery_id="msg", now=NOON)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.slack.com/services/T0/B0/xyz", "https://hooks.slack.com/services/…"),
        ("https://hooks.example", "https://hooks.example/"),
        ("https://hooks.example/a", "https://hooks.example/a"),
        ("https://hooks.example/a?token=secret", "https://hooks.example/a/…"),
        ("https://hooks.example/5f0c2f2c2f0e4b7f9d2a4c1d", "https://hooks.example/…"),
        ("https://hooks.example/5f0c2f2c2f0e4b7f9d2a4c1d/in", "https://hooks.example/…"),
    ],
)
def test_secrets_in_urls_are_masked(url: str, shown: str) -> None:
    assert webhook.shown({"webhookUrl": url}) == shown


def test_the_mail_escapes_what_apps_say_and_has_no_remote_parts() -> None:
    mail = email.mail(NOTICE, to="a@ships.example", sender="m@ships.example", delivery_id="d")
    page = mail.get_body(("html",))
    assert page is not None
    html = page.get_content()

    assert "&lt;b&gt;It&lt;/b&gt; answered 500." in html
    assert "Inspections &amp; more" in html
    assert "<img" not in html
    assert 'href="http' in html
    assert "prefers-color-scheme: dark" in html
    text = mail.get_body(("plain",))
    assert text is not None
    assert "<b>It</b> answered 500." in text.get_content()


def test_a_title_cannot_smuggle_a_header_into_the_mail() -> None:
    evil = replace(NOTICE, title="down\r\nBcc: all@ships.example")
    with pytest.raises(ValueError, match="Header"):
        email.mail(evil, to="a@ships.example", sender="m@ships.example", delivery_id="d")


def test_every_kind_offers_the_same() -> None:
    for name, kind in KINDS.items():
        assert kind.LABEL, name
        assert kind.FIELDS, name
        assert len({field.name for field in kind.FIELDS}) == len(kind.FIELDS), name


def test_a_digest_lists_what_it_gathers_and_counts_all_of_it(http_receiver: HttpReceiver) -> None:
    one = Gathered(
        alert_id="first",
        type="instance_down",
        severity="critical",
        title="inspections production: queue is down",
        message="It answered 500.",
        environment="production",
        opened_at=NOON,
        resolved_at=None,
        resolution="",
    )
    told = replace(
        NOTICE,
        alert_id="first",
        title="499 alerts of inspections production",
        message="inspections production: queue is down\nand 498 more.",
        gathered=(one,),
        gathered_count=499,
    )

    digest = webhook.document(told)["digest"]
    mail = email.mail(told, to="a@ships.example", sender="m@ships.example", delivery_id="1")

    assert (digest["count"], [each["id"] for each in digest["alerts"]]) == (499, ["first"])
    assert mail["Subject"] == "[critical] 499 alerts of inspections production"
    text = mail.get_body(("plain",))
    assert text is not None
    assert "queue is down" in text.get_content()
    assert "And 498 more." in text.get_content()


def test_what_lasts_is_told_again_as_what_still_is() -> None:
    again = replace(NOTICE, repeat=2)
    assert again.headline == "[critical, still] inspections production is down"
    assert webhook.document(again)["alert"]["repeat"] == 2


def test_a_webhook_may_get_the_same_as_a_cloud_event(http_receiver: HttpReceiver) -> None:
    config = webhook.checked({"webhookUrl": f"{http_receiver.url}/hook", "format": "cloudevents"})
    webhook.send(NOTICE, config=config, secrets=(SECRET,), delivery_id="msg", now=NOON)

    (request,) = http_receiver.requests
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["idempotency-key"] == "msg"
    event = json.loads(request.body)
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": "msg",
        "source": "https://mainstay.example/dashboard/projects/inspections/alerts",
        "type": "alert.opened",
        "subject": "alert",
        "time": "2026-03-01T12:00:00.000Z",
        "datacontenttype": "application/json",
    }
    assert data == json.loads(msgspec.json.encode(webhook.document(NOTICE)))
    stamp = request.headers["webhook-timestamp"]
    signed = signature(SECRET, "msg", stamp, request.body)
    assert request.headers["webhook-signature"] == signed


def test_a_webhook_may_get_what_alertmanager_would_tell_it(http_receiver: HttpReceiver) -> None:
    labels = {"alertname": "instance_down", "severity": "critical"}
    told = replace(NOTICE, labels=labels, annotations={"summary": "Down"})
    over = replace(told, change=Change.RESOLVED, resolved_at=NOON + MINUTE)
    config = webhook.checked({"webhookUrl": f"{http_receiver.url}/hook", "format": "alertmanager"})
    for notice in (told, over, replace(NOTICE, change=Change.TEST)):
        webhook.send(notice, config=config, secrets=(SECRET,), delivery_id="msg", now=NOON)

    bodies = [request.body for request in http_receiver.requests]
    firing, ended, test = (json.loads(body) for body in bodies)
    assert (firing["version"], firing["status"], firing["truncatedAlerts"]) == ("4", "firing", 0)
    assert firing["commonLabels"] == labels
    assert firing["groupLabels"] == {"alertname": "instance_down"}
    assert firing["alerts"] == [
        {
            "status": "firing",
            "labels": labels,
            "annotations": {"summary": "Down", "description": "<b>It</b> answered 500."},
            "startsAt": "2026-03-01T12:00:00.000Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": NOTICE.url,
            "fingerprint": fingerprint(labels),
        }
    ]
    assert ended["alerts"][0]["endsAt"] == "2026-03-01T12:01:00.000Z"
    assert (ended["status"], test["status"]) == ("resolved", "resolved")
    for body in bodies:  # and our own door reads it
        read, faults = read_posted(list(msgspec.json.decode(body, type=Webhook).alerts), now=NOON)
        assert (len(read), faults) == (1, [])


def test_while_two_secrets_hold_a_message_carries_both_signatures(
    http_receiver: HttpReceiver,
) -> None:
    old = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    config = {"webhookUrl": f"{http_receiver.url}/hook"}
    webhook.send(NOTICE, config=config, secrets=(SECRET, old), delivery_id="msg", now=NOON)

    (request,) = http_receiver.requests
    stamp = request.headers["webhook-timestamp"]
    new, former = request.headers["webhook-signature"].split(" ")
    assert new == signature(SECRET, "msg", stamp, request.body)
    assert former == signature(old, "msg", stamp, request.body)


def test_a_webhook_has_no_other_body() -> None:
    with pytest.raises(Invalid, match="mainstay, cloudevents"):
        webhook.checked({"webhookUrl": "https://hooks.example/a", "format": "xml"})
    plain = webhook.checked({"webhookUrl": "https://hooks.example/a", "format": "mainstay"})
    assert plain == {"webhookUrl": "https://hooks.example/a"}

"""Slack: what its channel shows, and what its answers mean."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from mainstay_server.areas.alerts.models import AlertChannel, Change
from mainstay_server.areas.alerts.providers import masked, slack
from mainstay_server.areas.alerts.service import channels
from mainstay_server.areas.alerts.settings import AlertSettings
from mainstay_server.contracts.alerts import AlertChannelDisabled
from mainstay_server.contracts.alerts.severities import COLOURS
from mainstay_server.kernel import outbound
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.events import Refused, RetryLater
from mainstay_server.kernel.posting import ReceiverGone
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.settings import override_settings
from tests.areas.alerts.conftest import MINUTE, NOON, NOTICE, Harbour
from tests.servers.http import Answer, HttpReceiver


@pytest.fixture
def _way_out() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


def post(receiver: HttpReceiver, answer: Answer) -> None:
    receiver.answer(answer)
    config = {"webhookUrl": f"{receiver.url}/services/T0/B0/secret"}
    slack.send(NOTICE, config=config, secrets=(), delivery_id="d", now=NOON)


def texts(message: dict[str, Any]) -> list[str]:
    """Every text that people see of a message, in order."""
    found = [message["text"]]
    for block in message["attachments"][0]["blocks"]:
        parts = [block["text"]] if "text" in block else []
        found += [
            part["text"] for part in [*parts, *block.get("fields", block.get("elements", []))]
        ]
    return found


def test_an_outage_and_its_end_arrive_as_what_people_need_to_read(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel_of("slack", {"webhookUrl": f"{http_receiver.url}/services/T0/B0/secret"})

    harbour.goes_down()
    harbour.later(12 * MINUTE)
    harbour.recovers()

    down, up = (json.loads(request.body) for request in http_receiver.requests)
    place = "http://127.0.0.1:8000/dashboard/projects/inspections/alerts"
    page = f"{place}/{harbour.alerts()[0].id}?instance=production"
    runbook = f"{page}#runbook"
    app = "<https://inspections.example|Open the app>"
    links = f"<{page}|Open in Mainstay> · <{runbook}|Runbook> · {app}"
    assert texts(down) == [
        "[critical] inspections production is down",
        "*inspections production is down*",
        "It answered 500.\nhttps://inspections.example/health",
        "*Severity*\nCritical",
        "*Project*\nInspections",
        "*Environment*\nproduction",
        "*Since*\n1 Mar 2026, 12:00 UTC",
        links,
    ]
    assert down["attachments"][0]["color"] == COLOURS["critical"]
    assert texts(up)[0] == "[resolved] inspections production is down"
    assert texts(up)[2].startswith("It is healthy again after 12 min.\n")
    assert "*Status*\nResolved" in texts(up)
    assert "*Over since*\n1 Mar 2026, 12:12 UTC" in texts(up)
    assert up["attachments"][0]["color"] == COLOURS["resolved"]
    assert [n.state for n in harbour.notifications()] == ["delivered", "delivered"]


def test_what_an_app_says_can_call_nobody_and_forge_no_link() -> None:
    evil = replace(
        NOTICE,
        title="<!channel> & <https://evil.example|click>",
        message="<@U1>",
        instance_url="https://a.example/|x>",
    )
    everything = "\n".join(texts(slack.message(evil)))

    assert "&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;" in everything
    assert "&lt;@U1&gt;" in everything
    assert "<https://a.example/%7Cx&gt;|Open the app>" in everything


def test_a_long_message_is_cut_to_what_slack_takes_and_not_inside_an_escape() -> None:
    said = texts(slack.message(replace(NOTICE, message="&" * 2000)))[2]

    assert len(said) <= 3000
    assert said.endswith("&amp;…")


def test_a_test_says_that_it_is_one() -> None:
    assert "*Status*\nTest" in texts(slack.message(replace(NOTICE, change=Change.TEST)))


@pytest.mark.usefixtures("_way_out")
@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_pass_is_tried_again(http_receiver: HttpReceiver, status: int) -> None:
    with pytest.raises(RetryLater, match=str(status)):
        post(http_receiver, Answer(status=status))


@pytest.mark.usefixtures("_way_out")
def test_slack_is_left_alone_for_as_long_as_it_asks(http_receiver: HttpReceiver) -> None:
    with pytest.raises(RetryLater) as refusal:
        post(http_receiver, Answer(status=429, headers={"Retry-After": "30"}))
    assert refusal.value.after_seconds == 30


@pytest.mark.usefixtures("_way_out")
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"no_service"),
        (404, b"channel_not_found"),
        (410, b"channel_is_archived"),
        (403, b"invalid_token"),
    ],
)
def test_a_hook_that_is_no_more_is_gone(
    http_receiver: HttpReceiver, status: int, body: bytes
) -> None:
    with pytest.raises(ReceiverGone, match="new webhook in Slack"):
        post(http_receiver, Answer(status=status, body=body))


@pytest.mark.usefixtures("_way_out")
def test_a_message_that_slack_cannot_read_is_refused_without_leaving_the_channel(
    http_receiver: HttpReceiver,
) -> None:
    with pytest.raises(Refused, match="invalid_payload") as refusal:
        post(http_receiver, Answer(status=400, body=b"invalid_payload"))
    assert not isinstance(refusal.value, ReceiverGone)


def test_a_try_that_failed_is_made_again_and_an_archived_room_ends_the_channel(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    channel = harbour.channel_of("slack", {"webhookUrl": f"{http_receiver.url}/services/a/b/c"})
    http_receiver.answer(Answer(status=503), Answer(status=410, body=b"channel_is_archived"))

    harbour.goes_down()
    assert harbour.notifications()[0].state == "waiting"
    harbour.later(timedelta(hours=2))
    harbour.deliver()

    assert len(http_receiver.requests) == 2
    assert harbour.notifications()[0].state == "failed"
    channel = harbour.reloaded(channel)
    assert not channel.enabled
    assert "channel_is_archived" in channel.disabled_reason
    (said,) = (e for e in harbour.said() if isinstance(e, AlertChannelDisabled))
    assert said.shown == f"{http_receiver.url}/…"


def test_the_secret_in_the_url_is_masked() -> None:
    url = "https://hooks.slack.com/services/T0/B0/secret"
    assert slack.shown({"webhookUrl": url}) == "https://hooks.slack.com/…"


@pytest.mark.parametrize(
    ("url", "next_step"),
    [
        ("", "hooks.slack.com/services"),
        ("hooks.slack.com/services/T0/B0/x", "hooks.slack.com/services"),
        ("https://user:word@hooks.slack.com/services/T0/B0/x", "hooks.slack.com/services"),
        ("https://hooks.slack.com/triggers/T0/1/x", "workflow triggers"),
        ("https://ships.slack.com/archives/C0", "workflow triggers"),
        ("https://hooks.slack.com/services/" + "a" * 2000, "2000 characters"),
        ("https://[::1/services/a", "copy it again"),
    ],
)
def test_a_url_that_cannot_work_is_refused_with_the_next_step(url: str, next_step: str) -> None:
    with pytest.raises(Invalid, match=next_step) as refusal:
        slack.checked({"webhookUrl": url})
    assert refusal.value.errors[0]["field"] == "config.webhookUrl"


BOT = {"botToken": "xoxb-1234567890-secret", "channel": "#ships"}


def posted(receiver: HttpReceiver) -> list[dict[str, Any]]:
    assert {request.path for request in receiver.requests} == {"/chat.postMessage"}
    return [json.loads(request.body) for request in receiver.requests]


def bot_answer(**answer: object) -> Answer:
    return Answer(body=json.dumps(answer).encode())


def test_a_bot_puts_the_end_beneath_the_beginning_and_shows_it_in_the_channel_too(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    override_settings(AlertSettings(slack_url=http_receiver.url))
    harbour.channel_of("slack", BOT | {"severityChannels": "critical = #incidents"})
    http_receiver.answer(
        bot_answer(ok=True, channel="C1", ts="17.1"), bot_answer(ok=True, channel="C1", ts="17.2")
    )

    harbour.goes_down()
    harbour.later(12 * MINUTE)
    harbour.recovers()

    down, up = posted(http_receiver)
    assert (down["channel"], down.get("thread_ts")) == ("#incidents", None)
    assert (up["channel"], up["thread_ts"], up["reply_broadcast"]) == ("C1", "17.1", True)
    token = http_receiver.requests[0].headers["authorization"]
    assert token == "Bearer xoxb-1234567890-secret"


@pytest.mark.usefixtures("_way_out")
@pytest.mark.parametrize(
    ("error", "failure"),
    [
        ("channel_not_found", ReceiverGone),
        ("invalid_auth", ReceiverGone),
        ("not_in_channel", ReceiverGone),
        ("ratelimited", RetryLater),
        ("internal_error", RetryLater),
        ("invalid_blocks", Refused),
    ],
)
def test_what_slack_answers_a_bot_means_the_same_for_all_its_messages_or_for_this_one(
    http_receiver: HttpReceiver, error: str, failure: type[Exception]
) -> None:
    override_settings(AlertSettings(slack_url=http_receiver.url))
    http_receiver.answer(bot_answer(ok=False, error=error))
    with pytest.raises(failure, match=error) as refusal:
        slack.send(NOTICE, config=BOT, secrets=(), delivery_id="d", now=NOON)
    assert type(refusal.value) is failure


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (BOT | {"webhookUrl": "https://hooks.slack.com/services/a"}, "webhookUrl"),
        (BOT | {"botToken": "secret"}, "botToken"),
        (BOT | {"channel": ""}, "channel"),
        (BOT | {"severityChannels": "grave=#a"}, "severityChannels"),
        (
            {"webhookUrl": "https://hooks.slack.com/services/a", "channel": "#a"},
            "channel",
        ),
    ],
)
def test_a_bot_needs_a_token_a_channel_and_no_webhook(config: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        slack.checked(config)
    assert refusal.value.errors[0]["field"] == f"config.{field}"


def test_of_a_bot_the_channels_are_shown_and_the_token_is_not() -> None:
    kept = slack.checked(BOT | {"severityChannels": "info=#quiet,critical=#loud"})
    assert kept["severityChannels"] == "info=#quiet, critical=#loud"
    assert slack.shown(kept) == "#ships"
    assert masked("slack", kept) == {
        "botToken": "…",
        "channel": "#ships",
        "severityChannels": "info=#quiet, critical=#loud",
    }


def test_a_bot_that_leads_elsewhere_since_puts_the_end_there_and_beneath_nothing(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    override_settings(AlertSettings(slack_url=http_receiver.url))
    channel = harbour.channel_of("slack", BOT)
    http_receiver.answer(
        bot_answer(ok=True, channel="C1", ts="17.1"), bot_answer(ok=True, channel="C2", ts="17.2")
    )
    harbour.goes_down()
    with transaction() as session:
        found = session.get_one(AlertChannel, channel.id)
        channels.change_channel(session, found, target=BOT | {"channel": "#yard"}, now=harbour.now)

    harbour.later(12 * MINUTE)
    harbour.recovers()

    _, up = posted(http_receiver)
    assert (up["channel"], up.get("thread_ts")) == ("#yard", None)

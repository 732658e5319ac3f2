"""Teams, Discord, Telegram, ntfy and Datadog: what arrives there, and what their answers mean."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from mainstay_server.areas.alerts.models import Change
from mainstay_server.areas.alerts.providers import (
    KINDS,
    datadog,
    discord,
    masked,
    ntfy,
    teams,
    telegram,
)
from mainstay_server.areas.alerts.schemas import Gathered
from mainstay_server.areas.alerts.settings import AlertSettings
from mainstay_server.kernel import outbound
from mainstay_server.kernel.events import Refused, RetryLater
from mainstay_server.kernel.posting import ReceiverGone
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.settings import override_settings
from tests.areas.alerts.conftest import MINUTE, NOON, NOTICE, Harbour
from tests.servers.http import Answer, HttpReceiver

TOKEN = "123456:AAbbCCddEEffGGhhIIjjKKllMMnn"
API_KEY = "0123456789abcdef0123456789abcdef"
RESOLVED = replace(
    NOTICE,
    change=Change.RESOLVED,
    resolution="It is healthy again after 12 min.",
    resolved_at=NOON + 12 * MINUTE,
    at=NOON + 12 * MINUTE,
)


@pytest.fixture
def _way_out() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


def config_of(kind: str, receiver: HttpReceiver) -> dict[str, str]:
    """A channel of that kind whose service is played by the receiver."""
    override_settings(AlertSettings(telegram_url=receiver.url, datadog_url=receiver.url))
    return {
        "teams": {"webhookUrl": f"{receiver.url}/workflows/a?sig=secret"},
        "discord": {"webhookUrl": f"{receiver.url}/api/webhooks/1/secret"},
        "telegram": {"chatId": "-100123", "botToken": TOKEN},
        "ntfy": {"topicUrl": f"{receiver.url}/ships", "accessToken": "tk_secret"},
        "datadog": {"apiKey": API_KEY},
    }[kind]


CHATS = ("teams", "discord", "telegram", "ntfy", "datadog")


def post(kind: str, receiver: HttpReceiver, answer: Answer) -> str:
    config = config_of(kind, receiver)
    receiver.answer(answer)
    return KINDS[kind].send(NOTICE, config=config, secrets=(), delivery_id="key", now=NOON)


def strings(value: object) -> list[str]:
    """Every text in a JSON document, in order."""
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in strings(each)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("kind", CHATS)
def test_an_outage_and_its_end_arrive_each_under_a_key_of_its_own(
    harbour: Harbour, http_receiver: HttpReceiver, kind: str
) -> None:
    harbour.channel_of(kind, config_of(kind, http_receiver))

    harbour.goes_down()
    harbour.later(12 * MINUTE)
    harbour.recovers()

    down, up = http_receiver.requests
    told = [json.loads(request.body) for request in (down, up)]
    first, second = ("\n".join(strings(document)).replace("\\", "") for document in told)
    assert "[critical] inspections production is down" in first
    assert "It answered 500." in first
    assert f"/inspections/alerts/{harbour.alerts()[0].id}?instance=production" in first
    assert "[resolved] inspections production is down" in second
    assert "It is healthy again after 12 min." in second
    assert down.headers["idempotency-key"] != up.headers["idempotency-key"]
    assert [n.state for n in harbour.notifications()] == ["delivered", "delivered"]


@pytest.mark.usefixtures("_way_out")
@pytest.mark.parametrize("kind", CHATS)
@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_pass_is_tried_again(http_receiver: HttpReceiver, kind: str, status: int) -> None:
    with pytest.raises(RetryLater, match=str(status)) as refusal:
        post(kind, http_receiver, Answer(status=status, headers={"Retry-After": "30"}))
    assert refusal.value.after_seconds == 30


@pytest.mark.usefixtures("_way_out")
@pytest.mark.parametrize("kind", CHATS)
def test_a_message_that_cannot_be_read_is_refused_without_leaving_the_channel(
    http_receiver: HttpReceiver, kind: str
) -> None:
    with pytest.raises(Refused) as refusal:
        post(kind, http_receiver, Answer(status=400, body=b'{"description": "bad"}'))
    assert not isinstance(refusal.value, ReceiverGone)


@pytest.mark.usefixtures("_way_out")
@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("teams", 404, b"WorkflowNotFound"),
        ("teams", 410, b""),
        ("discord", 404, b'{"message": "Unknown Webhook", "code": 10015}'),
        ("discord", 401, b'{"message": "Invalid Webhook Token", "code": 50027}'),
        ("telegram", 401, b'{"ok": false, "description": "Unauthorized"}'),
        ("telegram", 403, b'{"ok": false, "description": "Forbidden: bot was kicked"}'),
        ("telegram", 400, b'{"ok": false, "description": "Bad Request: chat not found"}'),
        ("telegram", 404, b'{"ok": false, "description": "Not Found"}'),
        ("datadog", 403, b'{"errors": ["Forbidden"]}'),
    ],
)
def test_who_is_no_more_is_gone(
    http_receiver: HttpReceiver, kind: str, status: int, body: bytes
) -> None:
    with pytest.raises(ReceiverGone):
        post(kind, http_receiver, Answer(status=status, body=body))


@pytest.mark.usefixtures("_way_out")
def test_telegram_says_in_its_own_way_how_long_to_wait_and_where_a_group_went(
    http_receiver: HttpReceiver,
) -> None:
    slow = b'{"ok": false, "description": "Too Many", "parameters": {"retry_after": 35}}'
    with pytest.raises(RetryLater) as refusal:
        post("telegram", http_receiver, Answer(status=429, body=slow))
    assert refusal.value.after_seconds == 35
    moved = (
        b'{"ok": false, "description": "Bad Request: group chat was upgraded to a supergroup chat",'
        b' "parameters": {"migrate_to_chat_id": -1009}}'
    )
    with pytest.raises(ReceiverGone, match="-1009"):
        post("telegram", http_receiver, Answer(status=400, body=moved))


@pytest.mark.usefixtures("_way_out")
def test_no_failure_quotes_the_token_that_the_url_of_a_bot_holds(
    http_receiver: HttpReceiver,
) -> None:
    quoted = json.dumps({"ok": False, "description": f"no /bot{TOKEN}/"}).encode()
    with pytest.raises(Refused) as refusal:
        post("telegram", http_receiver, Answer(status=400, body=quoted))
    assert TOKEN not in str(refusal.value)
    http_receiver.stop()
    with pytest.raises(RetryLater) as refusal2:
        post("telegram", http_receiver, Answer())
    assert TOKEN not in str(refusal2.value)
    http_receiver.start()


def test_the_end_answers_the_message_of_the_beginning_in_telegram(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel_of("telegram", config_of("telegram", http_receiver) | {"topicId": "7"})
    http_receiver.answer(Answer(body=b'{"ok": true, "result": {"message_id": 4711}}'))

    harbour.goes_down()
    harbour.later(12 * MINUTE)
    harbour.recovers()

    down, up = http_receiver.requests
    assert down.path == f"/bot{TOKEN}/sendMessage"
    told = json.loads(down.body)
    assert (told["chat_id"], told["message_thread_id"]) == ("-100123", 7)
    assert "reply_parameters" not in told
    assert json.loads(up.body)["reply_parameters"]["message_id"] == 4711


def test_what_an_app_says_draws_no_link_and_calls_nobody() -> None:
    evil = replace(
        NOTICE,
        title="@everyone [click](https://evil.example)",
        message="<@1> **bold** `code` <a href='x'>y</a>",
    )
    (embed,) = discord.message(evil)["embeds"]
    assert discord.message(evil)["allowed_mentions"] == {"parse": []}
    assert "\\<\\@1\\> \\*\\*bold\\*\\*" in embed["description"]
    text = telegram.message(evil, config={"chatId": "1"})["text"]
    assert "&lt;@1&gt;" in text
    assert "<a href='x'>" not in text
    card = teams.message(evil)["attachments"][0]["content"]
    kinds = {block["type"] for block in card["body"]}
    assert kinds == {"RichTextBlock"}, "text runs are the only text that Teams does not mark up"


@pytest.mark.parametrize("mark", ["&", "x", "é", "*"])
def test_long_messages_are_cut_to_what_each_service_takes(mark: str) -> None:
    long = replace(NOTICE, title=mark * 200, message=mark * 2000, resolution=mark * 500)
    (embed,) = discord.message(long)["embeds"]
    assert len(embed["title"]) <= 256
    assert len(embed["description"]) <= 4096
    assert len(ntfy.message(long)["message"].encode()) < 4096
    assert len(datadog.event(long, now=NOON)["text"]) <= 4000
    assert len(json.dumps(teams.message(long))) < 28_000
    assert telegram.message(long, config={"chatId": "1"})["text"].count(mark) < 4096


def test_a_digest_has_one_link_for_all_before_those_of_each_and_none_is_cut_in_two() -> None:
    link = "https://mainstay.example/on-call/acknowledge/message." + "t" * 240
    one = Gathered(
        alert_id="a",
        type="instance_down",
        severity="critical",
        title="It is down",
        message="",
        environment="production",
        opened_at=NOON,
        resolved_at=None,
        resolution="",
        acknowledge_url=link,
    )
    digest = replace(
        NOTICE,
        message="(down) " * 1000,
        acknowledge_url=link,
        gathered=(one,) * 7,
        gathered_count=7,
    )

    words = [each for each, _ in digest.links]
    (embed,) = discord.message(digest)["embeds"]

    assert words[:6] == ["Acknowledge all", *(f"Acknowledge {number}" for number in range(1, 6))]
    assert words[6:] == ["Open in Mainstay", "Open the app"]
    assert len(embed["description"]) <= discord.LONGEST_DESCRIPTION
    assert embed["description"].count(f"({link})") == 6
    assert embed["description"].endswith(f"[Open the app]({digest.instance_url})")
    assert ntfy.message(digest)["actions"][0]["label"] == "Acknowledge all"


def test_ntfy_rings_for_what_is_critical_and_leads_where_to_look() -> None:
    critical, over = ntfy.message(NOTICE), ntfy.message(RESOLVED)
    assert (critical["priority"], over["priority"]) == (5, 3)
    assert critical["tags"] == ["rotating_light", "inspections", "production"]
    assert over["tags"][0] == "white_check_mark"
    assert critical["click"] == NOTICE.url
    assert critical["actions"] == [
        {"action": "view", "label": "Open in Mainstay", "url": NOTICE.url},
        {"action": "view", "label": "Open the app", "url": NOTICE.instance_url},
    ]


@pytest.mark.usefixtures("_way_out")
def test_ntfy_is_asked_at_its_root_with_the_topic_and_the_token(
    http_receiver: HttpReceiver,
) -> None:
    post("ntfy", http_receiver, Answer())
    (request,) = http_receiver.requests
    assert request.path == "/"
    assert json.loads(request.body)["topic"] == "ships"
    assert request.headers["authorization"] == "Bearer tk_secret"


def test_datadog_folds_the_events_of_one_alert_and_is_told_no_time_that_it_does_not_take() -> None:
    fresh, late = (datadog.event(NOTICE, now=NOON + timedelta(hours=h)) for h in (1, 20))
    assert fresh["aggregation_key"] == "mainstay-alert"
    assert (fresh["alert_type"], fresh["priority"]) == ("error", "normal")
    assert fresh["date_happened"] == int(NOON.timestamp())
    assert "date_happened" not in late
    assert datadog.event(RESOLVED, now=NOON)["alert_type"] == "success"
    assert "env:production" in fresh["tags"]


def test_what_an_app_says_is_no_markdown_to_datadog() -> None:
    said = "%%% \n[Acknowledge](https://evil.example)\n %%%"
    text = datadog.event(replace(NOTICE, message=said), now=NOON)["text"]
    assert "%%%" not in text
    assert "[Acknowledge](https://evil.example)" in text


@pytest.mark.usefixtures("_way_out")
def test_datadog_is_sent_to_the_site_that_was_chosen(http_receiver: HttpReceiver) -> None:
    post("datadog", http_receiver, Answer(status=202))
    (request,) = http_receiver.requests
    assert request.path == "/api/v1/events"
    assert request.headers["dd-api-key"] == API_KEY
    eu = datadog.checked({"apiKey": API_KEY, "site": "datadoghq.eu"})
    assert datadog.shown(eu) == "datadoghq.eu …cdef"
    assert datadog.checked({"apiKey": API_KEY, "site": "datadoghq.com"}) == {"apiKey": API_KEY}


@pytest.mark.parametrize("kind", CHATS)
def test_no_secret_is_shown(http_receiver: HttpReceiver, kind: str) -> None:
    config = KINDS[kind].checked(config_of(kind, http_receiver))
    shown = f"{KINDS[kind].shown(config)} {masked(kind, config)}"
    for secret in ("secret", TOKEN, API_KEY, "ships"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("kind", "config", "field"),
    [
        ("teams", {"webhookUrl": "ftp://x"}, "webhookUrl"),
        ("teams", {}, "webhookUrl"),
        ("discord", {"webhookUrl": "https://discord.com/channels/1"}, "webhookUrl"),
        ("telegram", {"chatId": "ships", "botToken": TOKEN}, "chatId"),
        ("telegram", {"chatId": "@ships", "botToken": "123/../x"}, "botToken"),
        ("telegram", {"chatId": "1", "botToken": TOKEN, "topicId": "a"}, "topicId"),
        ("ntfy", {"topicUrl": "https://ntfy.sh/"}, "topicUrl"),
        ("ntfy", {"topicUrl": "https://ntfy.sh/a?b"}, "topicUrl"),
        ("ntfy", {"topicUrl": "https://ntfy.sh/a", "accessToken": "a b"}, "accessToken"),
        ("ntfy", {"topicUrl": "https://ntfy.sh/a", "accessToken": "a\r\nX: b"}, "accessToken"),
        ("datadog", {"apiKey": "short"}, "apiKey"),
        ("datadog", {"apiKey": API_KEY, "site": "evil.example"}, "site"),
    ],
)
def test_a_config_that_cannot_work_is_refused_by_the_name_of_its_field(
    kind: str, config: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        KINDS[kind].checked(config)
    assert refusal.value.errors[0]["field"] == f"config.{field}"

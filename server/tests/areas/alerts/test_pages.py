"""The panel, the tile and the pages: what people read, and what their buttons do."""

import re
from collections.abc import Callable
from html import unescape

import pytest
from httpx2 import Response
from mainstay_server.areas import alerts
from mainstay_server.areas.alerts import pages
from mainstay_server.areas.alerts.models import AlertType, Severity
from mainstay_server.areas.alerts.service import channels, firing
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import run_waiting
from tests.servers.http import Answer, HttpReceiver
from tests.world import World

ClientFor = Callable[..., World]
PAGES = ("alerts", "alerts/channels", "alerts/rules", "alerts/deliveries", "panels/alerts")


@pytest.fixture
def world(client_for: ClientFor) -> World:
    return client_for(alerts.area)


def url(world: World, page: str) -> str:
    return f"/dashboard/projects/{world.project}/{page}"


def an_alert(
    world: World, title: str = "inspections production is down", *, about: str = ""
) -> str:
    found = firing.Firing(
        type=AlertType.INSTANCE_DOWN, title=title, message="It answered 500.", about=about
    )
    with transaction() as session:
        alert_id, _ = firing.open_alert(
            session, world.instance, found, Severity.CRITICAL, now=utc_now()
        )
    return alert_id


def a_channel(world: World, hook: str) -> str:
    about = (world.instance.organization_id, world.instance.project_id, None)
    with transaction() as session:
        made = channels.create_channel(
            session, about, "webhook", {"webhookUrl": hook}, now=utc_now()
        )
    return made.id


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("alerts", "No alert yet"),
        ("alerts/channels", "Nobody is told yet"),
        ("alerts/rules", "above 5 % of at least 20 requests in 5 min"),
        ("alerts/deliveries", "Nothing here"),
        ("panels/alerts", "Nobody is told yet"),
    ],
)
def test_every_page_says_something_useful_when_there_is_nothing(
    world: World, page: str, says: str
) -> None:
    answer = world.bob.get(url(world, page))

    assert answer.status_code == 200, answer.text
    assert says in answer.text


@pytest.mark.parametrize("page", PAGES)
def test_others_and_strangers_see_no_page(world: World, page: str) -> None:
    assert world.charlie.get(url(world, page)).status_code == 404
    assert world.stranger.get(url(world, page)).status_code in (303, 401)


def test_the_panel_shows_active_alerts_and_resolving_moves_them_away(world: World) -> None:
    alert_id = an_alert(world)
    panel = world.alice.get(url(world, "panels/alerts")).text
    assert "inspections production is down" in panel
    assert "nobody told" in panel

    answer = world.bob.post(url(world, f"alerts/{alert_id}/resolve"), data={"back": "monitoring"})

    assert answer.status_code == 303
    assert answer.headers["location"].startswith(url(world, "monitoring"))
    panel = world.alice.get(url(world, "panels/alerts")).text
    assert "Show resolved in the last 24 hours (1)" in panel
    assert "Resolved by Bob." in panel


def test_the_panel_shows_the_gravest_twenty_and_says_that_there_are_more(world: World) -> None:
    with transaction() as session:
        for number in range(25):
            found = firing.Firing(
                type=AlertType.NEW_ISSUE, about=f"{number}", title="E", message=""
            )
            firing.open_alert(session, world.instance, found, Severity.INFO, now=utc_now())
    an_alert(world)

    panel = world.alice.get(url(world, "panels/alerts")).text

    assert panel.count("Resolve</button>") == 20
    assert "inspections production is down" in panel
    assert "All 26 active alerts" in panel


def test_an_alert_of_an_issue_leads_to_it_and_a_flood_to_none(world: World) -> None:
    with transaction() as session:
        for about in ("0193a5c2-7d1e-7c6b-9a3f-2f7d4c1b8e90", "flood", "by-hand:8f14e45fceea167a"):
            found = firing.Firing(type=AlertType.NEW_ISSUE, about=about, title="E", message="")
            firing.open_alert(session, world.instance, found, Severity.INFO, now=utc_now())
    issue = url(world, "errors/0193a5c2-7d1e-7c6b-9a3f-2f7d4c1b8e90?instance=production")

    for page in ("alerts", "panels/alerts"):
        shown = world.bob.get(url(world, page)).text
        assert shown.count(f'href="{issue}"') == 1
        assert shown.count(url(world, "errors/")) == 1


def test_a_webhook_added_on_the_page_shows_its_secret_once(world: World) -> None:
    form = {
        "instanceId": world.instance.id,
        "kind": "webhook",
        "config.webhookUrl": "https://hooks.example/services/T0/B0/secret",
        "minimumSeverity": "warning",
        "scope": "instance",
    }

    added = world.bob.post(url(world, "alerts/channels"), data=form)

    assert added.status_code == 200, added.text
    assert "whsec_" in added.text
    assert "digest" not in added.text  # messages are signed with it, so it is kept as it is
    again = world.bob.get(url(world, "alerts/channels")).text
    assert "https://hooks.example/services/…" in again
    assert "whsec_" not in again
    assert "T0/B0/secret" not in again


def test_a_target_that_makes_no_sense_is_refused_on_the_page(world: World) -> None:
    form = {"instanceId": world.instance.id, "kind": "email", "config.email": "nobody"}

    answer = world.bob.post(url(world, "alerts/channels"), data=form)

    assert answer.status_code == 303
    with reading() as session:
        assert channels.list_channels(session, world.instance.project_id, None) == []


def test_a_test_that_failed_is_shown_beside_its_channel_and_resent_from_the_dead_letters(
    world: World, http_receiver: HttpReceiver
) -> None:
    http_receiver.answer(Answer(status=400, body=b"no such room"))
    channel_id = a_channel(world, f"{http_receiver.url}/hook")

    world.bob.post(url(world, f"alerts/channels/{channel_id}/test"))
    run_waiting(now=utc_now())

    assert "no such room" in world.bob.get(url(world, "alerts/channels")).text
    dead = world.bob.get(url(world, "alerts/deliveries?state=failed")).text
    (path,) = re.findall(r"/alerts/deliveries/([0-9a-f-]{36})/resend", dead)
    assert world.bob.post(url(world, f"alerts/deliveries/{path}/resend")).status_code == 303
    run_waiting(now=utc_now())
    assert "Delivers" in world.bob.get(url(world, "alerts/channels")).text
    first, second = http_receiver.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_channels_are_switched_off_and_on_and_removed_on_the_page(world: World) -> None:
    channel_id = a_channel(world, "https://hooks.example/a")
    base = f"alerts/channels/{channel_id}"
    edit = world.bob.get(url(world, f"alerts/channels?edit={channel_id}")).text
    assert "Remove this channel" in edit
    project_id = world.instance.project_id

    world.bob.post(url(world, f"{base}/change"), data={"enabled": "off"})
    with reading() as session:
        assert not channels.get_channel(session, project_id, None, channel_id).enabled
    world.bob.post(url(world, f"{base}/change"), data={"minimum_severity": "critical"})
    world.bob.post(url(world, f"{base}/change"), data={"enabled": "on"})
    with reading() as session:
        found = channels.get_channel(session, project_id, None, channel_id)
    assert (found.enabled, found.minimum_severity) == (True, "critical")
    world.bob.post(url(world, f"{base}/remove"))
    assert "hooks.example/a" not in world.bob.get(url(world, "alerts/channels")).text


def test_a_rule_changed_on_the_page_holds(world: World) -> None:
    assert (
        "Above how many percent"
        in world.bob.get(url(world, "alerts/rules?edit=high_error_rate")).text
    )
    form = {
        "instanceId": world.instance.id,
        "switch": "on",
        "severity": "warning",
        "threshold": "2.5",
        "windowSeconds": "900",
        "minimumCount": "50",
        "scope": "instance",
    }

    answer = world.bob.post(url(world, "alerts/rules/high_error_rate"), data=form)

    assert answer.status_code == 303, answer.text
    page = world.bob.get(url(world, "alerts/rules")).text
    assert "above 2.5 % of at least 50 requests in 15 min" in page


def test_charlie_can_press_no_button(world: World) -> None:
    alert_id, channel_id = an_alert(world), a_channel(world, "https://hooks.example/a")
    for path in (
        f"alerts/{alert_id}/resolve",
        f"alerts/channels/{channel_id}/remove",
        f"alerts/channels/{channel_id}/test",
    ):
        assert world.charlie.post(url(world, path)).status_code == 404


def flashed(world: World, answer: Response) -> str:
    """What the page says to which a form led."""
    flash, _, _ = answer.headers["set-cookie"].partition(";")
    mine = world.bob._headers["cookie"]
    text = world.bob.get(answer.headers["location"], headers={"cookie": f"{mine}; {flash}"}).text
    return unescape(text)


def test_ticked_alerts_are_taken_in_hand_and_the_page_says_what_became_of_each(
    world: World,
) -> None:
    ids = [an_alert(world, about=str(number)) for number in range(3)]
    over, gone = an_alert(world, about="over"), "0193a5c2-7d1e-7c6b-9a3f-2f7d4c1b8e90"
    world.alice.post(url(world, f"alerts/{over}/resolve"))
    world.alice.post(url(world, f"alerts/{ids[2]}/acknowledge"))
    here = url(world, "alerts?status=active&q=down")
    text = world.bob.get(here).text
    assert text.count("data-tick>") == 3
    assert f'value="{over}"' not in text

    body = {"action": "acknowledge", "alert": [*ids, over, gone]}
    answer = world.bob.post(here, data=body)

    assert answer.headers["location"] == here, "the list stays as it was"
    text = flashed(world, answer)
    assert (
        "2 acknowledged, 1 had ended, 1 was in somebody's hands, 1 is not there any more."
    ) in text
    assert (text.count("by Bob"), text.count("by Alice")) == (2, 1)
    assert "No alert fits" in world.bob.get(url(world, "alerts?status=unacknowledged")).text


def test_without_scripts_all_that_is_shown_is_one_tick(world: World) -> None:
    for number in range(3):
        an_alert(world, about=str(number))
    here = url(world, "alerts")
    shown = re.findall(r'name="shown" value="([^"]+)"', world.bob.get(here).text)
    assert len(shown) == 3

    unticked = world.bob.post(here, data={"action": "resolve", "shown": shown})
    assert "Choose the alerts first." in flashed(world, unticked)
    ticked = world.bob.post(here, data={"action": "resolve", "shown": shown, "every": "shown"})

    text = flashed(world, ticked)
    assert "3 resolved." in text
    assert "data-tick" not in text
    again = world.bob.post(here, data={"action": "resolve", "alert": shown})
    assert "None resolved, 3 had ended." in flashed(world, again)


def test_nobody_else_ticks_an_alert_and_no_other_action_is_known(world: World) -> None:
    alert_id = an_alert(world)
    here, body = url(world, "alerts"), {"action": "resolve", "alert": [alert_id]}
    theirs = f"/dashboard/projects/{world.charlies_instance.project_slug}/alerts"
    assert world.charlie.post(here, data=body).status_code == 404
    assert world.charlie.post(theirs, data=body).status_code == 303
    assert world.bob.post(here, data=body | {"action": "delete"}).status_code == 400
    assert "data-tick" in world.bob.get(here).text


def test_the_list_is_searched_and_filtered(world: World) -> None:
    an_alert(world)

    assert "is down" in world.bob.get(url(world, "alerts?q=PRODUCTION&severity=critical")).text
    assert "No alert fits" in world.bob.get(url(world, "alerts?q=100%25")).text
    assert "No alert fits" in world.bob.get(url(world, "alerts?severity=medium")).text
    assert "No alert fits" in world.bob.get(url(world, "alerts?status=resolved")).text


def test_the_tile_and_the_summary_count_by_severity(world: World) -> None:
    an_alert(world)
    with reading() as session:
        tile = pages.tiles(session, [world.instance.id, "none"], utc_now())
        summary = pages.summary(session, [world.instance.id], utc_now())

    assert (tile[world.instance.id].value, tile[world.instance.id].tone) == ("1", "critical")
    assert (tile["none"].value, tile["none"].tone) == ("0", "ok")
    assert summary == {
        world.instance.id: {"activeAlerts": dict.fromkeys(Severity, 0) | {"critical": 1}}
    }


@pytest.mark.parametrize(
    ("kind", "asks_for"),
    [
        ("webhook", "https://hooks.example.com"),
        ("email", "MAINSTAY_SMTP_HOST"),
        ("slack", "Incoming webhook URL"),
        ("teams", "Workflow"),
        ("discord", "Integrations, Webhooks"),
        ("telegram", "@BotFather"),
        ("ntfy", "Access token"),
        ("datadog", "us5.datadoghq.com"),
        ("pagerduty", "Integration key"),
        ("apprise", "Apprise URL"),
    ],
)
def test_choosing_a_kind_of_channel_shows_the_field_that_it_needs(
    world: World, kind: str, asks_for: str
) -> None:
    page = world.bob.get(url(world, "alerts/channels")).text
    assert f'<option value="{kind}"' in page
    assert f'hx-get="{url(world, "alerts/channels/target")}"' in page

    field = world.bob.get(url(world, f"alerts/channels/target?kind={kind}"))

    assert field.status_code == 200
    assert asks_for in field.text
    assert 'name="config.' in field.text


def test_there_is_no_field_for_what_is_no_kind_and_none_for_strangers(world: World) -> None:
    path = url(world, "alerts/channels/target?kind=")
    assert world.bob.get(f"{path}pigeon").status_code == 404
    assert world.charlie.get(f"{path}slack").status_code == 404


def test_a_channel_is_edited_by_the_fields_of_its_kind_and_a_secret_left_empty_stays(
    world: World,
) -> None:
    token = "123456:AAbbCCddEEffGGhhIIjjKKllMMnn"
    form = {
        "instanceId": world.instance.id,
        "kind": "telegram",
        "name": "harbour chat",
        "config.chatId": "-1001",
        "config.botToken": token,
        "config.topicId": "",
    }
    assert world.bob.post(url(world, "alerts/channels"), data=form).status_code == 303
    with reading() as session:
        (made,) = channels.list_channels(session, world.instance.project_id, None)
    edit = world.bob.get(url(world, f"alerts/channels?edit={made.id}")).text
    assert 'value="-1001"' in edit
    assert token not in edit

    base = url(world, f"alerts/channels/{made.id}/change")
    change = {"config.chatId": "-1002", "config.botToken": "", "config.topicId": "7"}
    world.bob.post(base, data=change | {"name": "quay chat"})

    with reading() as session:
        changed = channels.get_channel(session, world.instance.project_id, None, made.id)
    assert changed.config == {"chatId": "-1002", "botToken": token, "topicId": "7"}
    assert changed.name == "quay chat"
    world.bob.post(base, data={"config.chatId": "nobody"})
    with reading() as session:
        same = channels.get_channel(session, world.instance.project_id, None, made.id)
    assert same.config["chatId"] == "-1002"


def test_a_channel_of_slack_goes_from_its_webhook_to_a_bot_on_the_page(world: World) -> None:
    about = (world.instance.organization_id, world.instance.project_id, None)
    hook = {"webhookUrl": "https://hooks.slack.com/services/T/B/secret"}
    with transaction() as session:
        made = channels.create_channel(session, about, "slack", hook, now=utc_now())
    bot = {"config.botToken": "xoxb-1234567890-abc", "config.channel": "#ships"}

    base = url(world, f"alerts/channels/{made.id}/change")
    world.bob.post(base, data=bot | {"config.webhookUrl": "-"})

    with reading() as session:
        changed = channels.get_channel(session, world.instance.project_id, None, made.id)
    assert changed.config == {"botToken": "xoxb-1234567890-abc", "channel": "#ships"}


def test_a_field_longer_than_any_is_refused(world: World) -> None:
    form = {
        "instanceId": world.instance.id,
        "kind": "webhook",
        "config.webhookUrl": "https://hooks.example/" + "a" * 3000,
    }
    assert world.bob.post(url(world, "alerts/channels"), data=form).status_code in (303, 400)
    with reading() as session:
        assert channels.list_channels(session, world.instance.project_id, None) == []


def test_another_signing_secret_is_shown_once_and_a_fallback_and_a_limit_are_set(
    world: World,
) -> None:
    channel_id, other = (
        a_channel(world, "https://hooks.example/a"),
        a_channel(world, "https://b.example"),
    )
    base = url(world, f"alerts/channels/{channel_id}")

    rotated = world.bob.post(f"{base}/rotate")
    assert rotated.status_code == 200, rotated.text
    assert "whsec_" in rotated.text
    assert "a second signature" in rotated.text
    form = {"fallbackId": other, "perMinute": "12"}
    assert world.bob.post(f"{base}/change", data=form).status_code == 303

    page = world.bob.get(url(world, f"alerts/channels?edit={channel_id}")).text
    assert "whsec_" not in page
    assert "at most 12 a minute" in page
    assert "else webhook-2" in page
    assert "Two secrets sign until" in page
    assert world.bob.post(f"{base}/change", data={"perMinute": "-1"}).status_code in (400, 422)


def test_all_dead_letters_of_a_channel_are_resent_with_one_button(
    world: World, http_receiver: HttpReceiver
) -> None:
    http_receiver.answer(Answer(status=422), Answer(status=422))
    channel_id = a_channel(world, f"{http_receiver.url}/hook")
    for _ in range(2):
        world.bob.post(url(world, f"alerts/channels/{channel_id}/test"))
    run_waiting(now=utc_now())
    failed = world.bob.get(url(world, f"alerts/deliveries?state=failed&channel={channel_id}")).text
    assert "Resend all" in failed

    resend = url(world, "alerts/deliveries/resend")
    assert world.charlie.post(resend, data={"channel_id": channel_id}).status_code == 404
    assert world.bob.post(resend, data={"channel_id": channel_id}).status_code == 303
    run_waiting(now=utc_now())

    assert len(http_receiver.requests) == 4
    assert "Resend all" not in world.bob.get(url(world, "alerts/deliveries?state=failed")).text

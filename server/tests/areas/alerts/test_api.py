"""The API as REQUIREMENTS P9 names it, and who may use it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from mainstay_server.areas import alerts
from mainstay_server.areas.alerts.models import AlertChannel, AlertType
from mainstay_server.areas.alerts.service import asked, channels
from mainstay_server.contracts.alerts import (
    AlertAcknowledged,
    AlertChannelChanged,
    AlertChannelCreated,
    AlertChannelRemoved,
    AlertOpenedByHand,
    AlertResolvedByHand,
)
from mainstay_server.contracts.alerts.rules import AlertRuleChanged
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import new_id, reading, transaction
from mainstay_server.kernel.events import Audited, run_waiting, said_events
from mainstay_server.kernel.labels import fingerprint
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.settings import override_settings
from tests.servers.http import Answer, HttpReceiver
from tests.servers.smtp import SmtpServer
from tests.world import World

BACKUP_FAILED = {
    "type": "backup_failed",
    "severity": "critical",
    "title": "The dump of tonight is empty",
    "message": "0 bytes were written.",
}
NOBODY = "0193a5c2-7d1e-7c6b-9a3f-2f7d4c1b8e90"


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(alerts.area)


def path(world: World, rest: str = "alerts") -> str:
    return f"/api/instances/{world.instance.id}/{rest}"


def a_webhook(world: World, url: str = "https://hooks.example/services/T0/B0") -> dict[str, Any]:
    body = {"type": "webhook", "config": {"webhookUrl": url}}
    answer = world.bob.post(path(world, "alert-channels"), json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def audited() -> list[Audited]:
    with reading() as session:
        return [event for _, event in said_events(session) if isinstance(event, Audited)]


def test_an_alert_is_opened_listed_and_resolved_in_the_shapes_of_p9(world: World) -> None:
    opened = world.bob.post(path(world), json=BACKUP_FAILED)
    assert opened.status_code == 201
    alert = opened.json()

    listed = world.bob.get(path(world, "alerts?active=true")).json()
    assert listed == {
        "alerts": [
            {
                "id": alert["id"],
                "instanceId": world.instance.id,
                **BACKUP_FAILED,
                "status": "active",
                "createdAt": alert["createdAt"],
                "lastSeenAt": alert["createdAt"],
                "count": 1,
                "labels": alert["labels"],
                "fingerprint": alert["fingerprint"],
            }
        ]
    }

    body = {"alertId": alert["id"], "action": "resolve"}
    resolved = world.alice.post(path(world), json=body)
    assert resolved.status_code == 200
    assert resolved.json()["status"] == "resolved"
    assert resolved.json()["resolvedBy"] == "Alice"
    assert world.bob.get(path(world, "alerts?active=true")).json() == {"alerts": []}
    assert len(world.bob.get(path(world)).json()["alerts"]) == 1
    again = world.bob.post(path(world), json=body)
    assert again.json() == resolved.json(), "the first one who resolved it stays"
    assert [type(e) for e in audited()] == [AlertOpenedByHand, AlertResolvedByHand]


def test_an_alert_is_taken_in_hand_by_one_person(world: World) -> None:
    alert = world.bob.post(path(world), json=BACKUP_FAILED).json()
    body = {"alertId": alert["id"], "action": "acknowledge"}

    first = world.bob.post(path(world), json=body).json()
    second = world.alice.post(path(world), json=body).json()

    assert first["acknowledgedBy"] == second["acknowledgedBy"] == "Bob"
    assert first["status"] == "active"
    assert world.charlie.post(path(world), json=body).status_code in (403, 404)


def several(world: World, count: int) -> list[str]:
    bodies = [BACKUP_FAILED | {"title": f"Dump {number} is empty"} for number in range(count)]
    return [world.bob.post(path(world), json=body).json()["id"] for body in bodies]


def test_several_alerts_are_taken_in_hand_at_once_and_each_tells_what_became_of_it(
    world: World,
) -> None:
    mine, taken, over, last = several(world, 4)
    world.alice.post(path(world), json={"alertId": taken, "action": "acknowledge"})
    world.alice.post(path(world), json={"alertId": over, "action": "resolve"})
    theirs = world.charlie.post(
        f"/api/instances/{world.charlies_instance.id}/alerts", json=BACKUP_FAILED
    ).json()["id"]
    before = len(audited())

    body = {"action": "acknowledge", "alertIds": [mine, theirs, taken, over, NOBODY, last, mine]}
    answer = world.bob.post(f"/api/projects/{world.project}/alerts", json=body)

    assert answer.status_code == 200
    assert answer.json() == {
        "done": 2,
        "results": [
            {"alertId": mine, "outcome": "done"},
            {"alertId": theirs, "outcome": "unknown"},
            {"alertId": taken, "outcome": "already"},
            {"alertId": over, "outcome": "ended"},
            {"alertId": NOBODY, "outcome": "unknown"},
            {"alertId": last, "outcome": "done"},
        ],
    }
    by = {a["id"]: a.get("acknowledgedBy") for a in world.bob.get(path(world)).json()["alerts"]}
    assert by == {mine: "Bob", taken: "Alice", over: None, last: "Bob"}
    said = audited()[before:]
    assert {(type(e), e.target.id) for e in said} == {
        (AlertAcknowledged, mine),
        (AlertAcknowledged, last),
    }
    (untouched,) = world.charlie.get(f"/api/instances/{world.charlies_instance.id}/alerts").json()[
        "alerts"
    ]
    assert "acknowledgedBy" not in untouched


def test_several_alerts_are_resolved_at_once_whoever_has_them_in_hand(world: World) -> None:
    first, second, over = several(world, 3)
    world.alice.post(path(world), json={"alertId": second, "action": "acknowledge"})
    world.alice.post(path(world), json={"alertId": over, "action": "resolve"})

    body = {"action": "resolve", "alertIds": [first, second, over]}
    answer = world.bob.post(f"/api/projects/{world.project}/alerts", json=body).json()

    assert [one["outcome"] for one in answer["results"]] == ["done", "done", "ended"]
    assert world.bob.get(path(world, "alerts?active=true")).json() == {"alerts": []}
    by = {a["id"]: a["resolvedBy"] for a in world.bob.get(path(world)).json()["alerts"]}
    assert by == {first: "Bob", second: "Bob", over: "Alice"}
    said = [e.target.id for e in audited() if isinstance(e, AlertResolvedByHand)]
    assert sorted(said) == sorted([over, first, second])


def test_several_alerts_are_acted_on_by_members_and_by_so_many_at_once(world: World) -> None:
    (mine,) = several(world, 1)
    here = f"/api/projects/{world.project}/alerts"
    body = {"action": "resolve", "alertIds": [mine]}
    assert world.charlie.post(here, json=body).status_code == 404
    assert world.stranger.post(here, json=body).status_code == 401
    for wrong in (
        {"action": "resolve", "alertIds": []},
        {"action": "resolve", "alertIds": [mine] * 501},
        {"action": "delete", "alertIds": [mine]},
        {"action": "resolve"},
    ):
        assert world.bob.post(here, json=wrong).status_code == 400, wrong
    assert world.bob.get(path(world)).json()["alerts"][0]["status"] == "active"


def test_active_alerts_are_listed_by_whether_somebody_has_them_in_hand(world: World) -> None:
    mine, other = several(world, 2)
    world.bob.post(path(world), json={"alertId": mine, "action": "acknowledge"})

    for given, expected in (("true", [mine]), ("false", [other])):
        found = world.bob.get(path(world, f"alerts?acknowledged={given}")).json()["alerts"]
        assert [alert["id"] for alert in found] == expected


def test_an_alert_is_known_by_its_labels(world: World) -> None:
    alert = world.bob.post(path(world), json=BACKUP_FAILED).json()

    assert alert["labels"] == {
        "alertname": "backup_failed",
        "severity": "critical",
        "project": world.instance.project_slug,
        "environment": world.instance.environment,
    }
    assert alert["fingerprint"] == fingerprint(alert["labels"])


def test_opening_the_same_alert_twice_counts_it(world: World) -> None:
    first = world.bob.post(path(world), json=BACKUP_FAILED)
    second = world.bob.post(path(world), json=BACKUP_FAILED)

    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["id"] == first.json()["id"]
    assert second.json()["count"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"alertId": NOBODY},
        {"alertId": NOBODY, "action": "explode"},
        {**BACKUP_FAILED, "type": "moon_is_full"},
        {**BACKUP_FAILED, "severity": "panic"},
        {**BACKUP_FAILED, "colour": "red"},
        [],
    ],
)
def test_a_body_that_makes_no_sense_is_told_what_is_wrong(world: World, body: object) -> None:
    answer = world.bob.post(path(world), json=body)

    assert answer.status_code == 400
    assert answer.json()["errors"]


def test_an_unknown_alert_is_not_found(world: World) -> None:
    answer = world.bob.post(path(world), json={"alertId": NOBODY, "action": "resolve"})
    assert answer.status_code == 404


def test_an_alert_of_another_instance_is_not_found(world: World) -> None:
    alert_id = world.bob.post(path(world), json=BACKUP_FAILED).json()["id"]
    theirs = f"/api/instances/{world.charlies_instance.id}/alerts"

    answer = world.charlie.post(theirs, json={"alertId": alert_id, "action": "resolve"})

    assert answer.status_code == 404


def test_lists_are_filtered_and_paged(world: World) -> None:
    for number in range(5):
        world.bob.post(path(world), json={**BACKUP_FAILED, "title": f"Dump {number}"})

    page = world.bob.get(path(world, "alerts?limit=3")).json()
    rest = world.bob.get(path(world, f"alerts?limit=3&cursor={page['nextCursor']}")).json()

    titles = [alert["title"] for alert in page["alerts"] + rest["alerts"]]
    assert titles == ["Dump 4", "Dump 3", "Dump 2", "Dump 1", "Dump 0"]
    assert "nextCursor" not in rest
    assert world.bob.get(path(world, "alerts?severity=info")).json() == {"alerts": []}
    assert len(world.bob.get(path(world, "alerts?q=dump%203")).json()["alerts"]) == 1
    assert world.bob.get(path(world, "alerts?limit=0")).status_code == 400


def test_a_webhook_shows_its_secret_once_and_its_url_masked(world: World) -> None:
    made = a_webhook(world)

    assert made["secret"].startswith("whsec_")
    assert made["config"] == {"webhookUrl": "https://hooks.example/services/…"}
    (listed,) = world.bob.get(path(world, "alert-channels")).json()["channels"]
    assert listed["id"] == made["id"]
    assert "secret" not in listed
    assert listed["config"] == made["config"]
    assert [type(e) for e in audited()] == [AlertChannelCreated]


def test_an_address_can_be_added_before_mail_is_set_up_and_says_so(world: World) -> None:
    body = {"type": "email", "config": {"email": "team@ships.example"}}

    made = world.bob.post(path(world, "alert-channels"), json=body)

    assert made.status_code == 201
    assert made.json()["secret"] is None
    assert "MAINSTAY_SMTP_HOST" in made.json()["notReady"]


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("webhook", {"webhookUrl": "ftp://hooks.example/a"}),
        ("webhook", {"webhookUrl": "https://user:word@hooks.example/a"}),
        ("webhook", {"webhookUrl": "https:///a"}),
        ("webhook", {"webhookUrl": "https://hooks.example:port/a"}),
        ("webhook", {"webhookUrl": "https://hooks.example/" + "a" * 2000}),
        ("webhook", {"email": "team@ships.example"}),
        ("webhook", {}),
        ("email", {"email": "team@ships.example, boss@ships.example"}),
        ("email", {"email": "team@ships.example\nBcc: all@ships.example"}),
        ("email", {"email": "team"}),
        ("pigeon", {"loft": "north"}),
    ],
)
def test_a_config_that_cannot_work_is_refused(
    world: World, kind: str, config: dict[str, str]
) -> None:
    answer = world.bob.post(path(world, "alert-channels"), json={"type": kind, "config": config})

    assert answer.status_code == 400
    assert answer.json()["errors"]


def test_a_channel_is_changed_and_removed(world: World) -> None:
    made = a_webhook(world)
    one = path(world, f"alert-channels/{made['id']}")

    changed = world.bob.patch(one, json={"enabled": False, "minimumSeverity": "critical"})
    assert (changed.json()["enabled"], changed.json()["minimumSeverity"]) == (False, "critical")
    assert world.bob.post(f"{one}/test").status_code == 409
    assert world.bob.delete(one).status_code == 204
    assert world.bob.delete(one).status_code == 404
    kinds = [AlertChannelCreated, AlertChannelChanged, AlertChannelRemoved]
    assert [type(e) for e in audited()] == kinds


def test_the_same_target_twice_and_a_twenty_first_channel_are_refused(world: World) -> None:
    for number in range(20):
        a_webhook(world, f"https://hooks.example/{number}")

    def refused(url: str) -> str:
        body = {"type": "webhook", "config": {"webhookUrl": url}}
        answer = world.bob.post(path(world, "alert-channels"), json=body)
        assert answer.status_code == 409
        return str(answer.json()["detail"])

    assert "already" in refused("https://hooks.example/3")
    assert "20 channels" in refused("https://hooks.example/one-more")


def test_a_project_wide_channel_serves_every_instance(world: World) -> None:
    body = {"type": "webhook", "config": {"webhookUrl": "https://hooks.example/all"}}
    base = f"/api/projects/{world.project}/alert-channels"

    made = world.bob.post(base, json=body).json()

    assert (made["scope"], made["instanceId"]) == ("project", None)
    assert [c["id"] for c in world.bob.get(base).json()["channels"]] == [made["id"]]
    assert [c["id"] for c in world.bob.get(path(world, "alert-channels")).json()["channels"]] == [
        made["id"]
    ]


def test_a_test_goes_the_way_of_alerts_and_its_result_can_be_seen(
    world: World, http_receiver: HttpReceiver
) -> None:
    made = a_webhook(world, f"{http_receiver.url}/hook/secret")
    http_receiver.answer(Answer(status=422))

    sent = world.bob.post(path(world, f"alert-channels/{made['id']}/test"))
    assert (sent.status_code, sent.json()["state"]) == (202, "waiting")
    run_waiting(now=utc_now())

    history = f"/api/projects/{world.project}/alert-notifications"
    (failed,) = world.bob.get(f"{history}?state=failed").json()["notifications"]
    assert (failed["id"], failed["change"], failed["attempts"]) == (sent.json()["id"], "test", 1)
    assert failed["lastError"] == "The receiver answered 422: ok"
    assert world.bob.post(f"{history}/{failed['id']}/resend").status_code == 202
    run_waiting(now=utc_now())
    (sent_again,) = world.bob.get(history).json()["notifications"]
    assert sent_again["state"] == "delivered"
    assert world.bob.post(f"{history}/{failed['id']}/resend").status_code == 409
    assert world.bob.post(f"{history}/{NOBODY}/resend").status_code == 404


def test_rules_start_with_defaults_and_the_nearest_change_wins(world: World) -> None:
    rules = path(world, "alert-rules")
    by_type = {rule["type"]: rule for rule in world.bob.get(rules).json()["rules"]}
    assert len(by_type) == len(AlertType)
    assert by_type["high_error_rate"] == {
        "type": "high_error_rate",
        "enabled": True,
        "severity": "critical",
        "threshold": 5,
        "windowSeconds": 300,
        "minimumCount": 20,
        "runbook": "",
        "changed": None,
    }

    project = f"/api/projects/{world.project}/alert-rules/high_error_rate"
    assert world.bob.patch(project, json={"threshold": 2}).json()["changed"] == "project"
    here = world.bob.patch(f"{rules}/high_error_rate", json={"severity": "warning"}).json()
    assert (here["threshold"], here["severity"], here["changed"]) == (2, "warning", "instance")
    world.bob.patch(project, json={"threshold": 3})
    by_type = {rule["type"]: rule for rule in world.bob.get(rules).json()["rules"]}
    assert by_type["high_error_rate"]["threshold"] == 2
    assert [type(e) for e in audited()] == [AlertRuleChanged] * 3
    assert [e.changes for e in audited()] == [
        {"threshold": (5, 2)},
        {"severity": ("critical", "warning")},
        {"threshold": (2, 3)},
    ]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("high_error_rate", {"threshold": 0}),
        ("high_error_rate", {"threshold": 101}),
        ("high_error_rate", {"windowSeconds": 17}),
        ("new_issue", {"threshold": 0}),
        ("moon_is_full", {"enabled": False}),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    world: World, kind: str, change: dict[str, object]
) -> None:
    answer = world.bob.patch(path(world, f"alert-rules/{kind}"), json=change)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", "alerts"),
        ("POST", "alerts"),
        ("GET", "alert-channels"),
        ("POST", "alert-channels"),
        ("GET", "alert-rules"),
        ("PATCH", "alert-rules/new_issue"),
    ],
)
def test_charlie_and_strangers_are_refused(world: World, method: str, rest: str) -> None:
    assert world.charlie.request(method, path(world, rest), json={}).status_code == 403
    assert world.stranger.request(method, path(world, rest), json={}).status_code == 401
    unknown = f"/api/instances/{NOBODY}/{rest}"
    assert world.alice.request(method, unknown, json={}).status_code == 404


def test_charlie_reaches_no_channel_through_an_instance_of_his_own(world: World) -> None:
    made = a_webhook(world)
    theirs = f"/api/instances/{world.charlies_instance.id}/alert-channels/{made['id']}"

    assert world.charlie.patch(theirs, json={"enabled": False}).status_code == 404
    assert world.charlie.delete(theirs).status_code == 404
    assert world.charlie.post(f"{theirs}/test").status_code == 404


@pytest.mark.parametrize(
    ("kind", "config", "shown"),
    [
        (
            "slack",
            {"webhookUrl": "https://hooks.slack.com/services/T/B/very-secret"},
            "slack.com/…",
        ),
        ("pagerduty", {"routingKey": "verysecret0123456789abcdef012345"}, "PagerDuty …2345"),
    ],
)
def test_a_channel_of_each_kind_is_made_listed_and_never_shows_its_secret(
    world: World, kind: str, config: dict[str, str], shown: str
) -> None:
    made = world.bob.post(path(world, "alert-channels"), json={"type": kind, "config": config})

    assert made.status_code == 201, made.text
    assert made.json()["secret"] is None
    listed = world.bob.get(path(world, "alert-channels"))
    (channel,) = listed.json()["channels"]
    assert next(iter(channel["config"].values())).endswith(shown)
    assert "very-secret" not in listed.text
    assert "verysecret" not in listed.text
    assert listed.json()["kinds"][kind][0]["name"] == next(iter(config))


@pytest.mark.parametrize(
    ("kind", "config", "field"),
    [
        ("slack", {"webhookUrl": "https://hooks.slack.com/triggers/a"}, "config.webhookUrl"),
        ("pagerduty", {"routingKey": "short"}, "config.routingKey"),
        ("apprise", {"url": "syslog://"}, "config.url"),
    ],
)
def test_a_target_that_cannot_work_is_refused_by_the_name_of_its_field(
    world: World, kind: str, config: dict[str, str], field: str
) -> None:
    answer = world.bob.post(path(world, "alert-channels"), json={"type": kind, "config": config})

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_channel_s_config_and_name_are_changed_and_what_is_not_named_stays(world: World) -> None:
    config = {"topicUrl": "https://ntfy.sh/ships", "accessToken": "tk_verysecret"}
    made = world.bob.post(path(world, "alert-channels"), json={"type": "ntfy", "config": config})
    one = path(world, f"alert-channels/{made.json()['id']}")

    changed = world.bob.patch(
        one, json={"name": "quay", "config": {"topicUrl": "https://ntfy.sh/quay"}}
    )

    assert changed.status_code == 200, changed.text
    assert changed.json()["config"] == {"topicUrl": "https://ntfy.sh/…", "accessToken": "…"}
    assert changed.json()["name"] == "quay"
    assert "verysecret" not in changed.text
    assert world.bob.patch(one, json={"config": {"topic": "x"}}).status_code == 400
    taken = world.bob.patch(one, json={"config": {"accessToken": ""}})
    assert taken.json()["config"] == {"topicUrl": "https://ntfy.sh/…"}


def test_a_secret_does_not_follow_a_channel_to_another_server(world: World) -> None:
    config = {"topicUrl": "https://ntfy.sh/ships", "accessToken": "tk_verysecret"}
    made = world.bob.post(path(world, "alert-channels"), json={"type": "ntfy", "config": config})
    one = path(world, f"alert-channels/{made.json()['id']}")
    there = {"topicUrl": "https://ntfy.example/quay"}

    led = world.bob.patch(one, json={"config": there})
    assert led.json()["config"] == {"topicUrl": "https://ntfy.example/…"}
    back = {"topicUrl": "https://ntfy.sh/ships", "accessToken": "tk_another"}
    led = world.bob.patch(one, json={"config": back})
    assert led.json()["config"] == {"topicUrl": "https://ntfy.sh/…", "accessToken": "…"}


def test_a_webhook_s_secret_is_rotated_by_members_and_shown_in_that_answer_only(
    world: World,
) -> None:
    made = a_webhook(world)
    rotate = path(world, f"alert-channels/{made['id']}/rotate-secret")

    rotated = world.bob.post(rotate)

    assert rotated.status_code == 200, rotated.text
    assert rotated.json()["secret"].startswith("whsec_")
    assert rotated.json()["secret"] != made["secret"]
    (listed,) = world.bob.get(path(world, "alert-channels")).json()["channels"]
    assert listed["previousSecretUntil"] == rotated.json()["previousSecretUntil"]
    assert "secret" not in listed
    assert world.charlie.post(rotate).status_code == 403
    mail = {"type": "email", "config": {"email": "team@ships.example"}}
    other = world.bob.post(path(world, "alert-channels"), json=mail).json()
    refused = world.bob.post(path(world, f"alert-channels/{other['id']}/rotate-secret"))
    assert refused.status_code == 409


def test_a_fallback_and_a_limit_are_given_over_http(world: World) -> None:
    made = a_webhook(world)
    mail = {
        "type": "email",
        "config": {"email": "team@ships.example"},
        "fallbackId": made["id"],
        "perMinute": 30,
    }
    added = world.bob.post(path(world, "alert-channels"), json=mail)
    assert (added.json()["fallbackId"], added.json()["perMinute"]) == (made["id"], 30)
    one = path(world, f"alert-channels/{added.json()['id']}")
    lifted = world.bob.patch(one, json={"fallbackId": "", "perMinute": 0}).json()
    assert (lifted.get("fallbackId"), lifted["perMinute"]) == (None, 0)
    assert world.bob.patch(one, json={"fallbackId": NOBODY}).status_code == 400
    assert world.bob.patch(one, json={"perMinute": 100_000}).status_code in (400, 422)


def test_dead_letters_are_resent_all_at_once_by_members_only(
    world: World, http_receiver: HttpReceiver
) -> None:
    made = a_webhook(world, f"{http_receiver.url}/hook")
    http_receiver.answer(Answer(status=422), Answer(status=422))
    for _ in range(2):
        world.bob.post(path(world, f"alert-channels/{made['id']}/test"))
    run_waiting(now=utc_now())
    resend = f"/api/projects/{world.project}/alert-notifications/resend"

    assert world.charlie.post(resend, json={}).status_code == 404
    assert world.bob.post(resend, json={"channelId": NOBODY}).json() == {"resent": 0, "left": 0}
    assert world.bob.post(resend, json={}).json() == {"resent": 2, "left": 0}
    run_waiting(now=utc_now())
    states = world.bob.get(f"/api/projects/{world.project}/alert-notifications").json()
    assert {each["state"] for each in states["notifications"]} == {"delivered"}


def test_a_test_mail_goes_to_people_of_the_organization_unless_an_admin_sends_it(
    world: World,
) -> None:
    def test_of(address: str) -> str:
        body = {"type": "email", "config": {"email": address}}
        made = world.bob.post(path(world, "alert-channels"), json=body)
        assert made.status_code == 201, made.text
        return path(world, f"alert-channels/{made.json()['id']}/test")

    own, mate = test_of("Bob@ships.example"), test_of("alice@ships.example")
    stranger, rival = test_of("victim@elsewhere.example"), test_of("charlie@ships.example")

    assert world.bob.post(own).status_code == 202
    assert world.bob.post(mate).status_code == 202
    for one in (stranger, rival):
        refused = world.bob.post(one)
        assert refused.status_code == 403
        assert "ask an admin" in refused.json()["detail"]
    page = world.bob.post(url_of_test(world, stranger), data={"instance": "production"})
    assert page.status_code == 303
    assert world.alice.post(stranger).status_code == 202


def url_of_test(world: World, one: str) -> str:
    """The page's button for the test of a channel, by the address that the API has for it."""
    channel_id = one.split("/")[-2]
    return f"/dashboard/projects/{world.project}/alerts/channels/{channel_id}/test"


def test_one_mailbox_is_tested_five_times_an_hour(world: World, smtp: SmtpServer) -> None:
    body = {"type": "email", "config": {"email": "bob@ships.example"}}
    made = world.bob.post(path(world, "alert-channels"), json=body).json()
    override_settings(
        SmtpSettings(smtp_host=smtp.host, smtp_port=smtp.port, smtp_from="mainstay@ships.example")
    )

    answers = []
    for _ in range(6):
        answers.append(world.bob.post(path(world, f"alert-channels/{made['id']}/test")))
        run_waiting(now=utc_now())

    assert [each.status_code for each in answers] == [202] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 60
    assert len(smtp.messages) == 5


def test_channels_end_where_forms_could_not_name_one_more(world: World) -> None:
    organization_id = world.instance.organization_id
    about = {"organization_id": organization_id, "project_id": world.instance.project_id}
    with transaction() as session:
        session.add_all(
            AlertChannel(
                id=new_id(),
                **about,
                instance_id=world.instance.id,
                name=f"room {number:04}",
                type="webhook",
                config={"webhookUrl": f"http://127.0.0.1:9/{number}"},
                created_at=utc_now() - timedelta(days=1),
            )
            for number in range(999)
        )
    wide = f"/api/projects/{world.project}/alert-channels"
    body = {"type": "webhook", "config": {"webhookUrl": "http://127.0.0.1:9/last"}}

    assert world.bob.post(wide, json={**body, "name": "last"}).status_code == 201
    other = {"type": "webhook", "config": {"webhookUrl": "http://127.0.0.1:9/other"}}
    refused = world.bob.post(wide, json=other)
    assert refused.status_code == 409
    assert "1,000 is the most: remove one" in refused.json()["detail"]
    with reading() as session:
        seen = {one.name for one in asked.channels_of_organization(session, organization_id)}
        named = channels.channels_of_project(session, world.instance.project_id)
    assert len(seen) == len(named) == 1000
    assert any(": last (" in name for name in seen)

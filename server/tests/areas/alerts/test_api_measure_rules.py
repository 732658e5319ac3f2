"""Rules over measures through HTTP and in documents: written, changed, removed, refused."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from mainstay_server.areas import alerts
from mainstay_server.kernel.area import Area
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.measures import Measure, MeasureFamily, Past, PastQuestion, Reading
from sqlalchemy.orm import Session
from tests.world import World


def nothing(
    session: Session, *, since: datetime, until: datetime, by_part: bool
) -> Sequence[Reading]:
    return ()


MINUTE = timedelta(minutes=1)
REPLAYED: dict[datetime, float] = {}


def as_replayed(session: Session, asked: PastQuestion) -> Past:
    def at(moment: datetime) -> Sequence[Reading]:
        if moment not in REPLAYED:
            return ()
        values = {asked.measure: REPLAYED[moment]}
        return (Reading(instance_id=asked.instance_id, values=values, part=asked.part, count=100),)

    return Past(since=asked.windows.since, has_more_parts=False, at=at)


def stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"


FAMILY = MeasureFamily(
    measures=(
        Measure(name="requests.p95_ms", title="95th percentile", unit="ms", description="So slow."),
    ),
    read=nothing,
    replay=as_replayed,
    part="endpoint",
    counts="requests",
)
RULE: dict[str, Any] = {
    "name": "Checkout is slow",
    "measure": "requests.p95_ms",
    "part": "/checkout",
    "levels": [{"severity": "high", "threshold": 3000}, {"severity": "low", "threshold": 800}],
    "forSeconds": 120,
}


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(alerts.area, Area(name="requests", title="Requests", measures=(FAMILY,)))


def rules_of(world: World) -> str:
    return f"/api/projects/{world.project}/measure-rules"


def test_what_can_be_compared_is_listed(world: World) -> None:
    answer = world.bob.get(f"/api/projects/{world.project}/measures")
    assert answer.json() == {
        "measures": [
            {
                "name": "requests.p95_ms",
                "title": "95th percentile",
                "unit": "ms",
                "description": "So slow.",
                "worse": "above",
                "part": "endpoint",
                "counts": "requests",
                "windowed": True,
            }
        ]
    }


def test_a_rule_is_written_changed_and_removed(world: World) -> None:
    made = world.bob.post(rules_of(world), json=RULE | {"instanceId": world.instance.id})
    assert made.status_code == 201
    rule = made.json()
    assert (rule["instanceId"], rule["default"], rule["enabled"]) == (world.instance.id, None, True)
    assert [level["severity"] for level in rule["levels"]] == ["low", "high"]

    one = f"{rules_of(world)}/{rule['id']}"
    changed = world.bob.patch(one, json={"forSeconds": 0, "part": "*"}).json()
    assert (changed["forSeconds"], changed["part"], changed["name"]) == (0, "*", RULE["name"])
    assert world.bob.get(rules_of(world)).json()["rules"][0] == changed
    assert world.bob.delete(one).status_code == 204
    assert world.bob.patch(one, json={}).status_code == 404


def test_defaults_are_listed_changed_and_taken_again(world: World) -> None:
    def default(key: str) -> dict[str, Any]:
        rules = world.bob.get(rules_of(world)).json()["rules"]
        return next(rule for rule in rules if rule["default"] == key)

    assert default("memory")["waitsFor"] == "resource metrics, which nothing measures yet"
    before = default("slow-responses")
    one = f"{rules_of(world)}/slow-responses"
    assert world.bob.delete(one).json()["code"] == "conflict"
    changed = world.bob.patch(one, json={"enabled": False}).json()
    assert (changed["enabled"], changed["default"]) == (False, "slow-responses")
    assert world.bob.patch(one, json={"windowSeconds": 60}).json()["id"] == changed["id"]
    assert world.bob.delete(one).status_code == 204
    assert default("slow-responses") == before


@pytest.mark.parametrize(
    ("fields", "status", "why"),
    [
        ({"levels": []}, 400, "levels"),
        ({"levels": [{"severity": "panic", "threshold": 1}]}, 400, "severity"),
        ({"measure": "weather.rain"}, 400, "measure must be one of"),
        ({"windowSeconds": 61}, 400, "must be one of 60"),
        ({"forSeconds": 90_000}, 400, "forSeconds"),
        ({"name": ""}, 400, "name"),
        ({"surprise": 1}, 400, "surprise"),
        (
            {"levels": [{"severity": "low", "threshold": 5}, {"severity": "high", "threshold": 5}]},
            400,
            "must lie beyond",
        ),
        (
            {
                "levels": [
                    {"severity": "medium", "threshold": 1},
                    {"severity": "warning", "threshold": 2},
                ]
            },
            400,
            "one rank",
        ),
        ({"levels": [{"severity": "low", "threshold": 5, "clear": 6}]}, 400, "beyond its thresh"),
        ({"instanceId": "nobody"}, 404, "no instance"),
    ],
)
def test_nonsense_is_refused(world: World, fields: dict[str, Any], status: int, why: str) -> None:
    answer = world.bob.post(rules_of(world), json=RULE | fields)
    assert (answer.status_code, why in answer.text) == (status, True), answer.text


def test_a_name_is_one_rules_own_and_lists_have_pages(world: World) -> None:
    assert world.bob.post(rules_of(world), json=RULE).status_code == 201
    assert world.bob.post(rules_of(world), json=RULE).status_code == 409
    first = world.bob.get(f"{rules_of(world)}?limit=5").json()
    rest = world.bob.get(f"{rules_of(world)}?cursor={first['nextCursor']}").json()
    every = world.bob.get(rules_of(world)).json()["rules"]
    assert first["rules"] + rest["rules"] == every
    assert world.bob.get(f"{rules_of(world)}?cursor=strange").status_code == 400


def test_charlie_sees_and_changes_nothing(world: World) -> None:
    rule_id = world.bob.post(rules_of(world), json=RULE).json()["id"]
    assert world.charlie.get(rules_of(world)).status_code == 404
    assert world.charlie.post(rules_of(world), json=RULE).status_code == 404
    assert world.charlie.delete(f"{rules_of(world)}/{rule_id}").status_code == 404
    theirs = f"/api/projects/{world.charlies_instance.project_slug}/measure-rules"
    assert world.charlie.patch(f"{theirs}/{rule_id}", json={}).status_code == 404
    ours = RULE | {"instanceId": world.instance.id}
    assert world.charlie.post(theirs, json=ours).status_code == 404


def test_the_form_writes_what_the_api_tells(world: World) -> None:
    base = f"/dashboard/projects/{world.project}/alerts"
    assert "95th percentile" in world.bob.get(f"{base}/measure-rules/new").text
    form = {
        "instanceId": world.instance.id,
        "name": "Checkout <is> slow",
        "measure": "requests.p95_ms",
        "part": "/checkout",
        "compares": "above",
        "windowSeconds": "300",
        "forSeconds": "300",
        "clearSeconds": "600",
        "minimumCount": "20",
        "warning": "800",
        "critical": "3000",
        "clearMargin": "10",
        "switch": "on",
        "scope": "instance",
    }
    saved = world.bob.post(f"{base}/measure-rules", data=form)
    assert saved.headers["location"] == f"{base}/rules?instance=production"
    rule = world.bob.get(rules_of(world)).json()["rules"][0]
    assert (rule["name"], rule["instanceId"]) == ("Checkout <is> slow", world.instance.id)
    assert rule["levels"] == [
        {"severity": "warning", "threshold": 800, "clear": 720},
        {"severity": "critical", "threshold": 3000, "clear": 2700},
    ]
    page = world.bob.get(f"{base}/rules").text
    assert "Checkout &lt;is&gt; slow" in page
    assert "Dormant" in page
    assert 'value="3000"' in world.bob.get(f"{base}/measure-rules/{rule['id']}").text

    world.bob.post(f"{base}/measure-rules/{rule['id']}/switch", data={"enabled": "off"})
    assert world.bob.get(rules_of(world)).json()["rules"][0]["enabled"] is False
    refused = world.bob.post(f"{base}/measure-rules", data=form | {"name": "x", "warning": "lots"})
    nameless = world.bob.post(f"{base}/measure-rules", data=form | {"name": ""})
    assert nameless.headers["location"] == refused.headers["location"]
    assert refused.headers["location"] == f"{base}/measure-rules/new?instance=production"
    world.bob.post(f"{base}/measure-rules/{rule['id']}/remove")
    assert world.bob.get(rules_of(world)).json()["rules"][0]["default"] == "slow-responses"
    assert world.charlie.get(f"{base}/measure-rules/new").status_code == 404


def previews_of(world: World) -> str:
    return f"/api/projects/{world.project}/measure-rule-preview"


def test_a_preview_tells_how_often_a_rule_would_have_fired_and_saves_nothing(
    world: World,
) -> None:
    begins = utc_now().replace(second=0, microsecond=0) - 30 * MINUTE
    REPLAYED.clear()
    REPLAYED.update({begins + minute * MINUTE: 5000.0 for minute in range(5)})
    body = RULE | {"forSeconds": 60, "clearSeconds": 0, "instanceId": world.instance.id}

    answer = world.bob.post(previews_of(world), json=body)

    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["ground"], told["count"], told["alerts"]) == ("judged", 1, 1)
    assert (told["firingNow"], told["judgedMinutes"], told["lookedAtAll"]) == (None, 5, True)
    (firing,) = told["firings"]
    assert (firing["severity"], firing["part"]) == ("high", "/checkout")
    assert firing["beganAt"] == stamp(begins + MINUTE)
    assert firing["endedAt"] == stamp(begins + 5 * MINUTE)
    assert firing["durationSeconds"] == 240
    assert firing["worst"]["value"] == 5000
    assert firing["alerts"] == [{"at": stamp(begins + MINUTE), "severity": "high"}]
    assert all(rule["default"] for rule in world.bob.get(rules_of(world)).json()["rules"])


@pytest.mark.parametrize(
    ("fields", "status", "why"),
    [
        ({"measure": "weather.rain"}, 400, "measure must be one of"),
        ({"levels": []}, 400, "levels"),
        ({"of": "everybody"}, 400, "of"),
        ({"instanceId": "nobody"}, 404, "no instance"),
    ],
)
def test_a_preview_of_nonsense_is_refused(
    world: World, fields: dict[str, Any], status: int, why: str
) -> None:
    body = RULE | {"instanceId": world.instance.id} | fields
    answer = world.bob.post(previews_of(world), json=body)
    assert (answer.status_code, why in answer.text) == (status, True), answer.text


def test_charlie_previews_nothing_of_others(world: World) -> None:
    body = RULE | {"instanceId": world.instance.id}
    assert world.charlie.post(previews_of(world), json=body).status_code == 404
    theirs = f"/api/projects/{world.charlies_instance.project_slug}/measure-rule-preview"
    assert world.charlie.post(theirs, json=body).status_code == 404
    form = {"instanceId": world.instance.id, "name": "", "measure": "requests.p95_ms"}
    page = f"/dashboard/projects/{world.project}/alerts/measure-rules/preview"
    assert world.charlie.post(page, data=form).status_code == 404


def test_the_form_previews_what_is_typed_with_and_without_scripts(world: World) -> None:
    REPLAYED.clear()
    REPLAYED.update({utc_now().replace(second=0, microsecond=0): 4321.0})
    base = f"/dashboard/projects/{world.project}/alerts/measure-rules"
    form = {
        "instanceId": world.instance.id,
        "name": "<b>Not yet named",
        "measure": "requests.p95_ms",
        "compares": "above",
        "windowSeconds": "300",
        "forSeconds": "0",
        "clearSeconds": "600",
        "minimumCount": "0",
        "warning": "1234",
        "clearMargin": "10",
        "scope": "instance",
    }
    assert "see here how often" in world.bob.get(f"{base}/new").text
    page = world.bob.post(f"{base}/preview", data=form).text
    for told in ("It would have fired", "1 time", "It would be firing now", "4,321 ms"):
        assert told in page
    for typed in ('value="1234"', "&lt;b&gt;Not yet named", 'value="10"', "<html"):
        assert typed in page

    part = world.bob.post(f"{base}/preview", data=form, headers={"hx-request": "true"}).text
    assert "It would be firing now" in part
    assert "<html" not in part
    nameless = world.bob.post(f"{base}/preview", data=form | {"name": ""}).text
    assert "It would be firing now" in nameless
    unsaid = world.bob.post(f"{base}/preview", data=form | {"warning": ""}).text
    assert "Give at least one severity a number" in unsaid
    assert 'value="600" selected' in unsaid
    REPLAYED.clear()
    assert "No data." in world.bob.post(f"{base}/preview", data=form).text
    assert all(rule["default"] for rule in world.bob.get(rules_of(world)).json()["rules"])

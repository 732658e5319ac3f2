"""Silences over HTTP, and who may make which."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from mainstay_server.areas import alerts
from mainstay_server.kernel.clock import rfc3339, utc_now
from tests.world import World

MATCHERS = '{alertname="backup_failed",environment=~"prod.*"}'


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(alerts.area)


def path(world: World, rest: str = "") -> str:
    return f"/api/projects/{world.project}/alert-silences{rest}"


def in_hours(hours: float) -> str:
    return rfc3339(utc_now() + timedelta(hours=hours))


def a_silence(**changes: Any) -> dict[str, Any]:
    return {"matchers": MATCHERS, "endsAt": in_hours(2), "comment": "Moving", **changes}


def test_a_silence_is_made_listed_extended_and_expired(world: World) -> None:
    answer = world.bob.post(path(world), json=a_silence())
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["state"], made["reach"], made["by"]) == ("active", "project", "Bob")
    assert made["matchers"] == MATCHERS

    later = in_hours(5)
    change = {"endsAt": later, "comment": "Still moving"}
    changed = world.bob.patch(path(world, f"/{made['id']}"), json=change).json()
    assert (changed["endsAt"], changed["comment"]) == (later, "Still moving")
    assert world.bob.get(path(world, f"/{made['id']}")).json() == changed
    assert world.bob.get(path(world, "?state=active")).json()["silences"] == [changed]

    expired = world.bob.post(path(world, f"/{made['id']}/expire")).json()
    assert expired["state"] == "expired"
    assert world.bob.get(path(world, "?state=active")).json()["silences"] == []
    assert len(world.bob.get(path(world)).json()["silences"]) == 1


def test_a_preview_shows_what_a_silence_would_hold(world: World) -> None:
    alert = {"type": "backup_failed", "severity": "critical", "title": "Empty", "message": "0 B"}
    opened = world.bob.post(f"/api/instances/{world.instance.id}/alerts", json=alert).json()

    answer = world.bob.post(
        f"/api/projects/{world.project}/alert-silence-preview", json={"matchers": MATCHERS}
    )

    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert [each["id"] for each in found["active"]] == [opened["id"]]
    assert (found["activeCount"], found["pastCount"], found["lookedAtAll"]) == (1, 0, True)


def test_what_holds_for_the_whole_organization_is_for_who_administers_it(world: World) -> None:
    everywhere = a_silence(reach="organization")
    refused = world.bob.post(path(world), json=everywhere)
    assert refused.status_code == 403
    assert "needs its admin" in refused.json()["detail"]

    made = world.alice.post(path(world), json=everywhere).json()

    assert made["reach"] == "organization"
    assert world.bob.get(path(world)).json()["silences"] == [made]
    assert world.bob.post(path(world, f"/{made['id']}/expire")).status_code == 403
    assert world.bob.patch(path(world, f"/{made['id']}"), json={"comment": "x"}).status_code == 403
    assert world.alice.post(path(world, f"/{made['id']}/expire")).json()["state"] == "expired"


def test_charlie_neither_sees_nor_ends_the_silences_of_others(world: World) -> None:
    made = world.alice.post(path(world), json=a_silence(reach="organization")).json()
    theirs = f"/api/projects/{world.charlies_instance.project_slug}/alert-silences"

    for answer in (
        world.charlie.get(path(world)),
        world.charlie.get(path(world, f"/{made['id']}")),
        world.charlie.post(path(world, f"/{made['id']}/expire")),
        world.charlie.get(f"{theirs}/{made['id']}"),
        world.charlie.post(f"{theirs}/{made['id']}/expire"),
    ):
        assert answer.status_code == 404
    assert world.charlie.get(theirs).json()["silences"] == []


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"matchers": "alertname"}, "an operator is missing"),
        ({"matchers": 'a=~"("'}, "syntax of RE2"),
        ({"matchers": 'a=~".*"'}, "would hold every alert"),
        ({"endsAt": "2020-01-01T00:00:00Z"}, "lies ahead"),
        ({"comment": " "}, "why alerts are held"),
    ],
)
def test_nonsense_is_refused_with_the_next_step(
    world: World, changes: dict[str, Any], advice: str
) -> None:
    answer = world.bob.post(path(world), json=a_silence(**changes))

    assert answer.status_code == 400
    assert advice in answer.json()["detail"]

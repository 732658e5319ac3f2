"""The pages of silences: the list, the form with what it would hold, and the buttons."""

import re
from collections.abc import Callable

import pytest
from mainstay_server.areas import alerts
from tests.world import World


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(alerts.area)


def path(world: World, rest: str = "") -> str:
    return f"/dashboard/projects/{world.project}/alerts/silences{rest}"


def silence(world: World, **changes: str) -> int:
    form = {"matchers": 'alertname="instance_down"', "comment": "Moving", "minutes": "120"}
    return world.bob.post(path(world), data={**form, **changes}).status_code


def id_of_newest(world: World) -> str:
    found = re.search(r"silences/([0-9a-f-]{36})/expire", world.bob.get(path(world)).text)
    assert found is not None
    return found[1]


def test_an_empty_list_tells_what_a_silence_does(world: World) -> None:
    page = world.bob.get(path(world))

    assert page.status_code == 200
    assert "Nothing is silent" in page.text
    assert "Silence alerts" in page.text


def test_a_silence_is_made_extended_and_ended(world: World) -> None:
    assert silence(world) == 303
    page = world.bob.get(path(world)).text
    assert "{alertname=&#34;instance_down&#34;}" in page
    assert "Moving" in page

    one = id_of_newest(world)
    assert world.bob.post(path(world, f"/{one}/extend"), data={"minutes": "60"}).status_code == 303
    assert world.bob.post(path(world, f"/{one}/expire")).status_code == 303

    ended = world.bob.get(path(world, "?state=expired")).text
    assert "Ended" in ended
    assert "matchers=%7Balertname" in ended
    assert "No silence is active" in world.bob.get(path(world, "?state=active")).text


def test_what_is_wrong_stands_above_a_form_that_stays_filled_in(world: World) -> None:
    page = world.bob.post(
        path(world), data={"matchers": "alertname", "comment": "<b>Moving</b>", "minutes": "60"}
    )

    assert page.status_code == 200
    assert "an operator is missing" in page.text
    assert "&lt;b&gt;Moving&lt;/b&gt;" in page.text
    assert "Nothing is silent" in world.bob.get(path(world)).text


def test_the_preview_follows_the_matchers(world: World) -> None:
    alert = {"type": "backup_failed", "severity": "critical", "title": "<i>Empty</i>"}
    world.bob.post(f"/api/instances/{world.instance.id}/alerts", json=alert)

    def preview(matchers: str) -> str:
        return world.bob.get(path(world, "/preview"), params={"matchers": matchers}).text

    assert "&lt;i&gt;Empty&lt;/i&gt;" in preview('alertname="backup_failed"')
    assert "0 active alerts" in preview('alertname="x"')
    assert "an operator is missing" in preview("x")
    assert "Write which labels" in preview("")


def test_only_who_administers_may_silence_the_whole_organization(world: World) -> None:
    form = {"matchers": "a=b", "comment": "All", "minutes": "60", "scope": "organization"}
    assert "all projects" not in world.bob.get(path(world, "/new")).text
    assert "needs its admin" in world.bob.post(path(world), data=form).text

    assert "all projects" in world.alice.get(path(world, "/new")).text
    assert world.alice.post(path(world), data=form).status_code == 303
    assert "/expire" not in world.bob.get(path(world)).text
    assert "/expire" in world.alice.get(path(world)).text


def test_an_alert_leads_to_the_form_that_silences_it(world: World) -> None:
    alert = {"type": "backup_failed", "severity": "critical", "title": "Empty"}
    world.bob.post(f"/api/instances/{world.instance.id}/alerts", json=alert)
    history = world.bob.get(f"/dashboard/projects/{world.project}/alerts").text
    (link,) = re.findall(r'href="([^"]*/silences/new[^"]*)"', history)

    form = world.bob.get(link.replace("&amp;", "&")).text

    assert "alertname=&#34;backup_failed&#34;,environment=&#34;production&#34;" in form

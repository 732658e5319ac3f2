"""The page of probes: how to start one, its command once, and who may."""

import re
from collections.abc import Callable

import pytest
from mainstay_server.areas.health_checks import area
from tests.world import Browser, World

PATH = "/dashboard/organization/probes"


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area)


def add(owner: Browser, location: str) -> str:
    answer = owner.post(PATH, data={"location": location, "name": ""})
    assert answer.status_code == 200
    return str(answer.text)


def test_without_a_probe_it_says_what_one_is_for_and_how_to_start_it(world: World) -> None:
    page = world.alice.get(PATH).text

    assert "Mainstay asks from one place" in page
    assert "mainstay probe --server" in page


def test_a_new_probe_shows_its_command_once(world: World) -> None:
    made = add(world.alice, "Frankfurt")
    page = world.alice.get(PATH).text

    assert re.search(r"mainstay probe --server \S+ --token mst_probe_\w{38}", made)
    assert "Frankfurt" in page
    assert "Not started yet" in page
    assert not re.search(r"mst_probe_\w{38}", page)


def test_what_does_not_do_is_said_beside_the_form(world: World) -> None:
    add(world.alice, "Oslo")

    assert "has a probe already" in add(world.alice, "Oslo")
    assert "Name another place than here" in add(world.alice, "here")
    assert "Name another place than here" in add(world.alice, "<b>")


def test_members_see_them_and_strangers_do_not(world: World) -> None:
    add(world.alice, "Oslo")

    bobs = world.bob.get(PATH).text
    assert "Oslo" in bobs
    assert "Add a probe" not in bobs
    assert world.bob.post(PATH, data={"location": "Rome"}).status_code == 403
    assert "Oslo" not in world.charlie.get(PATH).text


def test_a_probe_is_removed_by_who_administers(world: World) -> None:
    add(world.alice, "Oslo")
    probe_id = world.alice.get("/api/probes").json()["probes"][0]["id"]
    page = world.alice.get(PATH).text
    assert "Remove the probe at Oslo?" in page
    assert f'data-opens="remove-{probe_id}"' in page
    assert f"{PATH}/{probe_id}/remove" not in world.bob.get(PATH).text

    assert world.bob.post(f"{PATH}/{probe_id}/remove").status_code == 403
    world.charlie.post(f"{PATH}/{probe_id}/remove")
    assert len(world.alice.get("/api/probes").json()["probes"]) == 1
    world.alice.post(f"{PATH}/{probe_id}/remove")
    assert world.alice.get("/api/probes").json()["probes"] == []

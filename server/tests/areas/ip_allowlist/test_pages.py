from collections.abc import Callable

import pytest
from mainstay_server.areas.ip_allowlist import area
from tests.world import World


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area)


def test_an_admin_lets_in_switches_and_removes_by_forms(world: World) -> None:
    base = f"/dashboard/projects/{world.project}/allowlist/{world.instance.id}"
    panel = f"/dashboard/projects/{world.project}/panels/allowlist"
    assert "Everybody may come from anywhere" in world.alice.get(panel).text

    form = {"network": "10.0.0.0/8", "description": "vpn"}
    assert world.alice.post(f"{base}/add", data=form).status_code == 303
    assert "Only these get in" in world.alice.get(panel).text
    api = f"/api/instances/{world.instance.id}/ip-allowlist"
    (entry,) = world.alice.get(api).json()["allowlist"]

    assert world.alice.post(f"{base}/{entry['id']}/toggle").status_code == 303
    assert "everybody gets in" in world.alice.get(panel).text
    assert world.alice.post(f"{base}/{entry['id']}/remove").status_code == 303
    assert world.alice.get(api).json()["allowlist"] == []


def test_members_see_the_list_without_its_forms(world: World) -> None:
    base = f"/dashboard/projects/{world.project}/allowlist/{world.instance.id}"
    panel = f"/dashboard/projects/{world.project}/panels/allowlist"
    assert "Let an address in" not in world.bob.get(panel).text
    assert world.bob.post(f"{base}/add", data={"network": "10.0.0.1"}).status_code == 403

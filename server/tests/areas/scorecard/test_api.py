"""The scorecard over HTTP: for those whose instance it is."""

from collections.abc import Callable

from mainstay_server.areas.scorecard import area as scorecard
from tests.world import World


def test_others_do_not_see_it(client_for: Callable[..., World]) -> None:
    world = client_for(scorecard)
    path = f"/api/instances/{world.instance.id}/scorecard"
    assert world.charlie.get(path).status_code == 403
    assert world.stranger.get(path).status_code == 401

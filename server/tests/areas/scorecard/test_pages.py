"""The scorecard page shows the questions of every area, and the way to mend."""

from collections.abc import Callable

from mainstay_server.areas.scorecard import area as scorecard
from tests.areas.scorecard.test_service import fine, leak, ship
from tests.world import World


def test_the_page_says_what_is_left_and_offers_the_gate(client_for: Callable[..., World]) -> None:
    world = client_for(scorecard, ship(fine, leak))
    page = world.bob.get(f"/dashboard/projects/{world.project}/scorecard")
    assert page.status_code == 200
    assert "Not ready yet" in page.text
    assert "Water comes in." in page.text
    assert "mainstay doctor --project inspections --environment production" in page.text


def test_others_do_not_find_the_page(client_for: Callable[..., World]) -> None:
    world = client_for(scorecard)
    path = f"/dashboard/projects/{world.project}/scorecard"
    assert world.charlie.get(path).status_code == 404

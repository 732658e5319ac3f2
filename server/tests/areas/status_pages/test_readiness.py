"""What the scorecard asks: do users learn how the app is without asking?"""

from mainstay_server.areas.status_pages.readiness import users_can_see
from mainstay_server.kernel.readiness import Finding, NotApplicable, Passed
from mainstay_server.kernel.watching import State
from tests.areas.status_pages.conftest import DAY, NOON, Desk


def test_a_published_component_of_production_passes(desk: Desk) -> None:
    desk.component("API", (State.HEALTHY, NOON - DAY))

    outcome = users_can_see.ask(desk.session, desk.instance, NOON)

    assert outcome == Passed(evidence="It is shown on Acme.")


def test_what_is_watched_and_shown_nowhere_is_a_finding(desk: Desk) -> None:
    desk.tower.see(desk.session, desk.instance, "API", (State.HEALTHY, NOON - DAY))

    assert isinstance(users_can_see.ask(desk.session, desk.instance, NOON), Finding)


def test_a_draft_shows_nothing(desk: Desk) -> None:
    desk.component("API", (State.HEALTHY, NOON - DAY))
    desk.change(published=False)

    assert isinstance(users_can_see.ask(desk.session, desk.instance, NOON), Finding)


def test_what_is_not_watched_has_nothing_to_show(desk: Desk) -> None:
    assert isinstance(users_can_see.ask(desk.session, desk.instance, NOON), NotApplicable)

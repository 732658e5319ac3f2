from datetime import timedelta

from mainstay_server.areas.incidents import jobs
from mainstay_server.areas.incidents.service import listing, states
from mainstay_server.areas.incidents.service.listing import IncidentFilter
from mainstay_server.areas.incidents.settings import IncidentKeeping
from mainstay_server.kernel.settings import override_settings
from sqlalchemy.orm import Session
from tests.world import a_project

from .worlds import DAY, NOON, SECOND, opened


def test_what_is_over_is_kept_as_long_as_is_set_and_what_is_open_for_ever(session: Session) -> None:
    override_settings(IncidentKeeping(incidents_keep_days=30))
    instance = a_project(session, now=NOON)
    over, still = opened(session, instance), opened(session, instance)
    states.resolve(session, over, now=NOON)
    forget = jobs.forget_old_incidents.function
    assert forget(session, now=NOON + 30 * DAY) == 0
    assert forget(session, now=NOON + timedelta(days=30) + SECOND) == 1
    left = listing.list_incidents(session, instance.project_id, IncidentFilter(), limit=9).items
    assert left == [still]

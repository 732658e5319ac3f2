from mainstay_server.areas.maintenance import jobs
from mainstay_server.contracts.maintenance import MaintenanceAnnounced, MaintenanceBegan
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.world import a_project

from .worlds import HOUR, NOON, planned


def test_the_job_says_what_is_due(session: Session, said: Said) -> None:
    planned(session, a_project(session, now=NOON))
    jobs.tell_windows.function(session, now=NOON + HOUR)
    assert [type(event) for event in said()][-2:] == [MaintenanceAnnounced, MaintenanceBegan]

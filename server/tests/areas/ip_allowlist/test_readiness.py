from datetime import UTC, datetime

from mainstay_server.areas.ip_allowlist import readiness, service
from mainstay_server.kernel.readiness import Finding, NotApplicable, Passed
from sqlalchemy.orm import Session
from tests.world import a_project

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_a_list_that_lets_everybody_in_is_found(session: Session) -> None:
    instance = a_project(session, now=NOON)
    ask = readiness.the_allowlist_is_narrow.ask
    assert isinstance(ask(session, instance, NOON), NotApplicable)
    service.add_entry(session, instance, "10.0.0.0/8", now=NOON)
    assert isinstance(ask(session, instance, NOON), Passed)
    service.add_entry(session, instance, "0.0.0.0/0", now=NOON)
    assert isinstance(ask(session, instance, NOON), Finding)

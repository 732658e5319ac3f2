from mainstay_server.areas.abuse import readiness
from mainstay_server.areas.abuse.models import Mode
from mainstay_server.areas.abuse.service import watching
from mainstay_server.kernel.readiness import Finding, Passed
from sqlalchemy.orm import Session
from tests.areas.abuse.worlds import NOON
from tests.world import a_project


def test_abuse_that_is_only_simulated_is_found(session: Session) -> None:
    instance = a_project(session, now=NOON)
    ask = readiness.abuse_is_looked_for.ask
    assert isinstance(ask(session, instance, NOON), Finding)
    watching.change_settings(session, instance, mode=Mode.ENFORCE, thresholds=None, now=NOON)
    assert isinstance(ask(session, instance, NOON), Passed)

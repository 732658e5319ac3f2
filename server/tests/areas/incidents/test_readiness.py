"""The scorecard asks whether somebody works on what is open, and whether something was learnt."""

import pytest
from mainstay_server.areas.incidents import readiness
from mainstay_server.areas.incidents.models import Severity
from mainstay_server.areas.incidents.service import incidents, postmortems, states
from mainstay_server.areas.incidents.service.incidents import NewIncident, add_incident
from mainstay_server.kernel.readiness import Finding, NotApplicable, Passed
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.world import a_project

from .worlds import DAY, HOUR, NOON, SECOND, opened


@pytest.fixture
def instance(session: Session) -> InstanceRef:
    return a_project(session, now=NOON)


def test_what_waits_for_an_hour_is_found_until_somebody_takes_it_up(
    session: Session, instance: InstanceRef
) -> None:
    ask = readiness.somebody_works.ask
    assert isinstance(ask(session, instance, NOON), NotApplicable)
    project = incidents.lock_project(session, instance.project_id)
    assert project is not None
    wanted = NewIncident(title="down", severity=Severity.MAJOR, instance_id=instance.id)
    made = add_incident(session, project, wanted, automatic=True, at=NOON, now=NOON)
    assert isinstance(ask(session, instance, NOON + HOUR), Passed)
    found = ask(session, instance, NOON + HOUR + SECOND)
    assert isinstance(found, Finding)
    assert f"incidents/{made.id}?" in found.fix_url
    incidents.acknowledge(session, made, person_id="1", name="Ada", now=NOON + 2 * HOUR)
    assert isinstance(ask(session, instance, NOON + 3 * HOUR), Passed)


def test_a_critical_one_owes_a_postmortem_after_five_days(
    session: Session, instance: InstanceRef
) -> None:
    ask = readiness.something_was_learnt.ask
    opened(session, instance, instance_id=instance.id)
    grave = opened(session, instance, instance_id=instance.id, severity=Severity.CRITICAL)
    states.resolve(session, grave, now=NOON)
    assert isinstance(ask(session, instance, NOON + 4 * DAY), NotApplicable)
    found = ask(session, instance, NOON + 6 * DAY)
    assert isinstance(found, Finding)
    assert found.problem.startswith("1 critical incident has no postmortem")
    postmortems.save(session, grave, "learnt", version=0, now=NOON + 6 * DAY)
    assert isinstance(ask(session, instance, NOON + 6 * DAY), Passed)
    assert isinstance(ask(session, instance, NOON + 91 * DAY), NotApplicable)

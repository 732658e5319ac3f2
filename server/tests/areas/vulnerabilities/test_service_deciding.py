"""Decisions: with a reason, for a time, taken back, and never of somebody else's finding."""

import pytest
from mainstay_server.areas.vulnerabilities.models import Decision, Status
from mainstay_server.areas.vulnerabilities.service import deciding
from mainstay_server.contracts.vulnerabilities import VulnerabilityDecided
from mainstay_server.kernel.problems import Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.vulnerabilities.worlds import (
    DAY,
    HOUR,
    NOON,
    findings,
    result,
    sarif,
    uploaded,
)
from tests.conftest import Said
from tests.world import a_project


def a_finding(session: Session, instance: InstanceRef) -> str:
    uploaded(session, instance, sarif(result("B602")))
    return findings(session)[0].id


def test_an_accepted_risk_is_open_again_when_its_time_is_over(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    finding_id = a_finding(session, instance)
    said()
    accepted = deciding.decide(
        session,
        instance,
        finding_id,
        Decision.ACCEPTED,
        reason=" only admins ",
        until=NOON + DAY,
        now=NOON,
    )
    assert (accepted.status, accepted.decided_reason) == (Status.ACCEPTED, "only admins")
    (event,) = said()
    assert isinstance(event, VulnerabilityDecided)
    assert event.changes["status"] == ("open", "accepted")

    assert deciding.end_acceptances(session, now=NOON + DAY - HOUR) == 0
    assert deciding.end_acceptances(session, now=NOON + DAY) == 1
    assert findings(session)[0].status == Status.OPEN
    assert deciding.end_acceptances(session, now=NOON + DAY) == 0


def test_a_decision_is_taken_back(session: Session, instance: InstanceRef) -> None:
    finding_id = a_finding(session, instance)
    deciding.decide(
        session, instance, finding_id, Decision.FALSE_POSITIVE, reason="a constant", now=NOON
    )
    again = deciding.decide(session, instance, finding_id, Decision.NONE, now=NOON)
    assert (again.status, again.decided_reason, again.decided_at) == (Status.OPEN, "", None)


def test_a_decision_needs_a_reason_and_an_end_ahead(
    session: Session, instance: InstanceRef
) -> None:
    finding_id = a_finding(session, instance)
    with pytest.raises(Invalid, match="reason"):
        deciding.decide(session, instance, finding_id, Decision.ACCEPTED, reason=" ", now=NOON)
    with pytest.raises(Invalid, match="ahead"):
        deciding.decide(
            session, instance, finding_id, Decision.ACCEPTED, reason="x", until=NOON, now=NOON
        )


def test_a_finding_of_another_instance_is_not_there(
    session: Session, instance: InstanceRef
) -> None:
    finding_id = a_finding(session, instance)
    other = a_project(session, now=NOON, organization="Rivals", slug="spying", number=2)
    with pytest.raises(NotFound):
        deciding.decide(session, other, finding_id, Decision.ACCEPTED, reason="mine", now=NOON)

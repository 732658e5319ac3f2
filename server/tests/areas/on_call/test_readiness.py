from dataclasses import replace

from mainstay_server.areas.on_call import readiness
from mainstay_server.kernel.readiness import Finding, NotApplicable, Outcome, Passed
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.world import a_project

from .worlds import NOON, a_layer, a_member, a_policy, a_schedule, tells, tells_schedule


def asked(session: Session, instance: InstanceRef) -> Outcome:
    return readiness.somebody_is_woken.ask(session, instance, NOON)


def test_production_needs_a_policy_that_reaches_somebody(session: Session) -> None:
    instance = a_project(session, now=NOON)
    none = asked(session, instance)
    assert isinstance(none, Finding)
    assert "No escalation policy" in none.problem

    empty = a_schedule(session, instance.organization_id)
    a_policy(session, instance.organization_id, tells_schedule(empty), name="Nights")
    nobody = asked(session, instance)
    assert isinstance(nobody, Finding)
    assert nobody.problem == "Nobody is on call for production: Nights reaches nobody now."


def test_it_passes_with_whoever_is_reached_at_this_moment(session: Session) -> None:
    instance = a_project(session, now=NOON)
    anna = a_member(session, instance.organization_id, "Anna")
    ben = a_member(session, instance.organization_id, "Ben")
    primary = a_schedule(session, instance.organization_id, a_layer(anna.id))
    a_policy(session, instance.organization_id, tells_schedule(primary), tells(ben))
    assert asked(session, instance) == Passed(evidence="Wake somebody would tell Anna, Ben.")


def test_nobody_need_be_woken_for_staging(session: Session) -> None:
    instance = replace(a_project(session, now=NOON), environment="staging")
    assert isinstance(asked(session, instance), NotApplicable)

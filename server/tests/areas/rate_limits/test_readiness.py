from mainstay_server.areas.rate_limits import readiness
from mainstay_server.areas.rate_limits.service import policies
from mainstay_server.kernel.readiness import Finding, Outcome, Passed, ReadinessCheck
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.rate_limits.conftest import NOON


def ask(check: ReadinessCheck, session: Session, instance: InstanceRef) -> Outcome:
    return check.ask(session, instance, NOON)


def test_the_default_limit_is_enough(session: Session, instance: InstanceRef) -> None:
    found = ask(readiness.every_endpoint_is_limited, session, instance)
    assert found == Passed(evidence="default: 100 in 60 s, by caller.")
    assert ask(readiness.no_limit_only_simulates, session, instance) == Passed(
        evidence="1 limit refuses."
    )


def test_no_limit_for_everything_is_found(session: Session, instance: InstanceRef) -> None:
    for changes in ({"enabled": False}, {"enabled": True, "methods": ["POST"]}):
        policies.change_policy(session, instance, "default", changes, now=NOON)
        assert isinstance(ask(readiness.every_endpoint_is_limited, session, instance), Finding)

    policies.add_preset(session, instance, "per-address", now=NOON)
    assert isinstance(ask(readiness.every_endpoint_is_limited, session, instance), Passed)


def test_a_limit_that_only_simulates_is_found(session: Session, instance: InstanceRef) -> None:
    policies.change_policy(session, instance, "default", {"simulate": True}, now=NOON)

    found = ask(readiness.no_limit_only_simulates, session, instance)
    assert isinstance(found, Finding)
    assert found.problem == "Only simulated: default."
    assert isinstance(ask(readiness.every_endpoint_is_limited, session, instance), Finding)

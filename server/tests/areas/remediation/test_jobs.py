from mainstay_server.areas.remediation import jobs
from mainstay_server.areas.remediation.models import RunState
from mainstay_server.areas.remediation.settings import RemediationSettings
from mainstay_server.kernel.settings import override_settings
from sqlalchemy.orm import Session

from .test_service import Commanded
from .worlds import DAY, MINUTE, NOON


def test_a_turn_goes_on_with_what_is_due(session: Session) -> None:
    world = Commanded(session)
    assert jobs.go_on_with_runs.function(session, now=NOON) == 0
    assert jobs.go_on_with_runs.function(session, now=NOON + 2 * MINUTE) == 1
    assert world.run.state == RunState.PAUSING


def test_old_runs_are_forgotten_after_as_many_days_as_are_set(session: Session) -> None:
    override_settings(RemediationSettings(remediation_keep_days=2))
    world = Commanded(session)
    world.run.state, world.run.ended_at = RunState.HEALED, NOON
    session.flush()
    assert jobs.forget_old_runs.function(session, now=NOON + 2 * DAY) == 0
    assert jobs.forget_old_runs.function(session, now=NOON + 3 * DAY) == 1

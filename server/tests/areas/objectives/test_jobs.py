from mainstay_server.areas.health_checks import area as health_checks
from mainstay_server.areas.objectives import area, jobs
from mainstay_server.areas.objectives.models import Objective, ObjectiveHour
from mainstay_server.kernel.area import install
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.watching import State
from tests.world import a_project

from .worlds import DAY, HOUR, MINUTE, NOON, a_check, an_objective


def test_each_objective_is_judged_once_a_minute(database: None, shared_memory: None) -> None:
    install((area, health_checks))
    with transaction() as session:
        instance = a_project(session, now=NOON)
        check = a_check(session, instance, [(State.HEALTHY, NOON - DAY)])
        made = an_objective(session, instance, subject_id=check.id).id
    assert jobs.judge_objectives.function(now=NOON + 10 * MINUTE) == 1
    assert jobs.judge_objectives.function(now=NOON + 10 * MINUTE) == 0
    assert jobs.judge_objectives.function(now=NOON + 11 * MINUTE) == 1
    with reading() as session:
        assert session.get_one(Objective, made).judged_at == NOON + 11 * MINUTE


def test_sums_of_long_ago_are_let_go(database: None, shared_memory: None) -> None:
    install((area, health_checks))
    with transaction() as session:
        instance = a_project(session, now=NOON)
        check = a_check(session, instance, [(State.HEALTHY, NOON - DAY)])
        made = an_objective(session, instance, subject_id=check.id).id
        for at in (NOON - 600 * DAY, NOON - HOUR):
            session.add(ObjectiveHour(objective_id=made, begins_at=at, total=1, bad=0))
        session.flush()
        jobs.forget_hours.function(session, now=NOON)
        assert [row.begins_at for row in session.query(ObjectiveHour)] == [NOON - HOUR]

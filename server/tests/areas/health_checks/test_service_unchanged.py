"""The cheap way of recording: it may only be taken where it changes nothing, to the same end."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from mainstay_server.areas.health_checks.models import HealthCheck, HealthState
from mainstay_server.areas.health_checks.schemas.orders import Finished
from mainstay_server.areas.health_checks.service import recording, unchanged
from mainstay_server.areas.health_checks.service.turns import claim_due, next_turn
from sqlalchemy.orm import Session
from tests.areas.health_checks.worlds import GRACE, MINUTE, NOON, SECOND, a_check, finished

H, D, U = HealthState.HEALTHY, HealthState.DEGRADED, HealthState.UNHEALTHY


def known(session: Session, state: HealthState = H) -> HealthCheck:
    """A check whose state is known and told since noon."""
    check = a_check(session)
    recording.record_results(session, [finished(check, state, at=NOON)], grace_seconds=GRACE)
    return check


def answer(
    session: Session, check: HealthCheck, state: HealthState, *, minute: int = 1
) -> Finished:
    """The turn of that minute, claimed and answered."""
    now = NOON + minute * MINUTE
    (order,) = claim_due(session, until=now, now=now, owner="here", limit=10)
    assert order.check_id == check.id
    one = finished(check, state, at=now, fence=order.fence)
    return replace(one, order=replace(one.order, state=order.state))


def columns_of(session: Session, check: HealthCheck) -> dict[str, object]:
    row = session.execute(sa.select(HealthCheck.__table__).where(HealthCheck.id == check.id))
    return dict(row.mappings().one())


def test_a_result_that_confirms_is_written_as_the_long_way_would(session: Session) -> None:
    check = known(session)
    one = answer(session, check, H)
    session.flush()

    with session.begin_nested() as trial:
        unchanged.record_unchanged(session, [one], grace_seconds=GRACE)
        quick = columns_of(session, check)
        trial.rollback()
    session.expire_all()
    long_way = replace(one, order=replace(one.order, state=D))  # as if it were a change
    counted = recording.record_results(session, [long_way], grace_seconds=GRACE)
    session.flush()

    assert counted == [long_way]
    assert quick == columns_of(session, check)
    assert quick["next_at"] is not None
    assert (quick["owner"], quick["claimed_until"]) == ("", None)


def test_an_end_of_a_certificate_is_known_until_it_moves_or_comes_nearer(session: Session) -> None:
    check = known(session)
    ends = (NOON + 30 * 24 * 60 * MINUTE).timestamp()
    check.certificate_ends_at = NOON + 30 * 24 * 60 * MINUTE
    session.flush()
    one = answer(session, check, H)
    assert one.result is not None
    sees = {
        end: replace(one, result=replace(one.result, facts={"certificate_ends_at": end}))
        for end in (ends, ends + 1.0)
    }

    moved = unchanged.record_unchanged(session, [sees[ends + 1.0]], grace_seconds=GRACE)
    check.expiry_days = [31]
    session.flush()
    nearer = unchanged.record_unchanged(session, [sees[ends]], grace_seconds=GRACE)
    check.expiry_days = [14]
    session.flush()
    same = unchanged.record_unchanged(session, [sees[ends]], grace_seconds=GRACE)

    assert moved == ([], [sees[ends + 1.0]])
    assert nearer == ([], [sees[ends]])
    assert same == ([sees[ends]], [])


def test_only_what_changes_nothing_is_taken(session: Session) -> None:
    check = known(session)
    one = answer(session, check, U)

    assert unchanged.record_unchanged(session, [one], grace_seconds=GRACE) == ([], [one])


@pytest.mark.parametrize(
    "otherwise",
    [
        {"paused": True},
        {"told_state": ""},
        {"worse_in_row": 1},
        {"better_in_row": 1},
        {"state": U},
        {"last_result_at": None},
        {"last_result_at": NOON + 10 * MINUTE},
        {"silent_at": NOON},
        {"silent_at": None},
        {"tell_at": NOON + 10 * MINUTE},
        {"flapping_since": NOON},
    ],
)
def test_what_stands_otherwise_takes_the_long_way(
    session: Session, otherwise: dict[str, object]
) -> None:
    check = known(session)
    one = answer(session, check, H)
    for name, value in otherwise.items():
        setattr(check, name, value)
    session.flush()

    taken, left = unchanged.record_unchanged(session, [one], grace_seconds=GRACE)

    assert (taken, left) == ([], [one])


def test_a_turn_that_was_taken_over_leaves_no_trace(session: Session) -> None:
    check = known(session)
    one = answer(session, check, H)
    claim_due(session, until=NOON + 5 * MINUTE, now=NOON + 5 * MINUTE, owner="other", limit=10)
    before = columns_of(session, check)

    counted = recording.record_results(session, [one], grace_seconds=GRACE)

    assert counted == []
    assert columns_of(session, check) == before


def test_a_slow_answer_skips_the_turns_it_outlasted(session: Session) -> None:
    check = known(session)
    one = answer(session, check, H)
    late = replace(one, finished_at=one.at + 3 * MINUTE + SECOND)

    recording.record_results(session, [late], grace_seconds=GRACE)

    next_at = columns_of(session, check)["next_at"]
    assert next_at == next_turn(check.id, 60, late.finished_at)

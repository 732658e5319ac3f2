"""The usual case: a result that says what is known already costs one small row update.

Nine hundred and ninety-nine of a thousand results change nothing. They are told from the others by
a few columns, and written in one statement, without the objects that a change of state needs.
"""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.schemas.orders import Finished
from mainstay_server.kernel.database import Base
from mainstay_server.kernel.watching import KNOWN

from . import expiry
from .turns import allowance, turn_after

_CHECKS = Base.metadata.tables[HealthCheck.__tablename__]
_SEEN = _CHECKS.update().where(
    _CHECKS.c.id == sa.bindparam("check"), _CHECKS.c.fence == sa.bindparam("held")
)


def record_unchanged(
    session: Session, finished: Sequence[Finished], *, grace_seconds: float
) -> tuple[list[Finished], list[Finished]]:
    """Record the results that confirm what is known; return them, and all the others untouched.

    A result is believed to change nothing only where every rule says so: the turn is still ours,
    nothing was paused, the state is the one known and told, no row of disagreeing results is being
    counted, and no silence came before it.
    """
    asked = {one.order.check_id: one for one in finished if _may_confirm(one)}
    if not asked:
        return [], list(finished)
    rows = session.execute(
        sa.select(
            HealthCheck.id,
            HealthCheck.fence,
            HealthCheck.state,
            HealthCheck.told_state,
            HealthCheck.worse_in_row,
            HealthCheck.better_in_row,
            HealthCheck.paused,
            HealthCheck.asked_elsewhere,
            HealthCheck.tell_at,
            HealthCheck.flapping_since,
            HealthCheck.awaited_since,
            HealthCheck.silent_at,
            HealthCheck.last_result_at,
            HealthCheck.expiry_days,
            *expiry.COLUMNS,
        )
        .where(HealthCheck.id.in_(asked))
        .order_by(HealthCheck.id)
        .with_for_update()
    ).mappings()
    confirmed = {row["id"]: asked[row["id"]] for row in rows if _confirms(asked[row["id"]], row)}
    if confirmed:
        session.connection().execute(
            _SEEN, [_written(one, grace_seconds=grace_seconds) for one in confirmed.values()]
        )
        session.expire_all()
    rest = [one for one in finished if confirmed.get(one.order.check_id) is not one]
    return list(confirmed.values()), rest


def _may_confirm(one: Finished) -> bool:
    return (
        one.order.fence is not None
        and one.result is not None
        and one.result.state == one.order.state
        and one.order.state in KNOWN
        and not one.result.parts
    )


def _confirms(one: Finished, known: sa.RowMapping) -> bool:
    assert one.result is not None, "asked only of results"
    return (
        known["fence"] == one.order.fence
        and known["state"] == known["told_state"] == one.result.state
        and not (known["worse_in_row"] or known["better_in_row"] or known["paused"])
        and not known["asked_elsewhere"]
        and not expiry.is_news(known, one.result.facts, at=one.at)
        and known["tell_at"] is None
        and known["flapping_since"] is None
        and known["awaited_since"] is None
        and known["last_result_at"] is not None
        and known["last_result_at"] < one.at
        and known["silent_at"] is not None
        and one.at <= known["silent_at"]
    )


def _written(one: Finished, *, grace_seconds: float) -> dict[str, object]:
    assert one.result is not None, "asked only of results"
    order = one.order
    watched_until = one.finished_at + timedelta(seconds=order.interval_seconds)
    return {
        "check": order.check_id,
        "held": order.fence,
        "owner": "",
        "claimed_until": None,
        "next_at": turn_after(order, finished_at=one.finished_at),
        "last_result_at": one.at,
        "last_response_ms": one.result.response_ms,
        "watched_until": watched_until,
        "silent_at": watched_until + allowance(order.timeout_seconds, grace_seconds=grace_seconds),
    }

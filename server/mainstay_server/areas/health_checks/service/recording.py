"""Recording results: many in one transaction, states and spells changed only where they change."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.schemas.orders import Finished, ProbeResult
from mainstay_server.kernel.watching import KNOWN, Standing, State, is_silent, next_state

from . import configs, places
from .depending import change, family_of, settle
from .details import detail_of
from .expiry import note_ends
from .parts import record_parts
from .turns import allowance, is_watched, turn_after
from .unchanged import record_unchanged

OUR_OUTAGE = "nobody was watching: Mainstay was not running"
NO_VOICE = "none of the places that ask it was heard of"
OUR_UPLINK = "nobody could tell: our own uplink was down"
MOST_CLOSED_AT_ONCE = 1_000
MOST_LOCKED_AT_ONCE = 5_000


def record_results(
    session: Session, finished: Sequence[Finished], *, grace_seconds: float
) -> list[Finished]:
    """Record turns that were asked, and say every change of state once.

    Results come at least once and in any order. One whose claim was taken over meanwhile, whose
    check was changed, paused or removed, or which is older than what is known, changes nothing.
    Returns those that count, which are the ones to keep as results.
    """
    counted, others = record_unchanged(session, finished, grace_seconds=grace_seconds)
    if not others:
        return counted
    ids = {one.order.check_id for one in others}
    checks = _lock(session, [family_of(ids)], most=MOST_LOCKED_AT_ONCE)
    by_id = {check.id: check for check in checks}
    for one in sorted(others, key=lambda one: one.at):
        check = by_id.get(one.order.check_id)
        if check is None or not _still_holds(check, one):
            continue
        if one.order.fence is not None:
            _end_turn(check, one)
        if one.result is not None:
            _apply(session, check, one, one.result, grace_seconds=grace_seconds)
            if one.result.parts or one.result.state != one.order.state:
                record_parts(session, check, one.result.parts, at=one.at)
            settle(session, check, at=one.at, failed=one.result.state == State.UNHEALTHY)
            counted.append(one)
        elif one.uplink_down:
            _lose(session, check, one)
    return counted


def mark_unwatched(session: Session, *, now: datetime) -> int:
    """Mark as unknown what nobody has asked for so long that we must have been away.

    Our own outage is never the app's: the time from the end of the last result's interval on is
    excluded from uptime. Returns how many checks this call marked.
    """
    overdue = _lock(
        session,
        [
            is_watched(),
            HealthCheck.state.in_(KNOWN),
            HealthCheck.silent_at < now,
        ],
    )
    return sum(mark_silence(session, check, now=now) for check in overdue)


def mark_silence(session: Session, check: HealthCheck, *, now: datetime) -> bool:
    """Begin a spell of unknown where the latest result stopped speaking, if that is long ago."""
    silent = is_silent(check, now)
    if silent:
        reason = NO_VOICE if check.asked_elsewhere else OUR_OUTAGE
        change(session, check, State.UNKNOWN, at=check.watched_until, reason=reason)
    return silent


def rows_of(finished: Sequence[Finished]) -> bytes:
    """The results as lines of the column table."""
    encode = msgspec.json.encode
    return b"\n".join(encode(_row(one, one.result)) for one in finished if one.result is not None)


def _lock(
    session: Session, conditions: list[sa.ColumnElement[bool]], *, most: int = MOST_CLOSED_AT_ONCE
) -> list[HealthCheck]:
    """Rows in the order of their ids, so that two processes cannot wait for each other."""
    return list(
        session.scalars(
            sa.select(HealthCheck)
            .where(*conditions)
            .order_by(HealthCheck.id)
            .limit(most)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )


def _still_holds(check: HealthCheck, one: Finished) -> bool:
    if one.order.fence is not None:
        return check.fence == one.order.fence
    return check.target == one.order.target and configs.opened(check) == one.order.config


def _end_turn(check: HealthCheck, one: Finished) -> None:
    check.owner, check.claimed_until = "", None
    check.next_at = turn_after(one.order, finished_at=one.finished_at)


def _apply(
    session: Session,
    check: HealthCheck,
    one: Finished,
    result: ProbeResult,
    *,
    grace_seconds: float,
) -> None:
    if not check.is_watched or _is_old(check, one):
        return
    mark_silence(session, check, now=one.at)
    if check.asked_elsewhere:
        _apply_at_its_place(session, check, one, result, grace_seconds=grace_seconds)
        return
    standing = next_state(
        Standing(
            state=State(check.state),
            worse_in_row=check.worse_in_row,
            better_in_row=check.better_in_row,
        ),
        result.state,
        fail_after=check.fail_after,
        recover_after=check.recover_after,
    )
    if standing.state != check.state:
        change(session, check, standing.state, at=one.at, reason=result.reason)
    note_ends(session, check, result.facts, at=one.at)
    check.worse_in_row, check.better_in_row = standing.worse_in_row, standing.better_in_row
    check.last_result_at, check.last_response_ms = one.at, result.response_ms
    check.watched_until = one.finished_at + timedelta(seconds=check.interval_seconds)
    check.silent_at = check.watched_until + allowance(
        check.timeout_seconds, grace_seconds=grace_seconds
    )


def _is_old(check: HealthCheck, one: Finished) -> bool:
    """Whether something newer is known; of several places, each knows for itself."""
    if check.asked_elsewhere:
        return False
    return check.last_result_at is not None and one.at <= check.last_result_at


def _apply_at_its_place(
    session: Session,
    check: HealthCheck,
    one: Finished,
    result: ProbeResult,
    *,
    grace_seconds: float,
) -> None:
    """Note what one of several places found; the check changes by what all of them amount to."""
    found = places.note_result(session, check, one, result, grace_seconds=grace_seconds)
    if found is None:
        return
    if found.state != check.state and found.state in KNOWN:
        change(session, check, found.state, at=one.at, reason=found.reason)
    elif found.state == check.state:
        check.state_reason = found.reason
    note_ends(session, check, result.facts, at=one.at)
    watched_until = one.finished_at + timedelta(seconds=check.interval_seconds)
    if check.last_result_at is None or one.at > check.last_result_at:
        check.last_result_at, check.last_response_ms = one.at, result.response_ms
    check.watched_until = max(check.watched_until, watched_until)
    check.silent_at = check.watched_until + allowance(
        check.timeout_seconds, grace_seconds=grace_seconds
    )


def _lose(session: Session, check: HealthCheck, one: Finished) -> None:
    """Nothing is known of a check from when our own uplink was found to be down."""
    if check.asked_elsewhere or not check.is_watched:
        return  # of several places, each is lost for itself
    if check.state not in (State.UNKNOWN, State.PAUSED):
        change(session, check, State.UNKNOWN, at=one.at, reason=OUR_UPLINK)


def _row(one: Finished, result: ProbeResult) -> dict[str, object]:
    return {
        "instance_id": one.order.instance_id,
        "health_check_id": one.order.check_id,
        "at": one.at,
        "state": result.state,
        "response_ms": result.response_ms,
        "status_code": result.status_code,
        "error": result.reason,
        "resolve_ms": result.resolve_ms,
        "connect_ms": result.connect_ms,
        "tls_ms": result.tls_ms,
        "first_byte_ms": result.first_byte_ms,
        "transfer_ms": result.transfer_ms,
        "tries": one.tries,
        "location": one.location,
        "detail": detail_of(result),
    }

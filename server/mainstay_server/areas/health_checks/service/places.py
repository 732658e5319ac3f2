"""Places: how a check stands at each place that asks it, and what that makes of the check."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import HERE, CheckPlace, HealthCheck, Probe
from mainstay_server.areas.health_checks.schemas.orders import Finished, ProbeResult
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.watching import KNOWN, Standing, State, next_state

from .plans import ELSEWHERE_NEVER
from .quorum import Quorum, Verdict, Vote, verdict
from .turns import allowance

MOST_LOCATIONS = 20


def set_locations(session: Session, check: HealthCheck, locations: Sequence[str]) -> None:
    """Choose where a check is asked from. Raises `Invalid` for a place without a probe.

    Places that stay keep what is known there. A check that is asked here alone has none: it is
    its own place.
    """
    chosen = sorted(set(locations), key=lambda name: (name != HERE, name))
    _refuse_unknown(session, check.organization_id, chosen)
    if check.kind in ELSEWHERE_NEVER and chosen != [HERE]:
        raise Invalid(f"A check of kind {check.kind} is asked from here alone.")
    check.locations = chosen
    check.asked_here = HERE in chosen
    check.asked_elsewhere = chosen != [HERE]
    session.flush()
    kept = {place.location: place for place in places_of(session, check)}
    wanted = set(chosen) if check.asked_elsewhere else set()
    for location, place in kept.items():
        if location not in wanted:
            session.delete(place)
    for location in wanted - kept.keys():
        session.add(
            CheckPlace(
                health_check_id=check.id,
                location=location,
                organization_id=check.organization_id,
                state=State.UNKNOWN,
            )
        )
    session.flush()
    tell_probes(session, check.organization_id, {*kept, *wanted})


def places_of(session: Session, check: HealthCheck, *, locked: bool = True) -> Sequence[CheckPlace]:
    """How a check stands at each of its places: here first, then by name; none if only here.

    Whoever only looks takes no lock: a transaction that reads cannot.
    """
    wanted = sa.select(CheckPlace).where(CheckPlace.health_check_id == check.id)
    if locked:
        wanted = wanted.with_for_update().execution_options(populate_existing=True)
    found = session.scalars(wanted).all()
    return sorted(found, key=lambda place: (place.location != HERE, place.location))


@dataclass(frozen=True, kw_only=True)
class ShownPlace:
    """How a check stands at one place, as people see it: where nobody looks, it is unknown."""

    location: str
    state: State
    reason: str
    last_result_at: datetime | None
    last_response_ms: float | None


def shown_places(session: Session, check: HealthCheck, *, now: datetime) -> list[ShownPlace]:
    """How a check stands at each of its places; asked from here alone, here is the one."""
    if not check.asked_elsewhere:
        return [_shown(HERE, check, check.state, check.state_reason, now=now)]
    return [
        _shown(place.location, place, place.state, place.reason, now=now)
        for place in places_of(session, check, locked=False)
    ]


def _shown(
    location: str, of: HealthCheck | CheckPlace, state: State, reason: str, *, now: datetime
) -> ShownPlace:
    silent = of.silent_at is None or now > of.silent_at
    unknown = silent and state in KNOWN
    return ShownPlace(
        location=location,
        state=State.UNKNOWN if unknown else State(state),
        reason="nothing was heard from there lately" if unknown else reason,
        last_result_at=of.last_result_at,
        last_response_ms=of.last_response_ms,
    )


def note_result(
    session: Session,
    check: HealthCheck,
    one: Finished,
    result: ProbeResult,
    *,
    grace_seconds: float,
) -> Verdict | None:
    """Note what one place found; what all of them amount to now, or None if that is old news.

    The thresholds of the check count for each place by itself. The first failure of a place makes
    the others ask at once.
    """
    places = places_of(session, check)
    place = next((place for place in places if place.location == one.location), None)
    if place is None or (place.last_result_at and one.at <= place.last_result_at):
        return None
    if place.silent_at is not None and one.at > place.silent_at:
        place.state, place.worse_in_row, place.better_in_row = State.UNKNOWN, 0, 0
    standing = next_state(
        Standing(
            state=State(place.state),
            worse_in_row=place.worse_in_row,
            better_in_row=place.better_in_row,
        ),
        result.state,
        fail_after=check.fail_after,
        recover_after=check.recover_after,
    )
    news = result.state == State.UNHEALTHY != place.state and not place.worse_in_row
    if standing.state != place.state or result.state == standing.state:
        place.reason = result.reason
    place.state = standing.state
    place.worse_in_row, place.better_in_row = standing.worse_in_row, standing.better_in_row
    place.last_result_at, place.last_response_ms = one.at, result.response_ms
    place.watched_until = one.finished_at + timedelta(seconds=check.interval_seconds)
    place.silent_at = place.watched_until + allowance(
        check.timeout_seconds, grace_seconds=grace_seconds
    )
    if news:
        _ask_the_others(session, check, places, but=place, now=one.finished_at)
    return verdict_of(check, places, now=one.at)


def verdict_of(check: HealthCheck, places: Sequence[CheckPlace], *, now: datetime) -> Verdict:
    """What the places that are not silent amount to."""
    votes = [
        Vote(location=place.location, state=State(place.state), reason=place.reason)
        for place in places
        if place.state in KNOWN and place.silent_at is not None and now <= place.silent_at
    ]
    return verdict(votes, before=State(check.state), quorum=Quorum(check.quorum))


def forget_location(session: Session, organization_id: str, location: str) -> None:
    """Nobody asks from there any more; a check that was asked from nowhere else is asked here."""
    checks = session.scalars(
        sa.select(HealthCheck)
        .join(CheckPlace, CheckPlace.health_check_id == HealthCheck.id)
        .where(CheckPlace.organization_id == organization_id, CheckPlace.location == location)
        .order_by(HealthCheck.id)
        .with_for_update(of=HealthCheck)
    ).all()
    for check in checks:
        left = [name for name in check.locations if name != location]
        set_locations(session, check, left or [HERE])


def tell_probes(session: Session, organization_id: str, locations: set[str]) -> None:
    """Let the probes of these places fetch what they are to ask anew."""
    if locations - {HERE}:
        session.execute(
            sa.update(Probe)
            .where(Probe.organization_id == organization_id, Probe.location.in_(locations))
            .values(plan_version=Probe.plan_version + 1)
            .execution_options(synchronize_session=False)
        )


def _ask_the_others(
    session: Session,
    check: HealthCheck,
    places: Sequence[CheckPlace],
    *,
    but: CheckPlace,
    now: datetime,
) -> None:
    """A failure at one place is confirmed or refuted by the others now, not in an interval."""
    others = [place for place in places if place is not but and place.state != State.UNHEALTHY]
    elsewhere = [place for place in others if place.location != HERE]
    if len(others) > len(elsewhere) and not check.owner:
        check.next_at = min(check.next_at, now)
    for place in elsewhere:
        version = session.scalar(
            sa.update(Probe)
            .where(Probe.organization_id == check.organization_id, Probe.location == place.location)
            .values(asked_version=Probe.asked_version + 1)
            .returning(Probe.asked_version)
            .execution_options(synchronize_session=False)
        )
        if version is not None:
            place.asked_at, place.asked_version = now, version


def _refuse_unknown(session: Session, organization_id: str, locations: Sequence[str]) -> None:
    if not 0 < len(locations) <= MOST_LOCATIONS:
        raise Invalid(f"A health check is asked from 1 to {MOST_LOCATIONS} locations.")
    known = set(
        session.scalars(sa.select(Probe.location).where(Probe.organization_id == organization_id))
    )
    for location in locations:
        if location not in known | {HERE}:
            raise Invalid(
                f"There is no probe at {location[:50]!r}; locations are here and those of the"
                " probes that GET /api/probes lists."
            )

"""Reports: what probes elsewhere found, recorded exactly once, however often they are sent."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.columns import HEALTH_RESULTS, ask_stored
from mainstay_server.areas.health_checks.models import CheckPlace, HealthCheck, Probe
from mainstay_server.areas.health_checks.schemas.orders import Finished, ProbeResult
from mainstay_server.areas.health_checks.schemas.probes import Report, ReportedResult
from mainstay_server.areas.health_checks.settings import HealthCheckSettings
from mainstay_server.kernel import columns
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.watching import State

from .plans import digest_of
from .probes import authenticate, note_seen
from .recording import record_results, rows_of
from .turns import order_at

OLDEST = timedelta(days=7)
AHEAD = timedelta(seconds=60)


def take_report(authorization: str, report: Report, *, now: datetime) -> int:
    """Record a report and keep its results as figures; returns how many were of use.

    States first, in one transaction, then the figures: whoever repeats a report because it heard
    no answer finds the states as they are, and of the figures only what is missing is added. So a
    kill at any moment, of the probe or of the server, neither loses a result nor counts it twice.
    """
    with transaction() as session:
        probe = authenticate(session, authorization)
        note_seen(session, probe, now=now, version=report.version)
        if report.dropped:
            session.execute(
                sa.update(Probe)
                .where(Probe.id == probe.id)
                .values(dropped_results=Probe.dropped_results + report.dropped)
            )
        found = _finished(session, probe, report.results, now=now)
        counted = record_results(
            session, found, grace_seconds=of(HealthCheckSettings).health_checks_grace_seconds
        )
        location = probe.location
    if counted and report.again:
        counted = _not_stored(counted, location)
    if counted:
        columns.append_blocking(HEALTH_RESULTS, rows_of(counted), rows=len(counted))
    return len(counted)


def _finished(
    session: Session, probe: Probe, results: Sequence[ReportedResult], *, now: datetime
) -> list[Finished]:
    """Those that are of a check of this probe as it is asked now, and of a time that makes sense.

    A check of another organization, or one that this probe does not ask, is as absent as one that
    never was.
    """
    checks = {
        check.id: check
        for check in session.scalars(
            sa.select(HealthCheck)
            .join(CheckPlace, CheckPlace.health_check_id == HealthCheck.id)
            .where(
                HealthCheck.id.in_({result.id for result in results}),
                HealthCheck.organization_id == probe.organization_id,
                CheckPlace.organization_id == probe.organization_id,
                CheckPlace.location == probe.location,
            )
        )
    }
    digests = {id_: digest_of(check) for id_, check in checks.items()}
    return [
        Finished(
            order=order_at(checks[result.id], at=result.at),
            at=_whole_ms(result.at),
            finished_at=max(result.finished_at, result.at).astimezone(UTC),
            result=_result_of(result),
            tries=result.tries,
            location=probe.location,
        )
        for result in results
        if digests.get(result.id) == result.digest
        and now - OLDEST < result.at <= result.finished_at + AHEAD
        and result.finished_at < now + AHEAD
    ]


def _result_of(result: ReportedResult) -> ProbeResult:
    state = State(result.state)
    return ProbeResult(
        state=state,
        response_ms=result.response_ms,
        status_code=result.status_code,
        reason=result.reason or ("" if state == State.HEALTHY else "no reason was given"),
        resolve_ms=result.resolve_ms,
        connect_ms=result.connect_ms,
        tls_ms=result.tls_ms,
        first_byte_ms=result.first_byte_ms,
        transfer_ms=result.transfer_ms,
        facts=result.facts,
    )


def _not_stored(counted: Sequence[Finished], location: str) -> list[Finished]:
    times = [one.at for one in counted]
    stored = ask_stored(
        sorted({one.order.instance_id for one in counted}),
        location=location,
        since=min(times),
        until=max(times),
    )
    return [one for one in counted if (one.order.check_id, _ms(one.at)) not in stored]


def _whole_ms(at: datetime) -> datetime:
    """As it will lie in the column table, so that it is found there again."""
    at = at.astimezone(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)

"""Commands that probes run: each fetches its own by name, and reports how they went."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.remediation.models import (
    RemediationAction,
    RemediationPlace,
    RemediationRun,
    RunState,
)
from mainstay_server.areas.remediation.schemas import CommandReport, OrderedCommand
from mainstay_server.contracts.health_checks import ProbeSeen, probe_behind
from mainstay_server.kernel.problems import Unauthenticated

from .runs import RUNS_FOR, mark_running, record_try

MOST_ORDERS = 10
NOTED_EVERY = timedelta(seconds=20)
NOT_ALLOWED = "The file of commands on that machine does not name it."


def authenticate(session: Session, authorization: str) -> ProbeSeen:
    """The probe that asks. Raises `Unauthenticated`."""
    if not probe_behind.is_answered:
        raise Unauthenticated("No probe is known here.")
    return probe_behind(session, authorization)


def has_news(session: Session, probe: ProbeSeen, names: Sequence[str], *, now: datetime) -> bool:
    """Whether a command waits for this probe, or what it allows is to be noted."""
    place = session.get(RemediationPlace, probe.id)
    if place is None or place.commands != list(names) or now - place.asked_at > NOTED_EVERY:
        return True
    return session.scalar(sa.select(_waiting(probe).limit(1).exists())) or False


def fetch(
    session: Session, probe: ProbeSeen, names: Sequence[str], *, now: datetime
) -> list[OrderedCommand]:
    """Give a probe what waits for it, each once; what its own file does not name has failed."""
    session.merge(
        RemediationPlace(
            probe_id=probe.id,
            organization_id=probe.organization_id,
            commands=list(names),
            asked_at=now,
        )
    )
    session.flush()
    runs = session.scalars(
        _waiting(probe)
        .order_by(RemediationRun.started_at)
        .limit(MOST_ORDERS)
        .with_for_update(of=RemediationRun, skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    orders = []
    for run in runs:
        command = str(session.get_one(RemediationAction, run.action_id).config["command"])
        mark_running(session, run, now=now)
        if command not in names:
            record_try(session, run.id, run.tries, went_through=False, said=NOT_ALLOWED, now=now)
            continue
        order = OrderedCommand(
            run_id=run.id,
            number=run.tries,
            command=command,
            timeout_seconds=round(RUNS_FOR.total_seconds()),
        )
        orders.append(order)
    return orders


def take_report(
    session: Session, probe: ProbeSeen, run_id: str, report: CommandReport, *, now: datetime
) -> bool:
    """Write down how a command went; False when nobody waits for it, or it was another probe's."""
    run = session.get(RemediationRun, run_id)
    action = session.get(RemediationAction, run.action_id) if run is not None else None
    if action is None or action.probe_id != probe.id:
        return False
    ended = "was ended or could not be run" if report.exit_code is None else str(report.exit_code)
    said = f"{report.output.strip()}\nExit: {ended}".strip()
    return record_try(
        session, run_id, report.number, went_through=report.exit_code == 0, said=said, now=now
    )


def places_of(session: Session, organization_id: str) -> Mapping[str, RemediationPlace]:
    """The probes of an organization that run commands, by their ids."""
    rows = session.scalars(
        sa.select(RemediationPlace).where(RemediationPlace.organization_id == organization_id)
    )
    return {row.probe_id: row for row in rows}


def _waiting(probe: ProbeSeen) -> sa.Select[RemediationRun]:
    return (
        sa.select(RemediationRun)
        .join(RemediationAction, RemediationAction.id == RemediationRun.action_id)
        .where(
            RemediationRun.state == RunState.WAITING,
            RemediationAction.probe_id == probe.id,
            RemediationAction.organization_id == probe.organization_id,
            RemediationAction.enabled,
        )
    )

"""Corrections of a check's past: said by somebody, with a reason, and kept in the audit log."""

from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.schemas.past import (
    CorrectionAnswer,
    NewCorrection,
    ReplacedSpell,
)
from mainstay_server.contracts.health_checks import HealthCheckCorrected
from mainstay_server.kernel.events import say
from mainstay_server.kernel.watching import (
    Correction,
    SpellCorrection,
    State,
    correct,
    list_corrections,
)


def correct_past(
    session: Session, check: HealthCheck, said: NewCorrection, *, by: str, now: datetime
) -> SpellCorrection:
    """Write down what a past range really was. Raises `Invalid` for what is not of the past."""
    session.execute(sa.select(HealthCheck.id).where(HealthCheck.id == check.id).with_for_update())
    session.refresh(check)
    wanted = Correction(
        state=State(said.state),
        since=said.since.astimezone(UTC),
        until=said.until.astimezone(UTC),
        reason=said.reason,
        by=by,
    )
    correction = correct(session, check, wanted, now=now)
    event = HealthCheckCorrected(
        organization_id=check.organization_id,
        project_id=check.project_id,
        instance_id=check.instance_id,
        health_check_id=check.id,
        name=check.name,
        state=wanted.state,
        since=wanted.since,
        until=wanted.until,
        reason=wanted.reason,
    )
    say(session, event, now=now)
    return correction


def list_of(session: Session, check: HealthCheck) -> Sequence[SpellCorrection]:
    """The corrections of a check, newest first."""
    return list_corrections(session, check.id)


def sort_key(correction: SpellCorrection) -> tuple[str, ...]:
    """The place of a correction in the list of its check: the newest ids come first."""
    newest_first = 2**128 - int(correction.id.replace("-", ""), 16)
    return (f"{newest_first:040d}",)


def answer_of(correction: SpellCorrection) -> CorrectionAnswer:
    """A correction as it is told."""
    return CorrectionAnswer(
        id=correction.id,
        health_check_id=correction.subject_id,
        state=correction.state,
        since=correction.started_at,
        until=correction.ended_at,
        reason=correction.reason,
        by=correction.made_by,
        at=correction.made_at,
        before=[
            ReplacedSpell(
                state=spell["state"],
                started_at=datetime.fromisoformat(spell["startedAt"]),
                ended_at=datetime.fromisoformat(spell["endedAt"]),
                reason=spell["reason"],
            )
            for spell in correction.before
        ],
    )

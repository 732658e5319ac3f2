"""Runbooks: what to do when an alert fires; written by the project, elsewhere, or shipped."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models.rules import Runbook
from mainstay_server.kernel.problems import Invalid

MOST_RUNBOOKS = 100


def check_runbook(session: Session, project_id: str, named: str) -> None:
    """Raise `Invalid` unless it is empty, an URL, or the name of a runbook of the project."""
    if not named or is_url(named):
        return
    known = sa.select(Runbook.id).where(Runbook.project_id == project_id, Runbook.name == named)
    if session.scalar(known) is None:
        message = (
            f"There is no runbook {named[:100]!r} in this project; write it first, or give an"
            " http or https URL."
        )
        raise Invalid(message, errors=[{"field": "runbook", "message": message}])


def list_runbooks(session: Session, project_id: str) -> Sequence[Runbook]:
    """The runbooks that a project wrote, by name; at most 100."""
    return session.scalars(
        sa.select(Runbook)
        .where(Runbook.project_id == project_id)
        .order_by(Runbook.name)
        .limit(MOST_RUNBOOKS)
    ).all()


def is_url(named: str) -> bool:
    """Whether a runbook lies elsewhere."""
    return named.startswith(("https://", "http://"))

"""How rules name a runbook: one of the project by its name, or one elsewhere by its URL."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models.rules import Runbook
from mainstay_server.kernel.problems import Invalid


def check_runbook(session: Session, project_id: str, named: str) -> None:
    """Raise `Invalid` unless it is empty, an URL, or the name of a runbook of the project."""
    if not named or is_url(named):
        return
    if find_runbook(session, project_id, named) is None:
        raise Invalid.of_field(
            "runbook",
            f"There is no runbook {named[:100]!r} in this project; write it first, or give an"
            " http or https URL.",
        )


def is_url(named: str) -> bool:
    """Whether a runbook lies elsewhere."""
    return named.startswith(("https://", "http://"))


def find_runbook(session: Session, project_id: str, name: str) -> Runbook | None:
    """The runbook of a name, or None."""
    return session.scalar(
        sa.select(Runbook).where(Runbook.project_id == project_id, Runbook.name == name)
    )

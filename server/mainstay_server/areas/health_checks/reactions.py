"""Reactions: the instance's own check follows its instance."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.contracts.tenancy import InstanceChanged
from mainstay_server.kernel.events import on

from .service import checks


@on(InstanceChanged)
def follow_the_instance(session: Session, event: InstanceChanged, *, now: datetime) -> None:
    """Ask what the instance is now; without a URL, rest."""
    checks.follow_instance(session, event, now=now)

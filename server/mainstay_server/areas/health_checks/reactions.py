"""Reactions: the instance's own check follows its instance."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.contracts.tenancy import InstanceChanged, InstanceCreated
from mainstay_server.kernel.events import on

from .service import checks


@on(InstanceCreated)
def begin_with_the_instance(session: Session, event: InstanceCreated, *, now: datetime) -> None:
    """Ask a new instance, if it came with a URL."""
    checks.follow_instance(session, event, now=now)


@on(InstanceChanged)
def follow_the_instance(session: Session, event: InstanceChanged, *, now: datetime) -> None:
    """Ask what the instance is now; without a URL, rest."""
    checks.follow_instance(session, event, now=now)

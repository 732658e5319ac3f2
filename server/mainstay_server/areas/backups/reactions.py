"""What backups do about what backups say."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.contracts.backups import BackupSucceeded
from mainstay_server.kernel.events import Delivery, on, sends

from .service import drills, heartbeats


def give_up(session: Session, event: BackupSucceeded, *, reason: str, now: datetime) -> None:  # noqa: ARG001 - as senders are told
    """Nobody could be told of a success."""
    heartbeats.forget_heartbeat(session, event, reason=reason)


@sends(BackupSucceeded, given_up=give_up)
def tell_somebody_outside(event: BackupSucceeded, *, delivery: Delivery) -> None:  # noqa: ARG001 - a GET carries nothing
    """Ask the URL that a target carries, so that somebody notices when no success comes."""
    heartbeats.send_heartbeat(event)


@on(BackupSucceeded)
def try_what_was_stored(session: Session, event: BackupSucceeded, *, now: datetime) -> None:
    """A backup is stored: it is restored for a trial where its target says after each."""
    drills.ask_after(session, event.backup_id, now=now)

"""What the audit log reacts to: everything that is audited, and its own checkpoints."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.contracts.audit import AuditCheckpointSigned
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.events import (
    Delivery,
    Heard,
    Refused,
    RetryLater,
    on_audited,
    sends,
)

from .service import appending, leaving


@on_audited
def keep_rows(session: Session, heard: Sequence[Heard], *, now: datetime) -> None:
    """Write every audited event at the end of its organization's log."""
    appending.append(session, heard, now=now)


@sends(AuditCheckpointSigned)
def store_checkpoint(event: AuditCheckpointSigned, *, delivery: Delivery) -> None:  # noqa: ARG001 - a sender is told
    """Put each checkpoint into the blob store."""
    _carry(event, leaving.BLOBS, lambda: leaving.store(event))


@sends(AuditCheckpointSigned)
def write_checkpoint(event: AuditCheckpointSigned, *, delivery: Delivery) -> None:  # noqa: ARG001 - a sender is told
    """Write each checkpoint into the folder that the settings name, if they do."""
    _carry(event, leaving.FOLDER, lambda: leaving.write(event))


@sends(AuditCheckpointSigned)
def post_checkpoint(event: AuditCheckpointSigned, *, delivery: Delivery) -> None:
    """Send each checkpoint to the webhook that the settings name, if they do."""
    _carry(event, leaving.WEBHOOK, lambda: leaving.post(event, delivery_id=delivery.id))


def _carry(event: AuditCheckpointSigned, destination: str, go: Callable[[], None]) -> None:
    if destination not in leaving.destinations():
        return
    try:
        go()
    except (RetryLater, Refused) as failure:
        leaving.note_in_own_transaction(event, destination, error=str(failure), now=utc_now())
        raise
    leaving.note_in_own_transaction(event, destination, error="", now=utc_now())

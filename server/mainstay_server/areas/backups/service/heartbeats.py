"""Heartbeats: after each success somebody outside is told, who notices when this server is dead."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import LONGEST_REASON, BackupTarget
from mainstay_server.contracts.backups import BackupSucceeded
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import Refused, RetryLater
from mainstay_server.kernel.outbound import OutboundError, fetch_blocking

from .runs import last_stored

TIMEOUT_SECONDS = 10.0
MOST_ANSWER_BYTES = 65_536
FIRST_REFUSAL = 400


def send_heartbeat(event: BackupSucceeded) -> None:
    """GET the URL that a target carries, while its success is the newest: a late word would lie.

    Raises `RetryLater` or `Refused`.
    """
    with reading() as session:
        target = session.get(BackupTarget, event.target_id)
        url = target.heartbeat_url if target else ""
        last = last_stored(session, event.target_id)
    if not url or last is None or last.id != event.backup_id:
        return
    try:
        answer = fetch_blocking(
            "GET",
            url,
            timeout_seconds=TIMEOUT_SECONDS,
            max_body_bytes=MOST_ANSWER_BYTES,
            truncate=True,
        )
    except OutboundError as error:
        _remember(event.target_id, error.reason)
        failure = Refused if error.kind == "blocked" else RetryLater
        raise failure(error.reason) from None
    if answer.status >= FIRST_REFUSAL:
        reason = f"It answered {answer.status}; look whether the URL is still right."
        _remember(event.target_id, reason)
        raise RetryLater(reason)
    _remember(event.target_id, "")


def forget_heartbeat(session: Session, event: BackupSucceeded, *, reason: str) -> None:
    """No try is left: the target's page says so until the next success is told."""
    _set(session, event.target_id, reason)


def _remember(target_id: str, problem: str) -> None:
    with transaction() as session:
        _set(session, target_id, problem)


def _set(session: Session, target_id: str, problem: str) -> None:
    session.execute(
        sa.update(BackupTarget)
        .where(BackupTarget.id == target_id)
        .values(heartbeat_problem=problem[:LONGEST_REASON])
    )

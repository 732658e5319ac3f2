"""Leaving: checkpoints go to where whoever changes the database cannot change them, too."""

from datetime import datetime

import msgspec

from mainstay_server.areas.audit.settings import AuditSettings
from mainstay_server.contracts.audit import AuditCheckpointSigned
from mainstay_server.kernel import blobs
from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.events import Refused, RetryLater
from mainstay_server.kernel.outbound import OutboundError, fetch_blocking
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.settings import of

from .checkpoints import note_reached
from .signing import origin_of

BLOBS, FOLDER, WEBHOOK = "blobs", "folder", "webhook"
ANOTHER = (
    "There is another checkpoint of this log at the same row already: its rows were written anew."
)


def blob_folder(organization_id: str) -> str:
    """Where the checkpoints of a log lie in the blob store; their keys sort by size."""
    return f"audit/{organization_id}/checkpoints"


def store(event: AuditCheckpointSigned) -> None:
    """Put a checkpoint into the blob store; one that contradicts what lies there is refused."""
    key = f"{blob_folder(event.organization_id)}/{event.size:020d}.txt"
    try:
        _refuse_another(event, blobs.get(key).decode() if blobs.exists(key) else None)
        blobs.put(key, event.note.encode())
    except Problem as problem:
        raise RetryLater(problem.detail) from problem


def write(event: AuditCheckpointSigned) -> None:
    """Write a checkpoint into the operator's folder, in place at once or not at all."""
    folder = of(AuditSettings).audit_checkpoint_folder
    if folder is None:
        return
    path = folder / event.organization_id / f"{event.size:020d}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_another(event, path.read_text(encoding="utf-8") if path.exists() else None)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(event.note, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise RetryLater(f"{folder} cannot be written: {error.strerror}") from error


def post(event: AuditCheckpointSigned, *, delivery_id: str) -> None:
    """POST a checkpoint to the operator's webhook, as a CloudEvent (1.0.2, structured JSON)."""
    url = of(AuditSettings).audit_checkpoint_webhook_url
    if not url:
        return
    origin = origin_of(event.organization_id)
    body = {
        "specversion": "1.0",
        "id": delivery_id,
        "source": origin,
        "type": "mainstay.audit.checkpoint",
        "subject": str(event.size),
        "time": rfc3339(event.signed_at),
        "datacontenttype": "application/json",
        "data": {"origin": origin, "size": event.size, "checkpoint": event.note},
    }
    headers = {"content-type": "application/cloudevents+json", "idempotency-key": delivery_id}
    try:
        answer = fetch_blocking("POST", url, body=msgspec.json.encode(body), headers=headers)
    except OutboundError as error:
        raise RetryLater(str(error)) from error
    if answer.status // 100 != 2:  # noqa: PLR2004 - any 2xx
        raise RetryLater(f"The webhook answered {answer.status}.")


def destinations() -> list[str]:
    """Where checkpoints are to go, by the settings."""
    settings = of(AuditSettings)
    wanted = {
        BLOBS: True,
        FOLDER: settings.audit_checkpoint_folder is not None,
        WEBHOOK: bool(settings.audit_checkpoint_webhook_url),
    }
    return [name for name, is_wanted in wanted.items() if is_wanted]


def note_in_own_transaction(
    event: AuditCheckpointSigned, destination: str, *, error: str, now: datetime
) -> None:
    """Write down how a try went, beside the try itself, which no transaction can hold."""
    with transaction() as session:
        note_reached(session, event, destination, error=error, now=now)


def _refuse_another(event: AuditCheckpointSigned, present: str | None) -> None:
    if present is not None and present != event.note:
        raise Refused(ANOTHER)

"""What is not kept for ever: old results, and files that no row names."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.results.models import ResultUpload
from mainstay_server.contracts.results import ResultRemoved
from mainstay_server.kernel import blobs
from mainstay_server.kernel.blob_files import walk_keys
from mainstay_server.kernel.database import made_at, reading, rows_changed, transaction
from mainstay_server.kernel.events import say
from mainstay_server.tenancy.subjects import ProjectRef

from .uploading import get_upload

PREFIX = "results"
AT_ONCE = 500


def remove_upload(session: Session, project: ProjectRef, upload_id: str, *, now: datetime) -> None:
    """Remove results; their files go by a job. Raises `NotFound`."""
    upload = get_upload(session, project.id, upload_id)
    event = ResultRemoved(
        organization_id=project.organization_id,
        project_id=project.id,
        upload_id=upload.id,
        kind=upload.kind,
        name=upload.name,
    )
    session.delete(upload)
    session.flush()
    say(session, event, now=now)


def forget_old(*, received_before: datetime, made_before: datetime) -> int:
    """Forget what is old, then remove files made before that no row names; how many rows went.

    A file is stored before its row, so one that was made a moment ago is left alone.
    """
    with transaction() as session:
        old = sa.delete(ResultUpload).where(ResultUpload.received_at < received_before)
        forgotten = rows_changed(session, old)
    for keys in walk_keys(PREFIX, at_once=AT_ONCE):
        ids = {key.split("/")[2] for key in keys}
        with reading() as session:
            named = set(session.scalars(sa.select(ResultUpload.id).where(ResultUpload.id.in_(ids))))
        for key in keys:
            one = key.split("/")[2]
            if one not in named and made_at(one) < made_before:
                blobs.delete(key)
    return forgotten

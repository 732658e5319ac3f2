"""Taking results in: read, stored, and recorded once, however often they are sent."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

import msgspec
import sqlalchemy as sa
from backports import zstd
from sqlalchemy.orm import Session

from mainstay_server.areas.results.models import CaseStatus, Kind, ResultUpload
from mainstay_server.areas.results.providers import reader_of
from mainstay_server.areas.results.schemas.parsed import Case, Parsed
from mainstay_server.areas.results.settings import ResultSettings
from mainstay_server.contracts.results import ResultUploaded
from mainstay_server.kernel import blobs
from mainstay_server.kernel.database import insert, new_id, rows_changed
from mainstay_server.kernel.events import say
from mainstay_server.kernel.problems import NotFound
from mainstay_server.kernel.settings import of
from mainstay_server.tenancy.subjects import ProjectRef

LARGEST_PARSED_BYTES = 256 << 20
_decoder = msgspec.json.Decoder(Parsed)


@dataclass(frozen=True, kw_only=True)
class About:
    """What is said of results beside them."""

    kind: Kind
    name: str
    branch: str
    commit: str


@dataclass(frozen=True, kw_only=True)
class Received:
    """Results that were read and stored, before a row says that they are there."""

    id: str
    digest: str
    bytes: int
    parsed: Parsed


def receive(project_id: str, about: About, body: bytes) -> Received:
    """Read results, and store them as they came and as they were read.

    Raises:
        Invalid: they are of another kind, or broken.
        TooLarge: there is too much in them.
    """
    parsed = reader_of(about.kind, body)(body)
    received = Received(
        id=new_id(), digest=hashlib.sha256(body).hexdigest(), bytes=len(body), parsed=parsed
    )
    blobs.put(file_key(project_id, received.id), zstd.compress(body, 3))
    blobs.put(parsed_key(project_id, received.id), zstd.compress(msgspec.json.encode(parsed), 3))
    return received


def record(
    session: Session,
    project: ProjectRef,
    about: About,
    received: Received,
    *,
    made_by: str,
    now: datetime,
) -> tuple[ResultUpload, bool]:
    """Record what was received; returns it, and whether it is new.

    The same file of the same commit is recorded once: then this is the first one.
    """
    row = {
        "id": received.id,
        "project_id": project.id,
        **{name: getattr(about, name) for name in ("kind", "name", "branch", "commit")},
        "digest": received.digest,
        "made_by": made_by[:200],
        "bytes": received.bytes,
        **_counts(received.parsed.cases),
        "metrics": len(received.parsed.metrics),
        "received_at": now,
    }
    made = rows_changed(session, insert(ResultUpload).values(row).on_conflict_do_nothing())
    same = (
        ResultUpload.project_id == project.id,
        ResultUpload.digest == received.digest,
        *_series(about.kind, about.name, about.branch),
        ResultUpload.commit == about.commit,
    )
    upload = session.scalars(sa.select(ResultUpload).where(*same)).one()
    if made:
        event = ResultUploaded(
            organization_id=project.organization_id,
            project_id=project.id,
            upload_id=upload.id,
            kind=about.kind,
            name=about.name,
        )
        say(session, event, now=now)
        _forget_beyond_the_newest(session, upload)
    return upload, bool(made)


def get_upload(session: Session, project_id: str, upload_id: str) -> ResultUpload:
    """The project's upload of this id. Raises `NotFound`."""
    found = session.get(ResultUpload, upload_id)
    if found is None or found.project_id != project_id:
        raise NotFound("The project has no such results; list them first.")
    return found


def parsed_of(upload: ResultUpload) -> Parsed:
    """What is in results, as they were read when they came. Raises `blobs.BlobMissing`."""
    key = parsed_key(upload.project_id, upload.id)
    return _decoder.decode(zstd.decompress(blobs.get(key, max_bytes=LARGEST_PARSED_BYTES)))


def file_of(upload: ResultUpload) -> bytes:
    """Results as they were sent. Raises `blobs.BlobMissing`."""
    key = file_key(upload.project_id, upload.id)
    return zstd.decompress(blobs.get(key, max_bytes=LARGEST_PARSED_BYTES))


def file_key(project_id: str, upload_id: str) -> str:
    """Under which key the blob store holds a file as it came."""
    return f"results/{project_id}/{upload_id}/file"


def parsed_key(project_id: str, upload_id: str) -> str:
    """Under which key the blob store holds what was read from a file."""
    return f"results/{project_id}/{upload_id}/parsed"


def _counts(cases: list[Case]) -> dict[str, float]:
    def count(status: CaseStatus) -> int:
        return sum(case.status is status for case in cases)

    return {
        "total": len(cases),
        "passed": count(CaseStatus.PASSED),
        "failed": count(CaseStatus.FAILED),
        "skipped": count(CaseStatus.SKIPPED),
        "seconds": sum(case.seconds for case in cases),
    }


def _series(kind: Kind, name: str, branch: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        ResultUpload.kind == kind,
        ResultUpload.name == name,
        ResultUpload.branch == branch,
    )


def _forget_beyond_the_newest(session: Session, upload: ResultUpload) -> None:
    """Forget the oldest of a series that is longer than is kept; their files go by a job."""
    series = (
        ResultUpload.project_id == upload.project_id,
        *_series(upload.kind, upload.name, upload.branch),
    )
    oldest_kept = session.scalar(
        sa.select(ResultUpload.id)
        .where(*series)
        .order_by(ResultUpload.id.desc())
        .offset(of(ResultSettings).results_per_series - 1)
        .limit(1)
    )
    if oldest_kept is not None:
        session.execute(sa.delete(ResultUpload).where(*series, ResultUpload.id < oldest_kept))

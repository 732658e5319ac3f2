"""The API of the audit log: its rows, what was signed of them, and whether they verify."""

from collections.abc import Iterator
from typing import IO, Annotated, Any

import msgspec
from fastapi import Query, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import say
from mainstay_server.kernel.limits import Bucket, Rate, bucket_key, microseconds, take
from mainstay_server.kernel.problems import TooManyRequests
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role

from .models import AuditLog
from .schemas import (
    AuditRowAnswer,
    AuditRowsAnswer,
    CheckpointAnswer,
    CheckpointsAnswer,
    DestinationAnswer,
    InstanceRowQuery,
    LogQuery,
    RemovalAnswer,
    RowFilter,
    VerificationAnswer,
)
from .service import checkpoints, exporting, ocsf, signing, verifying
from .service import reading as rows

router = Router()
Admin = Annotated[Caller, access.organization(Role.ADMIN)]
VERIFICATIONS = Rate(quota=6, window_seconds=60, burst=6)
PIECE_BYTES = 65_536

_ROW = {
    "position": 1412,
    "id": "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    "at": "2026-11-21T09:41:45.001Z",
    "actor": {
        "kind": "person",
        "id": "0193a0c2-7e57-7000-8000-000000000001",
        "name": "Alice",
        "email": "alice@ships.example",
    },
    "address": "192.0.2.7",
    "client": "Mozilla/5.0",
    "action": "instance.changed",
    "outcome": "success",
    "target": {
        "kind": "instance",
        "id": "0193a0c2-7e57-7000-8000-000000000002",
        "name": "production",
    },
    "project": {"id": "0193a0c2-7e57-7000-8000-000000000003", "slug": "inspections"},
    "instance": {"id": "0193a0c2-7e57-7000-8000-000000000002", "environment": "production"},
    "changes": {"interval_seconds": [300, 60]},
    "details": {},
    "prevHash": "4d6e…",
    "hash": "9b87…",
}
_ROWS = {"auditLogs": [_ROW], "total": 1, "limit": 100, "offset": 0}
_CSV = "position,time,…\r\n1412,2026-11-21T09:41:45.001Z,…\r\n"
_LINES = '{"action":"instance.changed","actor":{"email":"alice@ships.example",…}\n'
_OCSF = '{"class_uid":3004,"activity_id":3,"type_uid":300403,"time":1795254105001,…}\n'
_FILES: dict[str, Any] = {
    "application/json": {"example": _ROWS},
    "text/csv": {"schema": {"type": "string"}, "example": _CSV},
    "application/jsonl": {"schema": {"type": "string"}, "example": _LINES},
}


@router.get(
    "/api/instances/{instance_id}/audit-logs",
    summary="List what was administered in an instance",
    operation_id="list_instance_audit_logs",
    response_model=AuditRowsAnswer,
    responses={200: {"content": _FILES}},
)
def list_of_instance(
    instance: Annotated[InstanceRef, access.instance(Role.MEMBER)],
    asked: Annotated[InstanceRowQuery, Query()],
) -> Any:  # noqa: ANN401 - rows, or a file
    """Rows of an instance and of its project as a whole, the newest first; or all, as a file."""
    wanted = asked.as_filter(project_id=instance.project_id, instance_id=instance.id)
    if asked.export:
        name = f"audit-{instance.project_slug}-{instance.environment}"
        return _file(instance.organization_id, wanted, asked.export, name=name)
    return _page(instance.organization_id, wanted, limit=asked.limit, offset=asked.offset)


@router.get(
    "/api/audit-logs",
    summary="List what was administered in the organization",
    operation_id="list_audit_logs",
    response_model=AuditRowsAnswer,
    responses={
        200: {
            "content": {
                **_FILES,
                "application/x-ndjson": {"schema": {"type": "string"}, "example": _OCSF},
                "application/zip": {"schema": {"type": "string"}, "example": "PK…"},
            }
        }
    },
)
def list_of_organization(caller: Admin, asked: Annotated[LogQuery, Query()]) -> Any:  # noqa: ANN401 - rows, or a file
    """All rows, the newest first; as a file; or in OCSF, the oldest first, to go on from.

    A system that gathers security events asks with `format=ocsf` and the `X-Next-Cursor` of the
    answer before; there is nothing new when it is the same again. That is not audited itself, as
    the files are, for it would never end.
    """
    wanted = asked.as_filter()
    if asked.format == "ocsf":
        return _stream(caller.organization_id, wanted, asked)
    if asked.export:
        return _file(caller.organization_id, wanted, asked.export, name="audit")
    return _page(caller.organization_id, wanted, limit=asked.limit, offset=asked.offset)


@router.get("/api/audit/checkpoints", summary="Show what was signed of the audit log")
def list_checkpoints(session: Session, caller: Admin) -> CheckpointsAnswer:
    """Signed checkpoints and notes of removals, the public key, and where checkpoints went."""
    organization_id = caller.organization_id
    log = session.get(AuditLog, organization_id)
    return CheckpointsAnswer(
        origin=signing.origin_of(organization_id),
        public_key=signing.public_key(organization_id),
        rows=log.size if log else 0,
        checkpoints=[
            CheckpointAnswer.model_validate(each)
            for each in checkpoints.list_checkpoints(session, organization_id)
        ],
        removals=[
            RemovalAnswer.model_validate(each)
            for each in checkpoints.list_removals(session, organization_id)
        ],
        destinations=[
            DestinationAnswer.model_validate(each)
            for each in checkpoints.list_destinations(session, organization_id)
        ],
    )


@router.get("/api/audit/verify", summary="Verify the audit log", operation_id="verify_audit_log")
def verify(session: Session, caller: Admin) -> VerificationAnswer:
    """Look at every row now, at its chain, its tree, and every checkpoint; at most 6 a minute.

    A server that was broken into may say anything: `mainstay audit verify` looks for itself.
    """
    rate = VERIFICATIONS
    bucket = Bucket(bucket_key("verify-audit", rate, caller.organization_id), rate)
    verdict = take([bucket], now_us=microseconds(utc_now()))
    if not verdict.admitted:
        raise TooManyRequests(
            "The log is verified at most six times a minute; wait a little.",
            retry_after_seconds=(verdict.retry_after_us or 0) / 1_000_000,
        )
    return VerificationAnswer.model_validate(verifying.verify_log(session, caller.organization_id))


def _page(organization_id: str, wanted: RowFilter, *, limit: int, offset: int) -> AuditRowsAnswer:
    with reading() as session:
        found = rows.list_rows(session, organization_id, wanted, limit=limit, offset=offset)
        total = rows.count_rows(session, organization_id, wanted)
    return AuditRowsAnswer(
        audit_logs=[
            AuditRowAnswer.model_validate({**msgspec.to_builtins(each.row), "hash": each.hash})
            for each in found
        ],
        total=total,
        limit=limit,
        offset=offset,
    )


def _file(organization_id: str, wanted: RowFilter, form: str, *, name: str) -> Response:
    """All rows that match as a file to take away, which is said before the first byte leaves."""
    with transaction() as session:
        say(session, exporting.exported(organization_id, wanted, form), now=utc_now())
    with reading() as session:
        log = session.get(AuditLog, organization_id)
        if form == "bundle":
            filename = f"{name}-{utc_now():%Y-%m-%d}.zip"
            file = exporting.bundle(session, organization_id, wanted, name=filename)
            return _download(_pieces(file), "application/zip", filename, close=file)
    found = rows.every_row(organization_id, wanted, up_to=log.size if log else 0)
    if form == "csv":
        return _download(exporting.csv_lines(found), "text/csv", f"{name}.csv")
    return _download(exporting.json_lines(found), "application/jsonl", f"{name}.jsonl")


def _stream(organization_id: str, wanted: RowFilter, asked: LogQuery) -> Response:
    position = int(asked.cursor or 0)
    with reading() as session:
        found = rows.rows_after(
            session, organization_id, wanted, position=position, limit=asked.limit
        )
    last = found[-1].row.position if found else position
    body = b"".join(msgspec.json.encode(ocsf.event_of(each)) + b"\n" for each in found)
    return Response(body, media_type="application/x-ndjson", headers={"x-next-cursor": str(last)})


def _download(
    pieces: Iterator[Any], media_type: str, filename: str, *, close: IO[bytes] | None = None
) -> Response:
    return StreamingResponse(
        pieces,
        media_type=media_type,
        headers={"content-disposition": f'attachment; filename="{filename}"'},
        background=BackgroundTask(close.close) if close else None,
    )


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        yield piece

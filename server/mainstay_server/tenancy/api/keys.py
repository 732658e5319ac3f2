"""Ingest keys of a project."""

from typing import Annotated

from fastapi import Request
from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, page_within
from mainstay_server.kernel.web import Cursor, Limit, Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.service import keys
from mainstay_server.tenancy.subjects import ProjectRef

from . import schemas

router = Router()

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]


@router.get(
    "/api/projects/{slug}/ingest-keys", summary="List ingest keys", operation_id="list_ingest_keys"
)
def list_keys(
    request: Request,
    session: Session,
    project: Viewed,
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> schemas.KeysAnswer:
    """A project's ingest keys, oldest first, disabled ones too."""
    base = base_url(request)
    found = keys.list_keys(session, project.id)
    page = page_within(found, limit=limit, cursor=cursor, key=lambda key: (key.id,))
    return schemas.KeysAnswer(
        ingest_keys=[schemas.key_answer(key, base, project.number) for key in page.items],
        next_cursor=page.next_cursor,
    )


@router.post(
    "/api/projects/{slug}/ingest-keys",
    summary="Make an ingest key",
    operation_id="create_ingest_key",
    status_code=201,
)
def create_key(
    request: Request, session: Session, project: Administered, body: schemas.KeyBody
) -> schemas.KeyAnswer:
    """Give a project one more key."""
    key = keys.create_key(session, project, label=body.label, now=utc_now())
    return schemas.key_answer(key, base_url(request), project.number)


@router.post(
    "/api/projects/{slug}/ingest-keys/{key_id}/disable",
    summary="Disable an ingest key",
    operation_id="disable_ingest_key",
)
def disable_key(
    request: Request, session: Session, project: Administered, key_id: str
) -> schemas.KeyAnswer:
    """Stop a key everywhere within two seconds."""
    key = keys.disable_key(session, project, key_id, now=utc_now())
    return schemas.key_answer(key, base_url(request), project.number)


@router.post(
    "/api/projects/{slug}/ingest-keys/{key_id}/enable",
    summary="Enable an ingest key",
    operation_id="enable_ingest_key",
)
def enable_key(
    request: Request, session: Session, project: Administered, key_id: str
) -> schemas.KeyAnswer:
    """Let a disabled key send again."""
    key = keys.enable_key(session, project, key_id, now=utc_now())
    return schemas.key_answer(key, base_url(request), project.number)


@router.post(
    "/api/projects/{slug}/ingest-keys/{key_id}/rotate",
    summary="Rotate an ingest key",
    operation_id="rotate_ingest_key",
    status_code=201,
)
def rotate_key(
    request: Request, session: Session, project: Administered, key_id: str
) -> schemas.RotatedAnswer:
    """Make a new key now; the old one works until it is disabled, so nothing is lost between."""
    old, new = keys.rotate_key(session, project, key_id, now=utc_now())
    base = base_url(request)
    return schemas.RotatedAnswer(
        new=schemas.key_answer(new, base, project.number),
        old=schemas.key_answer(old, base, project.number),
    )

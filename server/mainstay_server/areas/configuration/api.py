"""Documents over HTTP: planned, applied, exported, and the schema by which editors check them."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.web import Cursor, Limit, Router, example
from mainstay_server.kernel.web.incoming import read_incoming
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

from .schemas import (
    EXAMPLE,
    AppliedAnswer,
    AppliedList,
    Asked,
    PlanAnswer,
)
from .service import applying, exporting, history
from .service.kinds import document_schema
from .service.telling import answer_of

CONFIGURATION = "/api/projects/{slug}/configuration"
# The document itself is at most 5 MiB; as JSON, its quotes and lines are escaped.
MOST_BYTES = 12 << 20
YAML = "application/yaml"
PLANNED = {
    "project": "shop",
    "owner": "mainstay",
    "applied": False,
    "created": 0,
    "changed": 1,
    "removed": 0,
    "unchanged": 12,
    "adopted": 0,
    "changes": [
        {
            "kind": "instances",
            "name": "production",
            "action": "change",
            "line": 3,
            "fields": [{"field": "intervalSeconds", "before": 300, "after": 60}],
        }
    ],
    "left": [],
    "fingerprint": "9a0364b9e99bb480dd25e1f0284c8555",
}
APPLIED = {
    "id": "0193a5c2-8f00-7a11-8b22-3c44d55e6f77",
    "owner": "mainstay",
    "appliedAt": "2026-03-01T12:00:00.000Z",
    "actorName": "deploy pipeline",
    "created": 0,
    "changed": 1,
    "removed": 0,
    "unchanged": 12,
}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["document"],
                    "additionalProperties": False,
                    "properties": Asked.model_json_schema()["properties"],
                },
                "example": {"document": EXAMPLE},
            }
        },
    }
}


class SchemaResponse(JSONResponse):
    """A JSON Schema."""

    media_type = "application/schema+json"


A_SCHEMA = {
    "schema": {"type": "object"},
    "example": {"$schema": "https://json-schema.org/draft/2020-12/schema"},
}
router = Router()
# Not of the kernel's kind: its body may be larger than others, and no transaction waits for it.
documents = APIRouter()

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
Asking = Annotated[Caller, access.signed_in()]


@documents.post(
    CONFIGURATION + "/plan",
    summary="Plan a configuration",
    operation_id="plan_configuration",
    responses=example(PLANNED),
    openapi_extra=BODY,
)
async def plan_configuration(request: Request, project: Written, caller: Asking) -> PlanAnswer:
    """Tell what a document would change. It is tried to its end, and undone.

    What passes here is not refused by `apply`, unless something changes in between.
    """
    asked = await _asked(request)
    return await run_in_threadpool(_plan, project, caller, asked)


@documents.post(
    CONFIGURATION + "/apply",
    summary="Apply a configuration",
    operation_id="apply_configuration",
    responses=example(PLANNED | {"applied": True}),
    openapi_extra=BODY,
)
async def apply_configuration(request: Request, project: Written, caller: Asking) -> PlanAnswer:
    """Make the project what a document says: all of it, or nothing.

    A second time it changes nothing. What the document does not hold is left alone; `prune` removes
    what it made before.
    """
    asked = await _asked(request)
    return await run_in_threadpool(_apply, project, caller, asked)


@router.get(
    CONFIGURATION,
    summary="Export a configuration",
    operation_id="export_configuration",
    response_class=Response,
    # Whoever reads YAML has a mapping, and whoever does not has a text.
    responses={200: {"content": {YAML: {"schema": {"title": "Document"}, "example": EXAMPLE}}}},
)
def export_configuration(request: Request, session: Session, project: Viewed) -> Response:
    """The project as a document. Secrets are variables that fall back to what is there."""
    text = exporting.export_document(
        session, applying.about(session, project), server=base_url(request)
    )
    return Response(text, media_type=YAML)


@router.get(
    CONFIGURATION + "/applied",
    summary="List applied configurations",
    operation_id="list_applied_configurations",
    responses=example({"applied": [APPLIED], "nextCursor": "WyIwMTkzYTVjMiJd"}),
)
def list_applied(
    session: Session, project: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> AppliedList:
    """When documents were applied, and by whom; the newest hundred times are kept."""
    page = history.list_applied(session, project.id, limit=limit, cursor=cursor)
    return AppliedList(
        applied=[AppliedAnswer.model_validate(each) for each in page.items],
        next_cursor=page.next_cursor,
    )


@router.get(
    exporting.SCHEMA_PATH,
    summary="JSON Schema of configurations",
    operation_id="get_configuration_schema",
    response_class=SchemaResponse,
    responses={200: {"content": {SchemaResponse.media_type: A_SCHEMA}}},
)
def get_schema(
    request: Request,
    _public: Annotated[None, access.public("says how documents are written, nothing of anyone's")],
) -> SchemaResponse:
    """The JSON Schema of documents: editors complete and check them by it."""
    return SchemaResponse(
        document_schema(base_url(request) + exporting.SCHEMA_PATH),
        headers={"cache-control": "public, max-age=300"},
    )


async def _asked(request: Request) -> Asked:
    body = await read_incoming(request.scope, request.receive, most_bytes=MOST_BYTES)
    try:
        return Asked.model_validate_json(body)
    except ValidationError as error:
        faults = [
            {"field": ".".join(map(str, one["loc"])), "message": one["msg"]}
            for one in error.errors()[:20]
        ]
        raise Invalid(
            "The body is JSON with a document in it; correct the fields in errors.", errors=faults
        ) from None


def _plan(project: ProjectRef, caller: Caller, asked: Asked) -> PlanAnswer:
    with transaction() as session:
        made = applying.plan(
            session,
            project,
            asked,
            may_administer=caller.role.covers(Role.ADMIN),
            now=utc_now(),
        )
        return answer_of(project, made, applied=False)


def _apply(project: ProjectRef, caller: Caller, asked: Asked) -> PlanAnswer:
    with transaction() as session:
        made = applying.apply(
            session,
            project,
            asked,
            may_administer=caller.role.covers(Role.ADMIN),
            now=utc_now(),
        )
        return answer_of(project, made, applied=True)


router.include_router(documents)

"""Results in, their history and comparison out, over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic.alias_generators import to_camel
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.limits.charging import charge_hourly
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.web import Cursor, Limit, Router
from mainstay_server.kernel.web.incoming import read_incoming
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

from .models import CaseStatus, Kind
from .schemas.answers import (
    A_LEDGER,
    A_REPORT,
    CaseAnswer,
    Cases,
    ComparisonAnswer,
    MovedAnswer,
    ResultAbout,
    ResultAnswer,
    Results,
    SlowerAnswer,
)
from .schemas.parsed import Parsed
from .service import comparing, forgetting, listing, uploading
from .service.uploading import About
from .settings import MIB, ResultSettings

RESULTS = "/api/projects/{slug}/results"
RESULT = RESULTS + "/{result_id:id}"
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "JUnit's XML or JSON; may be compressed.",
        "content": {
            "application/xml": {"schema": {"type": "string"}, "example": A_REPORT},
            "application/json": {
                "schema": {"type": ["object", "array"]},
                "example": A_LEDGER,
            },
        },
    }
}

router = Router()
# Not of the kernel's kind: its body may be larger than others, and nothing waits for the database
# while results are read.
uploads = APIRouter()

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]
Asking = Annotated[Caller, access.signed_in()]


@uploads.post(
    RESULTS,
    summary="Upload results",
    operation_id="upload_results",
    status_code=201,
    openapi_extra=BODY,
)
async def upload_results(
    request: Request, project: Written, caller: Asking, about: ResultAbout
) -> ResultAnswer:
    """Take in what a test run, a ledger of a run or an analysis wrote.

    The same file of the same commit is recorded once; sent again, it is told as it is.
    """
    await _charge(project.id)
    limit = of(ResultSettings).results_upload_mib * MIB
    body = await read_incoming(request.scope, request.receive, most_bytes=limit)
    return await run_in_threadpool(_take, project, caller, body, About(**about.model_dump()))


@router.get(RESULTS, summary="List results", operation_id="list_results")
def list_results(  # noqa: PLR0913 - what can be chosen
    session: Session,
    project: Viewed,
    *,
    kind: Annotated[Kind | None, Query(description="Of this kind.")] = None,
    name: Annotated[str, Query(max_length=200, description="Of this name.")] = "",
    branch: Annotated[str, Query(max_length=200, description="Of this branch.")] = "",
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> Results:
    """What was uploaded, newest first."""
    chosen = listing.Chosen(kind=kind, name=name, branch=branch)
    page = listing.list_uploads(session, project.id, chosen, limit=limit, cursor=cursor)
    found = [ResultAnswer.model_validate(each) for each in page.items]
    return Results(results=found, next_cursor=page.next_cursor)


@router.get(RESULT, summary="One upload of results", operation_id="get_result")
def get_result(session: Session, project: Viewed, result_id: str) -> ResultAnswer:
    """What was uploaded, in numbers."""
    return ResultAnswer.model_validate(uploading.get_upload(session, project.id, result_id))


@router.get(RESULT + "/cases", summary="List cases", operation_id="list_result_cases")
def list_cases(  # noqa: PLR0913 - what can be chosen
    session: Session,
    project: Viewed,
    result_id: str,
    *,
    status: Annotated[CaseStatus | None, Query(description="That went like this.")] = None,
    q: Annotated[str, Query(max_length=200, description="In the name.")] = "",
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> Cases:
    """The tests or steps of an upload by name, and its numbers."""
    parsed = uploading.parsed_of(uploading.get_upload(session, project.id, result_id))
    page = listing.list_cases(parsed, status=status, text=q, limit=limit, cursor=cursor)
    found = [CaseAnswer.model_validate(each) for each in page.items]
    return Cases(cases=found, metrics=parsed.metrics, next_cursor=page.next_cursor)


@router.get(RESULT + "/comparison", summary="Compare results", operation_id="compare_results")
def compare_results(
    session: Session,
    project: Viewed,
    result_id: str,
    *,
    against: Annotated[
        str | None, Query(max_length=36, description="The id of other results of this kind.")
    ] = None,
    branch: Annotated[
        str | None, Query(max_length=200, description="The newest of this branch.")
    ] = None,
) -> ComparisonAnswer:
    """What fails anew, what is fixed, what is slower, and which numbers moved.

    Without anything said, since the results before of the same name and branch. Where there are
    none, `against` is null and every failure is new.
    """
    upload = uploading.get_upload(session, project.id, result_id)
    if against is None:
        base = comparing.find_base(session, upload, branch=branch)
    else:
        base = uploading.get_upload(session, project.id, against)
        comparing.refuse_other_kinds(upload, base)
    before = uploading.parsed_of(base) if base else Parsed()
    found = comparing.compare(before, uploading.parsed_of(upload), against=base)
    return ComparisonAnswer(
        against=ResultAnswer.model_validate(base) if base else None,
        counts={to_camel(name): count for name, count in found.counts.items()},
        new_failures=[CaseAnswer.model_validate(each) for each in found.new_failures],
        still_failing=[CaseAnswer.model_validate(each) for each in found.still_failing],
        fixed=found.fixed,
        added=found.added,
        removed=found.removed,
        slower=[SlowerAnswer.model_validate(each) for each in found.slower],
        metrics=[MovedAnswer.model_validate(each) for each in found.metrics],
    )


@router.get(
    RESULT + "/file",
    summary="Download results",
    operation_id="download_results",
    response_class=Response,
    responses={
        200: {
            "description": "The file as it was uploaded.",
            "content": {
                "application/octet-stream": {"schema": {"type": "string"}, "example": A_REPORT}
            },
        }
    },
)
def download_results(session: Session, project: Viewed, result_id: str) -> Response:
    """The file as it was uploaded."""
    upload = uploading.get_upload(session, project.id, result_id)
    return Response(
        uploading.file_of(upload),
        media_type="application/octet-stream",
        headers={"content-disposition": f'attachment; filename="{upload.kind}-{upload.id}"'},
    )


@router.delete(RESULT, summary="Remove results", operation_id="remove_result", status_code=204)
def remove_result(session: Session, project: Administered, result_id: str) -> None:
    """Remove an upload of results."""
    forgetting.remove_upload(session, project, result_id, now=utc_now())


def _take(project: ProjectRef, caller: Caller, body: bytes, about: About) -> ResultAnswer:
    """Read results before the transaction begins, so that no writer waits for it."""
    received = uploading.receive(project.id, about, body)
    with transaction() as session:
        upload, is_new = uploading.record(
            session, project, about, received, made_by=caller.person_name, now=utc_now()
        )
        answer = ResultAnswer.model_validate(upload)
    return answer.model_copy(update={"is_new": is_new})


async def _charge(project_id: str) -> None:
    """Charge one upload to the project. Raises the refusal when too many came."""
    quota = of(ResultSettings).results_uploads_per_hour
    await charge_hourly("results", project_id, quota=quota, now=utc_now())


router.include_router(uploads)

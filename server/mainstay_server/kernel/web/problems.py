"""Refusals on the wire: RFC 9457 problem details, from every door in the same shape."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Send

from mainstay_server.kernel import problems

log = logging.getLogger(__name__)

BY_STATUS = {
    401: problems.Unauthenticated,
    403: problems.Forbidden,
    404: problems.NotFound,
    405: problems.MethodNotAllowed,
    408: problems.RequestTimeout,
    413: problems.TooLarge,
    415: problems.UnsupportedMedia,
}


def problem_response(
    problem: problems.Problem, path: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The problem as an HTTP answer, with the headers that belong to it and those given."""
    return Response(
        msgspec.json.encode(problem.to_json(path)),
        status_code=problem.status,
        headers={**problem_headers(problem), **(headers or {})},
        media_type=problems.CONTENT_TYPE,
    )


def problem_headers(problem: problems.Problem) -> Mapping[str, str]:
    """The headers that go with a refusal."""
    headers = {name.lower(): value for name, value in problem.headers.items()}
    if problem.retry_after_seconds is not None:
        headers["retry-after"] = str(max(1, math.ceil(problem.retry_after_seconds)))
    if isinstance(problem, problems.Unauthenticated):
        headers.setdefault("www-authenticate", "Bearer")
    return headers


async def send_problem(
    send: Send, problem: problems.Problem, *, path: str, headers: Mapping[str, str] | None = None
) -> None:
    """Answer a plain ASGI request with a problem."""
    body = msgspec.json.encode(problem.to_json(path))
    all_headers = {
        "content-type": problems.CONTENT_TYPE,
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        **problem_headers(problem),
        **(headers or {}),
    }
    await send(
        {
            "type": "http.response.start",
            "status": problem.status,
            "headers": [(k.lower().encode(), v.encode()) for k, v in all_headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


def as_problem(error: Exception) -> problems.Problem:
    """Any refusal of the frameworks below us, as ours."""
    if isinstance(error, problems.Problem):
        return error
    if isinstance(error, RequestValidationError):
        faults = [_fault(e) for e in error.errors()]
        first = faults[0] if faults else {"field": "body", "message": "is not readable"}
        return problems.Invalid(f"{first['field']}: {first['message']}.", errors=faults)
    if isinstance(error, HTTPException):
        kind = BY_STATUS.get(error.status_code, problems.Invalid)
        return kind(f"{error.detail}; see /api/docs for what there is.")
    log.error("a request failed", exc_info=error)
    return problems.Problem("Something went wrong on our side; the log has the details.")


def _fault(error: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with one field, or with the body as a whole."""
    if error["type"] == "json_invalid":
        place = error["loc"][-1]
        why = error.get("ctx", {}).get("error", "it breaks off")
        return {"field": "body", "message": f"is no JSON from character {place} on: {why}"}
    field = ".".join(str(part) for part in error["loc"][1:]) or "body"
    return {"field": field, "message": error["msg"]}

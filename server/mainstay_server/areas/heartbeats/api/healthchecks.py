"""Healthchecks' management API, versions 1 to 3, for its clients as they are.

It answers refusals in its own shape, `{"error": …}`, and checks the `X-Api-Key` itself. It is
documented by Healthchecks and in our docs, not in our OpenAPI document.
"""

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from typing_extensions import override

from mainstay_server.areas.heartbeats.schemas.healthchecks import Spec, fault_of
from mainstay_server.areas.heartbeats.service import badges, healthchecks, heartbeats, keys, reading
from mainstay_server.areas.heartbeats.service.healthchecks import Asker
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.events import Origin, set_origin
from mainstay_server.kernel.problems import Conflict, Invalid, Problem, Unauthenticated
from mainstay_server.kernel.web.routing import TransactionalRoute
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url

MOST_PINGS = 1_000
VERSIONS = (1, 2, 3)
HEADERS = {"access-control-allow-origin": "*", "cache-control": "no-store"}
BY_KEY = access.public("the key of the project is checked in X-Api-Key, as Healthchecks does it")


class HealthchecksRoute(TransactionalRoute):
    """A route that refuses as Healthchecks does, after its transaction was rolled back."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with refusals in Healthchecks' shape."""
        answer = super().get_route_handler()

        async def answer_in_their_shape(request: Request) -> Response:
            try:
                return await answer(request)
            except Problem as problem:
                return JSONResponse(
                    {"error": problem.detail}, status_code=problem.status, headers=HEADERS
                )

        return answer_in_their_shape


router = APIRouter(
    prefix="/api/v{version}",
    route_class=HealthchecksRoute,
    include_in_schema=False,
    dependencies=[BY_KEY],
)


async def _sent(request: Request) -> bytes:
    return await request.body()


Sent = Annotated[bytes, Depends(_sent)]


@router.get("/checks/")
@router.get("/checks")
def show_checks(
    request: Request,
    session: Session,
    version: int,
    tag: Annotated[list[str], Query(max_length=20)] = [],  # noqa: B006 - FastAPI copies it
    slug: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """The checks that the key opens."""
    asker = _asker(request, session, version)
    rows = healthchecks.list_checks(session, asker, tags=tag, slug=slug)
    return _json({"checks": healthchecks.documents_of(session, asker, rows)})


@router.post("/checks/")
@router.post("/checks")
def create_check(request: Request, session: Session, version: int, sent: Sent) -> Response:
    """Make a check, or change the one that is alike in `unique`."""
    body = _read(sent)
    asker = _writer(request, session, version, body)
    row, made = healthchecks.upsert_check(session, asker, _spec(body))
    return _json(healthchecks.document_of(session, asker, row), 201 if made else 200)


@router.get("/checks/{name}")
def get_check(request: Request, session: Session, version: int, name: str) -> Response:
    """One check, by its UUID or unique key."""
    asker = _asker(request, session, version)
    row = healthchecks.get_check(session, asker, name)
    return _json(healthchecks.document_of(session, asker, row))


@router.post("/checks/{name}")
def update_check(
    request: Request, session: Session, version: int, name: str, sent: Sent
) -> Response:
    """Change a check."""
    body = _read(sent)
    asker = _writer(request, session, version, body)
    row = healthchecks.get_check(session, asker, name, locked=True)
    healthchecks.update_check(session, asker, row, _spec(body))
    return _json(healthchecks.document_of(session, asker, row))


@router.delete("/checks/{name}")
def delete_check(
    request: Request, session: Session, version: int, name: str, sent: Sent
) -> Response:
    """Remove a check for good; answers what it was."""
    asker = _writer(request, session, version, _read(sent))
    row = healthchecks.get_check(session, asker, name, locked=True)
    document = healthchecks.document_of(session, asker, row)
    heartbeats.remove_heartbeat(session, row, now=asker.now)
    return _json(document)


@router.post("/checks/{name}/pause")
def pause_check(
    request: Request, session: Session, version: int, name: str, sent: Sent
) -> Response:
    """Expect nothing of a check."""
    asker = _writer(request, session, version, _read(sent))
    row = healthchecks.get_check(session, asker, name, locked=True)
    heartbeats.pause_heartbeat(session, row, now=asker.now)
    return _json(healthchecks.document_of(session, asker, row))


@router.post("/checks/{name}/resume")
def resume_check(
    request: Request, session: Session, version: int, name: str, sent: Sent
) -> Response:
    """Wait for reports of a check again; 409 when it is not paused."""
    asker = _writer(request, session, version, _read(sent))
    row = healthchecks.get_check(session, asker, name, locked=True)
    try:
        heartbeats.resume_heartbeat(session, row, now=asker.now)
    except Conflict as conflict:
        raise Conflict("check is not paused") from conflict
    return _json(healthchecks.document_of(session, asker, row))


@router.get("/checks/{name}/pings/")
@router.get("/checks/{name}/pings")
def show_pings(request: Request, session: Session, version: int, name: str) -> Response:
    """The latest reports of a check, newest first; needs a key that writes."""
    asker = _writer(request, session, version, {})
    row = healthchecks.get_check(session, asker, name)
    page = reading.list_pings(session, row, limit=MOST_PINGS)
    return _json({"pings": [healthchecks.ping_document(asker, row, p) for p in page.items]})


@router.get("/checks/{name}/pings/{number}/body")
def get_ping_body(
    request: Request, session: Session, version: int, name: str, number: int
) -> Response:
    """What came with a report, as it came."""
    asker = _writer(request, session, version, {})
    row = healthchecks.get_check(session, asker, name)
    body = reading.get_body(session, row, number)
    safe = {
        "content-security-policy": "default-src 'none'; sandbox",
        "x-content-type-options": "nosniff",
    }
    return Response(body, media_type="text/plain", headers=HEADERS | safe)


@router.get("/checks/{name}/flips/")
@router.get("/checks/{name}/flips")
def show_flips(  # noqa: PLR0913, PLR0917 - what Healthchecks lets one ask for
    request: Request,
    session: Session,
    version: int,
    name: str,
    seconds: Annotated[int | None, Query(ge=0, le=31_536_000)] = None,
    start: Annotated[int | None, Query(ge=0, le=4_102_444_800)] = None,
    end: Annotated[int | None, Query(ge=0, le=4_102_444_800)] = None,
) -> Response:
    """When a check went up or down, newest first."""
    asker = _asker(request, session, version)
    row = healthchecks.get_check(session, asker, name)
    since = None if start is None else _moment(start)
    if seconds is not None:
        lately = asker.now - timedelta(seconds=seconds)
        since = lately if since is None else max(since, lately)
    until = None if end is None else _moment(end)
    flips = reading.list_flips(session, row, since=since, until=until)
    told = [
        {"timestamp": flip.at.replace(microsecond=0).isoformat(), "up": flip.up} for flip in flips
    ]
    return _json({"flips": told})


@router.get("/channels/")
@router.get("/channels")
def show_channels(request: Request, session: Session, version: int) -> Response:
    """Whoever is told of alerts; needs a key that writes."""
    asker = _writer(request, session, version, {})
    channels = healthchecks.channels_of(session, asker)
    told = [{"id": each.id, "name": each.name, "kind": each.kind} for each in channels]
    return _json({"channels": told})


@router.get("/badges/")
@router.get("/badges")
def show_badges(request: Request, session: Session, version: int) -> Response:
    """The addresses of the badges, by tag."""
    asker = _asker(request, session, version)
    rows = healthchecks.list_checks(session, asker)
    found: dict[str, dict[str, str]] = {}
    for instance_id in sorted({row.instance_id for row in rows}):
        tags = {tag for row in rows if row.instance_id == instance_id for tag in row.tags}
        for tag in [*sorted(tags), badges.ALL]:
            found.setdefault(
                tag,
                {
                    form + ("3" if states == badges.WITH_LATE else ""): asker.base
                    + badges.tag_path(instance_id, tag, states=states, form=form)
                    for states in (2, badges.WITH_LATE)
                    for form in badges.FORMATS
                },
            )
    return _json({"badges": found})


@router.get("/status/")
@router.get("/status")
def get_status(session: Session, version: int) -> Response:
    """Whether the service and its database work; open to everybody."""
    keys.find_api_key(session, str(version))
    return PlainTextResponse("OK", headers=HEADERS)


def _asker(
    request: Request, session: Session, version: int, body: dict[str, Any] | None = None
) -> Asker:
    """Whoever shows a key, in the header or, as old clients do it, in the body."""
    if version not in VERSIONS:
        raise Invalid("there is no such version of the API")
    text = request.headers.get("x-api-key") or str((body or {}).get("api_key", ""))
    if not text:
        raise Unauthenticated("missing api key")
    now = utc_now()
    key = keys.find_api_key(session, text)
    if key is None:
        raise Unauthenticated("wrong api key")
    set_origin(
        Origin(
            actor=f"heartbeat_key:{key.id}",
            name=key.name,
            address=request.client.host if request.client else "",
            client=request.headers.get("user-agent", ""),
        )
    )
    return Asker(key=key, base=base_url(request), version=version, now=now)


def _writer(request: Request, session: Session, version: int, body: dict[str, Any]) -> Asker:
    asker = _asker(request, session, version, body)
    if not asker.may_write:
        raise Unauthenticated("wrong api key")
    if request.method != "GET":
        keys.note_use(asker.key, now=asker.now)
    return asker


def _read(sent: bytes) -> dict[str, Any]:
    if not sent.strip():
        return {}
    try:
        body = msgspec.json.decode(sent)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Invalid("could not parse request body") from None
    if not isinstance(body, dict):
        raise Invalid("json validation error: value is not an object")
    return body


def _spec(body: dict[str, Any]) -> Spec:
    try:
        return Spec.model_validate(body)
    except ValidationError as error:
        raise Invalid(fault_of(error)) from error


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=utc_now().tzinfo)


def _json(document: dict[str, Any], status: int = HTTPStatus.OK) -> Response:
    return JSONResponse(document, status_code=status, headers=HEADERS)

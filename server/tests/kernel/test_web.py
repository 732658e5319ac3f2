"""The web layer: one transaction per request, refusals in one shape, cursors, forged requests."""

import asyncio
import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.jobs import JobState
from mainstay_server.kernel.pagination import decode_cursor, encode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, Forbidden, Invalid, TooManyRequests
from mainstay_server.kernel.web import (
    Router,
    as_problem,
    csrf_token,
    own_routes,
    problem_response,
    refuse_forged,
    sign,
    unsign,
)
from mainstay_server.kernel.web.bodies import Instant
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.testclient import TestClient

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
router = Router()


@router.post("/jobs/{name}")
def create(session: Session, name: str, *, fail: bool = False) -> dict[str, str]:
    session.add(JobState(name=name, due_at=NOON))
    session.flush()
    if fail:
        raise Conflict("That name is taken; choose another.")
    return {"name": name}


@router.post("/read")
def read(body: dict[str, str]) -> dict[str, int]:
    return {"read": len(body)}


@router.get("/jobs")
def names(session: Session) -> list[str]:
    return list(session.scalars(sa.select(JobState.name).order_by(JobState.name)))


@pytest.fixture
def client(database: None) -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(router)
    app.add_exception_handler(
        Conflict, lambda request, error: problem_response(as_problem(error), request.url.path)
    )
    with TestClient(app) as opened:
        yield opened


def test_a_request_that_is_answered_is_committed_and_a_refused_one_is_not(
    client: TestClient,
) -> None:
    assert client.post("/jobs/kept").json() == {"name": "kept"}
    refused = client.post("/jobs/lost?fail=true")

    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["detail"] == "That name is taken; choose another."
    assert client.get("/jobs").json() == ["kept"]


def test_two_hundred_writers_at_once_do_not_starve_each_other(client: TestClient) -> None:
    with ThreadPoolExecutor(50) as pool:
        answers = pool.map(lambda n: client.post(f"/jobs/{n}").status_code, range(200))
        assert set(answers) == {200}
    with reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(JobState)) == 200


@pytest.mark.parametrize("content", [b"x" * 1_100_000, [b"x" * 100_000] * 11])
def test_a_body_is_given_up_at_its_limit_before_anybody_asks_whose_it_is(
    client: TestClient, content: bytes | list[bytes]
) -> None:
    sent = content if isinstance(content, bytes) else iter(content)
    headers = {"content-type": "application/json"}

    assert client.post("/read", content=sent, headers=headers).status_code == 413
    assert client.post("/read", json={"a": "x" * 1_000_000}).json() == {"read": 1}


@pytest.mark.parametrize("number", ["1e999", "NaN", "-9223372036854775809", "1" + "0" * 30])
def test_a_cursor_with_a_number_that_no_database_knows_is_refused(number: str) -> None:
    forged = base64.urlsafe_b64encode(f'[{number},"x"]'.encode()).decode()
    with pytest.raises(Invalid, match="cursor"):
        decode_cursor(forged, parts=2)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_is_none_in_utc_is_refused_as_a_field(time: str) -> None:
    with pytest.raises(ValidationError, match="years 1 to 9999"):
        TypeAdapter(Instant).validate_python(time)


def test_a_refusal_says_when_to_come_back() -> None:
    answer = problem_response(TooManyRequests("Slow down.", retry_after_seconds=0.2), "/x")
    assert answer.headers["retry-after"] == "1"


def test_a_bug_tells_nothing_of_itself() -> None:
    assert "secret" not in as_problem(RuntimeError("secret")).detail


def test_a_cursor_comes_back_and_a_strange_one_is_refused() -> None:
    assert decode_cursor(encode_cursor("2026-03-01", 7), parts=2) == ["2026-03-01", 7]
    assert decode_cursor("", parts=2) is None
    for strange in ("!!!", "e30", encode_cursor(1, 2, 3)):
        with pytest.raises(Invalid, match="start without it"):
            decode_cursor(strange, parts=2)


def test_a_page_has_a_cursor_exactly_when_there_is_more() -> None:
    def key(number: int) -> tuple[int]:
        return (number,)

    assert page_of([1, 2], limit=2, key=key).next_cursor is None
    page = page_of([1, 2, 3], limit=2, key=key)
    assert page.items == [1, 2]
    assert decode_cursor(page.next_cursor or "", parts=1) == [2]


def test_a_signed_value_is_good_for_its_purpose_only(tmp_path: Path, database: None) -> None:
    text = sign({"person": "alice"}, purpose="export")
    assert unsign(text, purpose="export", max_age_seconds=60) == {"person": "alice"}
    assert unsign(text, purpose="reset", max_age_seconds=60) is None
    assert unsign("X" + text[1:], purpose="export", max_age_seconds=60) is None


async def ask(headers: dict[str, str]) -> None:
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }
    await refuse_forged(Request(scope), "session-1")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-csrf-token": "wrong"},
        {"x-csrf-token": "of-another-session"},
        {"x-csrf-token": "right", "sec-fetch-site": "cross-site"},
    ],
)
def test_a_forged_request_is_refused(database: None, headers: dict[str, str]) -> None:
    made = {"right": csrf_token("session-1"), "of-another-session": csrf_token("session-2")}
    given = {name: made.get(value, value) for name, value in headers.items()}
    with pytest.raises(Forbidden):
        asyncio.run(ask(given))


def test_the_pages_own_request_is_let_through(database: None) -> None:
    asyncio.run(ask({"x-csrf-token": csrf_token("session-1"), "sec-fetch-site": "same-origin"}))


def test_a_body_that_is_no_json_is_told_from_where_on() -> None:
    error = {"type": "json_invalid", "loc": ("body", 5), "ctx": {"error": "Expecting value"}}

    problem = as_problem(RequestValidationError([{**error, "msg": "JSON decode error"}]))

    assert problem.status == 400
    assert problem.detail == "body: is no JSON from character 5 on: Expecting value."


def test_an_app_has_the_routes_of_included_routers_in_their_order_as_they_were_made() -> None:
    inner, hidden, outer = Router(prefix="/inner"), Router(), Router()

    def asked() -> None:
        """An endpoint."""

    outer.get("/first")(asked)
    inner.get("/second", tags=["Own"])(asked)
    outer.include_router(inner)
    hidden.get("/third")(asked)
    outer.include_router(hidden, include_in_schema=False)

    found = list(own_routes(outer, tags=["Area"]))

    assert [(route.path, route.tags, route.include_in_schema) for route in found] == [
        ("/first", ["Area"], True),
        ("/inner/second", ["Area", "Own"], True),
        ("/third", ["Area"], False),
    ]
    made = [*outer.routes[:1], *inner.routes, *hidden.routes]
    assert [route.app for route in found] == [
        route.app for route in made if isinstance(route, APIRoute)
    ]


def test_a_router_is_included_as_it_is() -> None:
    outer = Router()
    outer.include_router(Router(), prefix="/elsewhere")

    with pytest.raises(ValueError, match="include a router as it is"):
        list(own_routes(outer))

"""The multi-step check against a real FastAPI app: log in, create, delete, and clean up always."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import pytest
import uvicorn
from fastapi import Depends, FastAPI, Form, Header, HTTPException, Response
from fastapi.responses import RedirectResponse
from mainstay_server.areas.health_checks.providers import PROVIDERS
from mainstay_server.kernel import outbound
from pydantic import ValidationError
from tests.areas.health_checks.worlds import ask
from tests.servers.processes import free_port
from tests.waiting import eventually

PASSWORD = "correct-horse-battery"
TOKEN = "tok_9f8e7d6c5b4a"


class Shop:
    """A shop that knows one user, and what was done to it."""

    def __init__(self) -> None:
        self.orders: dict[int, str] = {}
        self.calls: list[str] = []
        self.broken = False
        self.url = ""


def signed_in(authorization: Annotated[str, Header()] = "") -> None:
    if authorization != f"Bearer {TOKEN}":
        raise HTTPException(401)


def shop_app(shop: Shop) -> FastAPI:
    app = FastAPI()
    _take_orders(app, shop)
    _keep_sessions(app)
    return app


def _take_orders(app: FastAPI, shop: Shop) -> None:
    @app.post("/login")
    def log_in(credentials: dict[str, str]) -> dict[str, Any]:
        shop.calls.append("login")
        if credentials != {"user": "probe", "password": PASSWORD}:
            raise HTTPException(403, f"{credentials['password']} is wrong")
        return {"user": {"tokens": [TOKEN]}}

    @app.post("/orders", status_code=201, dependencies=[Depends(signed_in)])
    def create(response: Response) -> dict[str, Any]:
        shop.calls.append("create")
        number = len(shop.orders) + 1
        shop.orders[number] = "open"
        if shop.broken:
            raise HTTPException(500, f"no stock for {TOKEN}")
        response.headers["location"] = f"/orders/{number}"
        return {"id": number, "state": "open"}

    @app.delete("/orders", status_code=204, dependencies=[Depends(signed_in)])
    def delete_all() -> None:
        shop.calls.append("delete")
        shop.orders.clear()


def _keep_sessions(app: FastAPI) -> None:
    @app.post("/session")
    def open_session(user: Annotated[str, Form()]) -> Response:
        answer = RedirectResponse("/home", status_code=303)
        answer.set_cookie("session", f"session-of-{user}")
        return answer

    @app.get("/home")
    def home(cookie: Annotated[str, Header()] = "") -> Response:
        if cookie != "session=session-of-probe":
            raise HTTPException(401)
        return Response("<input name=csrf value='c-1234'> welcome", media_type="text/html")


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(autouse=True)
def way_out() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    with serving(shop_app(shop)) as url:
        shop.url = url
        yield shop


def through_the_shop(shop: Shop, *, password: str = PASSWORD) -> dict[str, Any]:
    signed_in = {"authorization": "Bearer {{token}}"}
    return {
        "variables": {"shop": shop.url},
        "secrets": {"password": password},
        "steps": [
            {
                "name": "log in",
                "method": "POST",
                "url": "{{shop}}/login",
                "body": '{"user": "probe", "password": "{{password}}"}',
                "extract": [
                    {"variable": "token", "expression": "$.user.tokens[0]", "secret": True}
                ],
            },
            {
                "name": "clean up",
                "method": "DELETE",
                "url": "{{shop}}/orders",
                "headers": signed_in,
                "alwaysRuns": True,
            },
            {
                "name": "create",
                "method": "POST",
                "url": "{{shop}}/orders",
                "headers": signed_in,
                "acceptedStatuses": ["201"],
                "extract": [
                    {"variable": "order", "expression": "$.id"},
                    {"variable": "place", "source": "header", "expression": "Location"},
                ],
            },
        ],
    }


def test_steps_hand_on_what_they_got_and_each_is_told(shop: Shop) -> None:
    result = ask("steps", through_the_shop(shop))

    assert (result.state, result.reason) == ("healthy", "")
    assert shop.calls == ["login", "create", "delete"]
    assert shop.orders == {}
    told = [(step.name, step.state, step.status_code) for step in result.steps]
    assert told == [
        ("log in", "healthy", 200),
        ("create", "healthy", 201),
        ("clean up", "healthy", 204),
    ]
    assert all(step.response_ms > 0 for step in result.steps)
    first_two = sum(step.response_ms for step in result.steps[:2])
    assert result.response_ms == pytest.approx(first_two), "cleaning up is not part of the time"


def test_a_step_that_fails_names_itself_and_what_cleans_up_runs_all_the_same(shop: Shop) -> None:
    shop.broken = True

    result = ask("steps", through_the_shop(shop))

    assert result.state == "unhealthy"
    assert result.reason == "step create: answered 500, not 201"
    assert result.status_code == 500
    assert shop.calls == ["login", "create", "delete"]
    assert shop.orders == {}


def test_what_cleans_up_is_skipped_where_it_has_nothing_to_work_with(shop: Shop) -> None:
    result = ask("steps", through_the_shop(shop, password="wrong-horse"))

    assert result.reason == "step log in: answered 403"
    assert shop.calls == ["login"]
    assert [(step.name, step.state, step.reason) for step in result.steps[1:]] == [
        ("create", "skipped", ""),
        ("clean up", "skipped", "nothing was put into token"),
    ]


def test_what_was_to_be_extracted_and_is_not_there_is_a_failure(shop: Shop) -> None:
    config = through_the_shop(shop)
    config["steps"][2]["extract"] = [{"variable": "order", "expression": "$.number"}]

    result = ask("steps", config)

    assert result.reason == "step create: found no json $.number for order"
    assert shop.orders == {}


def test_conditions_of_a_step_are_told_resolved_and_without_secrets(shop: Shop) -> None:
    config = through_the_shop(shop)
    config["steps"][0]["conditions"] = ["[BODY].user.tokens[0] == other", "[STATUS] == 200"]

    result = ask("steps", config)

    assert result.state == "unhealthy"
    assert result.reason == "step log in: [BODY].user.tokens[0] (tok_9f8e7d6c5b4a) == other"
    config["secrets"]["token_of_before"] = TOKEN
    hidden = ask("steps", config)
    assert hidden.reason == "step log in: [BODY].user.tokens[0] (•••) == other"
    assert hidden.failed == ("[BODY].user.tokens[0] (•••) == other",)


def test_a_condition_on_the_status_decides_on_it(shop: Shop) -> None:
    config = through_the_shop(shop, password="wrong-horse")
    config["steps"][0] |= {"conditions": ["[STATUS] == 403"], "extract": []}
    config["steps"] = config["steps"][:1]

    assert ask("steps", config).state == "healthy"


def test_cookies_and_words_of_a_page_go_from_step_to_step(shop: Shop) -> None:
    result = ask(
        "steps",
        {
            "steps": [
                {
                    "name": "sign in",
                    "method": "POST",
                    "url": f"{shop.url}/session",
                    "headers": {"content-type": "application/x-www-form-urlencoded"},
                    "body": "user=probe",
                },
                {
                    "name": "look",
                    "url": f"{shop.url}/home",
                    "extract": [
                        {
                            "variable": "csrf",
                            "source": "regex",
                            "expression": "name=csrf value='([^']+)'",
                        }
                    ],
                },
                {"name": "use it", "url": f"{shop.url}/home?csrf={{{{csrf}}}}"},
            ]
        },
    )

    assert result.reason == ""
    assert result.steps[2].url.endswith("/home?csrf=c-1234")


def test_no_secret_is_in_what_is_told(shop: Shop) -> None:
    shop.broken = True
    config = through_the_shop(shop)
    config["steps"].insert(
        2,
        {"name": "tell", "url": "{{shop}}/nothing?token={{token}}&password={{password}}"},
    )

    result = ask("steps", config)

    told = repr(result)
    assert PASSWORD not in told
    assert TOKEN not in told
    assert result.steps[1].url.endswith("/nothing?token=•••&password=•••")


def test_the_target_tells_the_places_and_no_secret(shop: Shop) -> None:
    steps = PROVIDERS["steps"]
    config = steps.Config.model_validate(through_the_shop(shop))

    assert steps.target_of(config) == f"3 steps at {shop.url}"
    assert steps.host_of(config) == shop.url.removeprefix("http://").partition(":")[0]


def a_step(**members: object) -> dict[str, object]:
    return {"name": "one", "url": "https://shop.example/", **members}


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"steps": []}, "steps"),
        ({"steps": [a_step(), a_step()]}, "two steps of one name"),
        ({"steps": [a_step(alwaysRuns=True)]}, "no step but those that clean up"),
        ({"steps": [a_step(body="{{token}}")]}, "nothing fills {{token}}"),
        ({"steps": [a_step(url="https://{{h}}/")], "secrets": {"h": "x"}}, "only a variable"),
        ({"steps": [a_step(url="ftp://shop.example/")]}, "neither http"),
        ({"steps": [a_step(conditions=["[STATUS] =="])]}, "conditions"),
        ({"steps": [a_step(conditions=["[CONNECTED] == true"])]}, "knows no"),
        (
            {"steps": [a_step(extract=[{"variable": "a", "expression": "$..["}])]},
            "JSONPath",
        ),
        (
            {"steps": [a_step(extract=[{"variable": "a", "source": "regex", "expression": "(a"}])]},
            "no regular expression",
        ),
        (
            {"steps": [a_step()], "secrets": {"a": "1"}, "variables": {"a": "2"}},
            "as a variable and as a secret",
        ),
    ],
)
def test_steps_that_could_not_run_are_refused(config: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        PROVIDERS["steps"].Config.model_validate(config)


def test_a_regular_expression_that_never_ends_elsewhere_ends_here(shop: Shop) -> None:
    result = ask(
        "steps",
        {
            "steps": [
                {
                    "name": "one",
                    "method": "POST",
                    "url": f"{shop.url}/login",
                    "acceptedStatuses": ["403"],
                    "body": '{"password": "' + "a" * 5000 + '!"}',
                    "extract": [
                        {"variable": "a", "source": "regex", "expression": "(a+)+ is right$"}
                    ],
                }
            ]
        },
    )

    assert result.reason == "step one: found no regex (a+)+ is right$ for a"

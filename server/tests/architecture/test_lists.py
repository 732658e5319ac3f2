"""Every list of the API comes in pages: it takes `limit` and `cursor` and answers `nextCursor`."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute, iter_route_contexts
from mainstay_server.app.assembly import TENANCY
from mainstay_server.installed import AREAS
from mainstay_server.kernel.web import Cursor, Limit, Router
from pydantic import BaseModel

ALL_AT_ONCE = {
    "list_measures": "what areas measure, one row each",
    "list_rules": "one row per type of alert",
    "list_plans": "the three plans",
    "list_checkpoints": "the latest ones, which are compared with those that others keep",
    "list_of_instance": "by limit and offset, as its shape is given (P9)",
    "list_of_organization": "by limit and offset, as its shape is given (P9)",
    "list_rate_limits": "one policy of at most 51 limits, told with what could be added",
    "list_months": "as many of the newest months as are asked for, at most ten years of them",
    "list_limited_addresses": "the hundred that were refused most in a range of time",
}
"""Lists that come whole, with the rule that keeps them short."""


def test_every_list_takes_a_limit_and_a_cursor() -> None:
    faults = [
        fault for area in (TENANCY, *AREAS) if area.api is not None for fault in faults_of(area.api)
    ]
    assert faults == []


def test_each_exception_is_a_list_that_is_there() -> None:
    routers = [area.api for area in (TENANCY, *AREAS) if area.api is not None]
    names = {route.endpoint.__name__ for router in routers for route in routes_of(router)}
    assert names >= set(ALL_AT_ONCE)


def faults_of(router: APIRouter) -> Iterator[str]:
    for route in routes_of(router):
        if not route.endpoint.__name__.startswith("list_"):
            continue
        if "GET" not in (route.methods or ()) or route.endpoint.__name__ in ALL_AT_ONCE:
            continue
        missing = {"limit", "cursor"} - set(parameters_of(route))
        if missing:
            yield f"{route.path} does not take {', '.join(sorted(missing))}"
        model = route.response_model
        if "next_cursor" not in getattr(model, "model_fields", {}):
            yield f"{route.path} does not answer nextCursor"


def routes_of(router: APIRouter) -> Iterator[APIRoute]:
    for context in iter_route_contexts(router.routes):
        if isinstance(context.original_route, APIRoute):
            yield context.original_route


def parameters_of(route: APIRoute) -> Iterator[str]:
    """The names of the query's parameters, also of those that a model holds together."""
    for parameter in route.dependant.query_params:
        kind = parameter.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from kind.model_fields
        else:
            yield parameter.name
    for dependency in route.dependant.dependencies:
        yield from (parameter.name for parameter in dependency.query_params)


@pytest.mark.parametrize("whole", [True, False])
def test_a_list_without_them_is_noticed(*, whole: bool) -> None:
    class Listed(BaseModel):
        items: list[str]
        next_cursor: str | None = None

    router = Router()

    @router.get("/things", response_model=Listed if whole else dict[str, Any])
    def list_things(limit: Limit = 50, cursor: Cursor = "") -> Any:
        return {}

    @router.get("/others")
    def list_others() -> Listed:
        return Listed(items=[])

    assert list(faults_of(router)) == [
        *([] if whole else ["/things does not answer nextCursor"]),
        "/others does not take cursor, limit",
    ]

"""Every route says who may; Alice, Bob, Charlie and a stranger walk all of them."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from mainstay_server.app.api_docs import router as docs_router
from mainstay_server.app.assembly import TENANCY
from mainstay_server.app.system import router as system_router
from mainstay_server.installed import AREAS
from mainstay_server.tenancy.access import Rule, rule_of
from mainstay_server.tenancy.models import Role
from tests.world import Browser, World

READING = {"GET", "HEAD"}
ROUTERS = [
    docs_router,
    system_router,
    *(router for area in (TENANCY, *AREAS) for router in (area.api, area.pages) if router),
]
# Paths that other programs prescribe, which no person opens.
MACHINES_ALONE = frozenset({"/probe"})


def routes_of(router: Any) -> Iterator[APIRoute]:
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from routes_of(route.original_router)


def dependencies_of(dependant: Dependant) -> Iterator[Callable[..., Any] | None]:
    for each in dependant.dependencies:
        yield each.call
        yield from dependencies_of(each)


ROUTES = [
    pytest.param(method, route, id=f"{method} {route.path}")
    for router in ROUTERS
    for route in routes_of(router)
    for method in sorted((route.methods or set()) - {"HEAD"})
]


def rules(route: APIRoute) -> list[Rule]:
    """The rules that decide: beside one with a role, `signed_in` only tells who it is."""
    declared = rule_of(list(dependencies_of(route.dependant)))
    return [rule for rule in declared if rule.role is not None] or declared


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_a_route_declares_exactly_one_rule_and_public_ones_say_why(
    method: str, route: APIRoute
) -> None:
    declared = rules(route)
    assert len(declared) == 1, f"{route.path} declares {len(declared)} rules; give it one"
    if declared[0].kind == "public":
        assert len(declared[0].reason) >= 10
    elif method not in READING and declared[0].role is not None:
        assert declared[0].role.covers(Role.MEMBER), "a viewer may only read"


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(*AREAS)


def fill(path: str, world: World, *, theirs: bool = False) -> str:
    instance = world.charlies_instance if theirs else world.instance
    values = {"instance_id": instance.id, "slug": instance.project_slug}
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda m: values.get(m[1], str(UUID(int=0))), path)


def how_final(parameter: Any) -> int:
    method, route = parameter.values
    if method == "DELETE" or route.path.endswith(("/logout", "/delete", "/remove")):
        return 2
    return 0 if method in READING else 1


def guarded() -> Iterator[tuple[str, APIRoute, Rule]]:
    """Reading before changing before ending: what a request removes is asked about before."""
    for parameter in sorted(ROUTES, key=how_final):
        method, route = parameter.values
        assert isinstance(method, str)
        assert isinstance(route, APIRoute)
        (rule,) = rules(route)
        if rule.kind != "public":
            yield method, route, rule


def ask(who: Browser, method: str, path: str) -> int:
    return who.request(method, path, json={} if method not in READING else None).status_code


def test_a_stranger_gets_in_nowhere(world: World) -> None:
    for method, route, _rule in guarded():
        answer = world.stranger.request(method, fill(route.path, world))
        place = f"{method} {route.path}"
        if route.path.startswith("/api/") or route.path in MACHINES_ALONE:
            assert answer.status_code == 401, place
        else:
            assert answer.status_code == 303, place
            assert answer.headers["location"].startswith("/login"), place


def test_charlie_sees_nothing_of_others(world: World) -> None:
    for method, route, rule in guarded():
        if rule.kind in ("signed_in", "organization"):
            continue
        assert ask(world.charlie, method, fill(route.path, world)) in (403, 404), (
            f"{method} {route.path}"
        )


def test_bob_may_what_members_may_and_nothing_of_admins(world: World) -> None:
    for method, route, rule in guarded():
        if rule.role is None or rule.kind not in ("project", "instance", "organization"):
            continue
        status = ask(world.bob, method, fill(route.path, world))
        if Role.MEMBER.covers(rule.role):
            assert status not in (401, 403), f"{method} {route.path}"
        else:
            assert status == 403, f"{method} {route.path}"


def test_a_page_of_another_site_cannot_act_with_alices_cookie(world: World) -> None:
    for method, route, _rule in guarded():
        if method in READING:
            continue
        answer = world.alice.request(
            method, fill(route.path, world), headers={"x-csrf-token": "forged"}
        )
        assert answer.status_code == 403, f"{method} {route.path}"


def test_alice_meets_no_bug_anywhere(world: World) -> None:
    for method, route, _rule in guarded():
        assert ask(world.alice, method, fill(route.path, world)) < 500, f"{method} {route.path}"

"""The HTTP application: routers of tenancy and areas, refusals as problems or as pages."""

from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from mainstay_server.kernel.area import Area
from mainstay_server.kernel.limits import LimitSettings
from mainstay_server.kernel.problems import MethodNotAllowed, Problem, Unauthenticated
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.kernel.web import (
    SecurityHeaders,
    as_problem,
    own_routes,
    problem_headers,
    problem_response,
)
from mainstay_server.ui import assets_app, load_templates, render

from . import api_docs, system
from .front import Front
from .limiting import DoorLimit, Limited
from .version import VERSION

FOR_MACHINES = ("/api/", "/assets/", "/healthz", "/metrics", "/probe")
SMALLEST_GZIP_BYTES = 1000


def create_app(areas: Sequence[Area]) -> ASGIApp:
    """The HTTP server with the doors, API and pages of some areas, which were folded before."""
    framework = create_framework(areas)
    doors = {door.path: door for area in areas for door in area.doors}
    plain_routes = [route for area in areas for route in area.plain_routes]
    plain_trees = [tree for area in areas for tree in area.plain_trees]
    limits = of(LimitSettings)
    limited = Limited(GZipMiddleware(framework, SMALLEST_GZIP_BYTES), limits, _refuse)
    pages = SecurityHeaders(limited)
    # uvicorn spells the same ASGI types with classes of its own.
    behind = ProxyHeadersMiddleware(cast("Any", pages), of(ServerSettings).trusted_proxies)
    return Front(
        doors, cast("ASGIApp", behind), plain_routes, DoorLimit(limits), plain_trees=plain_trees
    )


def create_framework(areas: Sequence[Area]) -> FastAPI:
    """The part behind the doors: API, pages, assets."""
    load_templates()
    app = FastAPI(
        title="Mainstay",
        version=VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.areas = areas
    app.router.routes.extend(own_routes(api_docs.router))
    app.router.routes.extend(own_routes(system.router))
    for area in areas:
        for router in (area.api, area.pages):
            if router is not None:
                app.router.routes.extend(own_routes(router, tags=[area.title]))
    app.mount("/assets", assets_app())
    for kind in (Problem, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _refuse)
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer a refusal: a page to people, a problem document to everything else."""
    problem = as_problem(error)
    if request.url.path.startswith(FOR_MACHINES):
        return problem_response(problem, request.url.path, _allowed(request, problem))
    if isinstance(problem, Unauthenticated):
        return _to_sign_in(request)
    page = render(request, "error.html", status_code=problem.status, problem=problem)
    page.headers.update(problem_headers(problem))
    return page


def _allowed(request: Request, problem: Problem) -> dict[str, str]:
    """What a 405 must say (RFC 9110, 15.5.6): the methods of every route at the path.

    Starlette tells those of the first one only.
    """
    if not isinstance(problem, MethodNotAllowed):
        return {}
    methods: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        is_ours = isinstance(context.original_route, APIRoute)
        if is_ours and context.path_regex.match(request.url.path):
            methods |= context.methods or set()
    if "GET" in methods:
        methods.add("HEAD")
    return {"allow": ", ".join(sorted(methods))}


def _to_sign_in(request: Request) -> Response:
    wanted = request.url.path if request.method == "GET" else "/dashboard"
    if request.url.query and request.method == "GET":
        wanted += f"?{request.url.query}"
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": "/login"})
    return RedirectResponse(f"/login?next={quote(wanted)}", status_code=303)

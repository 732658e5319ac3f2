"""Who may: every route declares one of these rules, and nothing is reached without one.

`Annotated[InstanceRef, access.instance(Role.MEMBER)]` in an endpoint's signature is both the
declaration that tests walk and the guard itself; the endpoint gets what it may see.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from fastapi import Depends
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.events import Origin, set_origin
from mainstay_server.kernel.problems import Forbidden, NotFound, Unauthenticated
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.kernel.web import csrf_token, refuse_forged
from mainstay_server.kernel.web.routing import READING_METHODS

from .callers import Caller, find_caller
from .models import Role
from .scopes import Scope
from .seen import note_use
from .subjects import find_instance, find_project

SESSION_COOKIE = "mainstay_session"


OwnerOf = Callable[[Session, str], str | None]


@dataclass(frozen=True)
class Rule:
    """One rule, as declared: what is looked up, which role may, which scope a token needs."""

    kind: str
    role: Role | None
    scope: Scope | None
    reason: str = ""
    parameter: str = ""
    owner_of: "OwnerOf | None" = None
    browsers_only: bool = False

    async def __call__(self, request: Request) -> Any:  # noqa: ANN401 - the kind decides
        """Let the request in, and return what it may see. Raises the refusal otherwise."""
        if self.kind == "public":
            set_origin(_origin_of(request))
            return None
        caller = await _caller_of(request)
        if self.browsers_only and caller.token_id:
            raise Forbidden("A token cannot do this; sign in with a browser, or use the API.")
        if self.role is not None and not caller.may(self.role, self.scope):
            raise Forbidden(_why_not(caller, self.role, self.scope))
        if self.kind in ("signed_in", "organization"):
            return caller
        if self.owner_of is not None:
            value = request.path_params[self.parameter]
            await run_in_threadpool(_refuse_unless_owner, self.owner_of, value, caller)
            return value
        return await run_in_threadpool(_look_up, self.kind, request, caller)


def public(reason: str) -> Any:  # noqa: ANN401 - a FastAPI dependency
    """Anyone may, and why that is right."""
    return Depends(Rule("public", None, None, reason))


def signed_in() -> Any:  # noqa: ANN401 - a FastAPI dependency
    """Whoever is signed in, about themselves; gives the `Caller`."""
    return Depends(Rule("signed_in", None, None))


def in_browser() -> Any:  # noqa: ANN401 - a FastAPI dependency
    """Whoever is signed in with a browser, about themselves; gives the `Caller`.

    For what no scope of a token stands for: pages about a person's sessions, tokens, password.
    """
    return Depends(Rule("signed_in", None, None, browsers_only=True))


def organization(role: Role, *, about: Literal["org", "project"] = "org") -> Any:  # noqa: ANN401 - a FastAPI dependency
    """A role in the caller's organization; gives the `Caller`.

    What is about all of its projects (a list, a new one) needs a token's scope for projects.
    """
    return Depends(Rule("organization", role, Scope.needed_for(role, about)))


def project(role: Role) -> Any:  # noqa: ANN401 - a FastAPI dependency
    """A role in the organization of the project in the path (`{slug}`); gives a `ProjectRef`.

    A project of others is as absent as one that never was: 404.
    """
    return Depends(Rule("project", role, Scope.needed_for(role, "project")))


def instance(role: Role) -> Any:  # noqa: ANN401 - a FastAPI dependency
    """A role in the organization of the instance in the path (`{instance_id}`); an `InstanceRef`.

    REQUIREMENTS P9 tells the two apart: 404 when there is none, 403 when it is not yours. Ids of
    instances are random, so the difference tells nobody anything worth having.
    """
    return Depends(Rule("instance", role, Scope.needed_for(role, "project")))


def via(owner_of: OwnerOf, parameter: str, role: Role) -> Any:  # noqa: ANN401 - a FastAPI dependency
    """A role in the organization that owns what the path names; gives the path's value.

    `owner_of(session, value)` tells the organization's id, or None when there is no such thing. A
    thing of others is as absent as one that never was: 404.
    """
    scope = Scope.needed_for(role, "project")
    return Depends(Rule("via", role, scope, parameter=parameter, owner_of=owner_of))


def rule_of(route_dependencies: list[Callable[..., Any] | None]) -> list[Rule]:
    """The rules among a route's dependencies, for the test that walks all routes."""
    return [call for call in route_dependencies if isinstance(call, Rule)]


async def _caller_of(request: Request) -> Caller:
    """Find out who is asking, refuse forged requests, and remember who it was for the outbox."""
    known = getattr(request.state, "caller", None)
    if isinstance(known, Caller):
        return known
    authorization = request.headers.get("authorization", "")
    cookie = request.cookies.get(SESSION_COOKIE, "")
    caller = await run_in_threadpool(_find_caller, authorization, cookie)
    if caller is None:
        raise Unauthenticated("Sign in at /login, or send an access token as a Bearer token.")
    if caller.session_id:
        if request.method not in READING_METHODS:
            await refuse_forged(request, caller.session_id)
        request.state.csrf_token = csrf_token(caller.session_id)
    note_use(session_id=caller.session_id, token_id=caller.token_id, now=utc_now())
    request.state.caller = caller
    set_origin(
        replace(
            _origin_of(request),
            actor=caller.actor,
            name=caller.token_name or caller.person_name,
            email=caller.person_email,
        )
    )
    return caller


def _origin_of(request: Request) -> Origin:
    return Origin(
        address=request.client.host if request.client else "",
        client=request.headers.get("user-agent", ""),
    )


def _find_caller(authorization: str, cookie: str) -> Caller | None:
    with reading() as session:
        return find_caller(session, authorization=authorization, cookie=cookie, now=utc_now())


def _look_up(kind: str, request: Request, caller: Caller) -> Any:  # noqa: ANN401 - the kind decides
    with reading() as session:
        if kind == "project":
            slug = request.path_params["slug"]
            project = find_project(session, slug)
            if project is None or project.organization_id != caller.organization_id:
                raise NotFound(f"There is no project {slug!r}; /api/projects lists yours.")
            return project
        instance = find_instance(session, request.path_params["instance_id"])
        if instance is None:
            raise NotFound("There is no such instance; /api/instances lists yours.")
        if instance.organization_id != caller.organization_id:
            raise Forbidden("That instance is not yours; /api/instances lists those that are.")
        return instance


def _refuse_unless_owner(owner_of: OwnerOf, value: str, caller: Caller) -> None:
    with reading() as session:
        owner = owner_of(session, value)
    if owner is None or owner != caller.organization_id:
        raise NotFound("There is no such thing, or it is not yours; go back to the list.")


def _why_not(caller: Caller, role: Role, scope: Scope | None) -> str:
    if not caller.role.covers(role):
        return f"This needs the role {role}; you are {caller.role}. Ask an owner to change it."
    return f"The access token lacks the scope {scope}; make one that has it."


def is_secure() -> bool:
    """Whether people reach the server over TLS, so that cookies must be marked Secure."""
    return of(ServerSettings).base_url.startswith("https://")

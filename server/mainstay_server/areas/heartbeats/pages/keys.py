"""Keys with which jobs report by name, and with which Healthchecks' clients administer."""

from typing import Annotated

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.heartbeats.models import KeyKind
from mainstay_server.areas.heartbeats.service import keys
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.frame import done_or_refused, project_frame, redirect_with
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef, find_project
from mainstay_server.ui import render

from .frame import PAGE

router = Router()
Managed = Annotated[ProjectRef, access.project(Role.ADMIN)]
Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]

KEYS = "/dashboard/projects/{slug}/heartbeats/{instance_id}/keys"
KINDS = (
    (KeyKind.PING.value, "Ping: jobs report by name"),
    (KeyKind.WRITE.value, "API, reads and writes"),
    (KeyKind.READ.value, "API, reads only"),
)


@router.get("/dashboard/projects/{slug}/heartbeat-keys")
def show_keys(request: Request, session: Session, project: Managed) -> Response:
    """The keys of an instance and of its project."""
    frame = project_frame(request, session, project, page=PAGE, now=utc_now())
    return render(
        request,
        "heartbeats/keys.html",
        **frame,
        keys=keys.list_keys(session, frame["instance"]),
        kinds=KINDS,
        server=base_url(request),
        made=None,
    )


@router.post(KEYS)
def make_key(
    request: Request,
    session: Session,
    instance: Administered,
    kind: Annotated[str, Form(max_length=10)],
    name: Annotated[str, Form(max_length=100)],
    scope: Annotated[str, Form(max_length=20)] = "instance",
) -> Response:
    """Make a key; an API key is shown this once."""
    path = _path(instance)
    if kind not in set(KeyKind) or not name.strip():
        return redirect_with(path, "A key has a kind and a name.", "critical")
    try:
        made = keys.create_key(
            session,
            instance,
            kind=KeyKind(kind),
            name=name.strip(),
            whole_project=scope == "project",
            now=utc_now(),
        )
    except (Conflict, Invalid) as problem:
        return redirect_with(path, problem.detail, "critical")
    project = find_project(session, instance.project_id)
    assert project is not None, "its instance is there"
    frame = project_frame(request, session, project, page=PAGE, now=utc_now())
    return render(
        request,
        "heartbeats/keys.html",
        **{**frame, "instance": instance},
        keys=keys.list_keys(session, instance),
        kinds=KINDS,
        server=base_url(request),
        made=made,
    )


@router.post(KEYS + "/{key_id:id}/remove")
def remove_key(session: Session, instance: Administered, key_id: str) -> Response:
    """Let a key open nothing any more."""
    try:
        keys.remove_key(session, instance, key_id, now=utc_now())
    except NotFound as problem:
        return redirect_with(_path(instance), problem.detail, "warn")
    return done_or_refused(
        session, lambda: None, path=_path(instance), done="Removed: it opens nothing any more."
    )


def _path(instance: InstanceRef) -> str:
    return instance.page("heartbeat-keys")

"""The list of keys, and making one."""

from typing import Annotated

from fastapi import Form
from fastapi.responses import Response
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.api_keys.models import Status
from mainstay_server.areas.api_keys.schemas import NewApiKey
from mainstay_server.areas.api_keys.service import asking, keys, listing
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import NotFound, Problem
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.frame import redirect_with
from mainstay_server.tenancy.subjects import ProjectRef, instances_of_project

from .frame import (
    NEVER,
    PREFIX,
    Text,
    Viewed,
    Written,
    checked,
    end_after,
    frame_of,
    limits_of,
    page_of,
    words_of,
)

router = Router(prefix=PREFIX, include_in_schema=False)

PER_PAGE = 50


@router.get("")
def show_keys(request: Request, session: Session, project: Viewed) -> Response:
    """The keys of an instance: searched, by status."""
    frame = frame_of(request, session, project)
    instance, now = frame["instance"], frame["now"]
    asked = request.query_params
    status = next((one for one in Status if one == asked.get("status")), None)
    page = listing.list_keys(
        session,
        instance.id,
        listing.KeyFilter(text=asked.get("q", "")[:200], status=status),
        limit=PER_PAGE,
        cursor=asked.get("cursor", ""),
        now=now,
    )
    rules = asking.find_settings(session, instance.id).scopes
    return page_of(
        request,
        frame,
        "list",
        keys=page.items,
        next_cursor=page.next_cursor,
        counts=listing.count_by_status(session, [instance.id], now=now)[instance.id],
        status=status,
        search=asked.get("q", ""),
        known_scopes=sorted({scope for rule in rules for scope in rule["scopes"]}),
        server=base_url(request),
    )


@router.post("")
def create_key(  # noqa: PLR0913 - the fields of a form
    request: Request,
    session: Session,
    project: Written,
    *,
    instance_id: Text = "",
    name: Text = "",
    owner: Text = "",
    plan: Text = "",
    scopes: Text = "",
    networks: Text = "",
    limits: Text = "",
    life: Annotated[str, Form(max_length=5)] = NEVER,
) -> Response:
    """Make a key, and show it this once on its own page."""
    instance = _instance_of(session, project, instance_id)
    now = utc_now()
    try:
        wanted = checked(
            NewApiKey,
            {
                "name": name,
                "owner": owner,
                "plan": plan,
                "scopes": words_of(scopes),
                "networks": words_of(networks),
                "limits": limits_of(limits),
                "expiresAt": end_after(life, now=now),
            },
        )
        with session.begin_nested():
            made, key = keys.create_key(session, instance, wanted, now=now)
    except Problem as problem:
        return redirect_with(instance.page("api-keys"), problem.detail, "critical")
    frame = frame_of(request, session, project) | {"instance": instance}
    return page_of(request, frame, "made", key=made, secret=key, old=None, server=base_url(request))


def _instance_of(session: Session, project: ProjectRef, instance_id: str) -> InstanceRef:
    for instance in instances_of_project(session, project.id):
        if instance.id == instance_id:
            return instance
    raise NotFound("That instance is not one of this project; reload the page.")

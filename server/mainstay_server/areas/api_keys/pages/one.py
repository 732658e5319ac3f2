"""One key: what it may, who uses it, what came before and after it, and what its buttons do."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Form
from fastapi.responses import Response
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.api_keys.models import ApiKey
from mainstay_server.areas.api_keys.schemas import ApiKeyChanges
from mainstay_server.areas.api_keys.service import asking, keys, rotating, usage
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid, Problem
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.frame import done_or_refused, redirect_with

from .frame import (
    GRACES,
    PREFIX,
    Text,
    Viewed,
    Written,
    checked,
    end_after,
    frame_of,
    key_of,
    limits_of,
    page_of,
    words_of,
)

router = Router(prefix=PREFIX, include_in_schema=False)

KEEP = "keep"


@router.get("/{api_key_id:id}")
def show_key(request: Request, session: Session, project: Viewed, api_key_id: str) -> Response:
    """Everything about one key but the key."""
    instance, key = key_of(session, project, api_key_id)
    frame = frame_of(request, session, project) | {"instance": instance}
    now = frame["now"]
    since = now - timedelta(hours=frame["hours"])
    days = asking.find_settings(session, instance.id).rotate_after_days
    return page_of(
        request,
        frame,
        "key",
        key=key,
        status=key.status_at(now),
        usage=usage.usage_of(instance.id, key.id, since=since, until=now),
        chain=rotating.chain_of(session, key),
        due_at=key.created_at + timedelta(days=days) if days else None,
    )


@router.post("/{api_key_id:id}/rotate")
def rotate_key(
    request: Request,
    session: Session,
    project: Written,
    api_key_id: str,
    grace: Annotated[str, Form(max_length=5)] = "24",
) -> Response:
    """Give the key a successor, and show that one this once."""
    instance, key = key_of(session, project, api_key_id)
    try:
        if grace not in GRACES:
            raise Invalid("That is no grace that a key may have; choose one from the list.")
        with session.begin_nested():
            rotated = rotating.rotate_key(
                session, instance, key.id, grace=timedelta(hours=int(grace)), now=utc_now()
            )
    except Problem as problem:
        return redirect_with(_path(instance, key), problem.detail, "critical")
    frame = frame_of(request, session, project) | {"instance": instance}
    return page_of(
        request,
        frame,
        "made",
        key=rotated.new,
        secret=rotated.key,
        old=rotated.old,
        server=base_url(request),
    )


@router.post("/{api_key_id:id}/revoke")
def revoke_key(session: Session, project: Written, api_key_id: str) -> Response:
    """Stop the key everywhere."""
    instance, key = key_of(session, project, api_key_id)
    return done_or_refused(
        session,
        lambda: keys.revoke_key(session, instance, key.id, now=utc_now()),
        path=_path(instance, key),
        done="Revoked. It opens nothing any more, anywhere.",
    )


@router.post("/{api_key_id:id}/change")
def change_key(  # noqa: PLR0913 - the fields of a form
    session: Session,
    project: Written,
    api_key_id: str,
    *,
    name: Text = "",
    owner: Text = "",
    plan: Text = "",
    scopes: Text = "",
    networks: Text = "",
    limits: Text = "",
    life: Annotated[str, Form(max_length=5)] = KEEP,
    enabled: Annotated[str, Form(max_length=5)] = "",
) -> Response:
    """Change what the key may; every guard follows within a second."""
    instance, key = key_of(session, project, api_key_id)
    now = utc_now()

    def change() -> None:
        values: dict[str, Any] = {
            "name": name,
            "owner": owner,
            "plan": plan,
            "scopes": words_of(scopes),
            "networks": words_of(networks),
            "limits": limits_of(limits),
            "enabled": enabled == "on",
        }
        if life != KEEP:
            values["expiresAt"] = end_after(life, now=now)
        keys.change_key(session, instance, key.id, checked(ApiKeyChanges, values), now=now)

    return done_or_refused(
        session, change, path=_path(instance, key), done="Changed. Every guard follows at once."
    )


def _path(instance: InstanceRef, key: ApiKey) -> str:
    return instance.page(f"api-keys/{key.id}")

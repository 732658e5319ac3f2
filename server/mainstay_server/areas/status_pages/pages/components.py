"""What stands on a page: its components, their groups and order, and a preview of it all."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.status_pages.models import StatusComponent, StatusGroup, StatusPage
from mainstay_server.areas.status_pages.schemas.bodies import (
    SHOWN_STATUSES,
    NewStatusComponent,
    NewStatusGroup,
    StatusComponentChanges,
    StatusPageChanges,
)
from mainstay_server.areas.status_pages.service import components, pages, reading, rendering
from mainstay_server.areas.status_pages.service.standing import of_state
from mainstay_server.areas.status_pages.service.subjects import find_subjects, offered_subjects
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.web import Router
from mainstay_server.kernel.web.headers import CONTENT_SECURITY_POLICY

from .frame import ONE, Viewed, Written, act, made, show

router = Router(include_in_schema=False)
PREVIEWED = ("name", "description", "accent", "theme", "language")
IN_A_FRAME = {"x-frame-options": "SAMEORIGIN", "cache-control": "no-store"}


@router.get(ONE)
def show_components(request: Request, session: Session, page_id: Viewed) -> Response:
    """The components of a page in their order, and how each is now."""
    page = pages.get_page(session, page_id)
    shown = components.list_components(session, page.id)
    groups = components.list_groups(session, page.id)
    bound = find_subjects(
        session, page.organization_id, {each.subject_id for each in shown if each.subject_id}
    )
    answer = show(
        request,
        session,
        page,
        "components",
        now=utc_now(),
        components=shown,
        groups=groups,
        group_pairs=[(each.id, each.name) for each in groups],
        bound=bound,
        states={one: of_state(each.state).value for one, each in bound.items()},
        offered=offered_subjects(session, page.organization_id),
        statuses=[(each.value, each.replace("_", " ").capitalize()) for each in SHOWN_STATUSES],
    )
    answer.headers["content-security-policy"] = f"{CONTENT_SECURITY_POLICY}; frame-src 'self'"
    return answer


@router.get(f"{ONE}/preview")
def preview(request: Request, session: Session, page_id: Viewed) -> Response:
    """The page as it would be, with what the query changes of it; a draft is seen only here."""
    page = pages.get_page(session, page_id)
    asked = {name: request.query_params[name] for name in PREVIEWED if name in request.query_params}
    changes = made(StatusPageChanges, **asked)
    session.expunge(page)  # what is only tried out is never written
    for name, value in changes.model_dump(exclude_unset=True).items():
        setattr(page, name, value)
    facts = reading.read_facts(session, page, now=utc_now())
    document = rendering.render(facts, "", base=facts.base, as_of=None)
    assert document is not None, "every page has itself"
    policy = document.headers["content-security-policy"].replace(
        "frame-ancestors 'none'", "frame-ancestors 'self'"
    )
    headers = {"content-security-policy": policy, **IN_A_FRAME}
    return Response(document.body, media_type=document.media_type, headers=headers)


@router.post(f"{ONE}/components")
def add(
    session: Session,
    page_id: Written,
    name: Annotated[str, Form(max_length=200)] = "",
    description: Annotated[str, Form(max_length=600)] = "",
    subject_id: Annotated[str, Form(max_length=36)] = "",
    group_id: Annotated[str, Form(max_length=36)] = "",
) -> Response:
    """Put a component on the page."""

    def do(page: StatusPage) -> None:
        wanted = made(
            NewStatusComponent,
            name=name,
            description=description,
            subject_id=subject_id,
            group_id=group_id,
        )
        components.add_component(session, page, wanted.model_dump(), now=utc_now())

    return act(session, page_id, do, done=f"{name.strip()} is on the page.")


@router.post(f"{ONE}/components/{{component_id:id}}")
def change(  # noqa: PLR0913, PLR0917 - the fields of its form
    session: Session,
    page_id: Written,
    component_id: str,
    name: Annotated[str, Form(max_length=200)] = "",
    description: Annotated[str, Form(max_length=600)] = "",
    subject_id: Annotated[str, Form(max_length=36)] = "",
    group_id: Annotated[str, Form(max_length=36)] = "",
    status: Annotated[str, Form(max_length=30)] = "",
    only_if_degraded: Annotated[str, Form(max_length=3)] = "",
) -> Response:
    """Change a component."""

    def do(page: StatusPage) -> None:
        component = components.get_component(session, page, component_id)
        changes = made(
            StatusComponentChanges,
            name=name,
            description=description,
            subject_id=subject_id,
            group_id=group_id,
            only_if_degraded=bool(only_if_degraded),
            status=(status or None) if not subject_id else None,
        )
        given = changes.model_dump(exclude_unset=True)
        components.change_component(session, page, component, given, now=utc_now())

    return act(session, page_id, do, done=f"{name.strip()} is changed.")


@router.post(f"{ONE}/components/{{component_id:id}}/move")
def move(
    session: Session,
    page_id: Written,
    component_id: str,
    by: Annotated[int, Form(ge=-1, le=1)] = 0,
) -> Response:
    """Move a component up or down by one; the keyboard can do it as well as a pointer."""

    def do(page: StatusPage) -> None:
        ids = _moved(components.list_components(session, page.id), component_id, by)
        components.put_in_order(session, page, component_ids=ids, now=utc_now())

    return act(session, page_id, do, done="Moved.", anchor=f"component-{component_id}")


@router.post(f"{ONE}/components/{{component_id:id}}/remove")
def remove(session: Session, page_id: Written, component_id: str) -> Response:
    """Take a component off the page."""

    def do(page: StatusPage) -> None:
        component = components.get_component(session, page, component_id)
        components.remove_component(session, page, component, now=utc_now())

    return act(session, page_id, do, done="It is off the page.")


@router.post(f"{ONE}/groups")
def add_group(
    session: Session, page_id: Written, name: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    """Give components a heading."""

    def do(page: StatusPage) -> None:
        wanted = made(NewStatusGroup, name=name)
        components.add_group(session, page, wanted.name, now=utc_now())

    return act(session, page_id, do, done=f"The group {name.strip()} is there; put components in.")


@router.post(f"{ONE}/groups/{{group_id:id}}/move")
def move_group(
    session: Session, page_id: Written, group_id: str, by: Annotated[int, Form(ge=-1, le=1)] = 0
) -> Response:
    """Move a group up or down by one."""

    def do(page: StatusPage) -> None:
        ids = _moved(components.list_groups(session, page.id), group_id, by)
        components.put_in_order(session, page, group_ids=ids, now=utc_now())

    return act(session, page_id, do, done="Moved.")


@router.post(f"{ONE}/groups/{{group_id:id}}/remove")
def remove_group(session: Session, page_id: Written, group_id: str) -> Response:
    """Remove a heading; its components stay."""

    def do(page: StatusPage) -> None:
        group = components.get_group(session, page, group_id)
        components.remove_group(session, page, group, now=utc_now())

    return act(session, page_id, do, done="The group is gone; its components stay.")


def _moved(
    things: Sequence[StatusComponent] | Sequence[StatusGroup], one: str, by: int
) -> list[str]:
    """The ids in their order, with one of them moved; at an end it stays."""
    ids = [thing.id for thing in things]
    if one in ids:
        at = ids.index(one)
        to = min(max(at + by, 0), len(ids) - 1)
        ids.insert(to, ids.pop(at))
    return ids

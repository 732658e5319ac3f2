"""Components, their groups and their order, over HTTP."""

from typing import Annotated

from sqlalchemy.orm import Session

from mainstay_server.areas.status_pages.models import StatusComponent
from mainstay_server.areas.status_pages.schemas.answers import (
    A_COMPONENT,
    A_GROUP,
    CURSOR,
    StatusComponentAnswer,
    StatusComponents,
    StatusGroupAnswer,
    StatusGroups,
)
from mainstay_server.areas.status_pages.schemas.bodies import (
    NewStatusComponent,
    NewStatusGroup,
    StatusComponentChanges,
    StatusOrder,
)
from mainstay_server.areas.status_pages.service import components, pages
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, page_within
from mainstay_server.kernel.web import Cursor, Limit, Router, example
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role

router = Router(prefix="/api/status-pages/{page_id}")

Viewed = Annotated[str, access.via(pages.owner_of_page, "page_id", Role.VIEWER)]
Written = Annotated[str, access.via(pages.owner_of_page, "page_id", Role.MEMBER)]


@router.get(
    "/components",
    summary="List a status page's components",
    responses=example({"components": [A_COMPONENT], "nextCursor": CURSOR}),
)
def list_status_components(
    session: Session, page_id: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> StatusComponents:
    """The components of a page, in their order."""
    found = components.list_components(session, page_id)
    page = page_within(found, limit=limit, cursor=cursor, key=_place)
    return StatusComponents(
        components=[_answer(one) for one in page.items], next_cursor=page.next_cursor
    )


@router.post(
    "/components",
    status_code=201,
    summary="Add a component to a status page",
    responses=example(A_COMPONENT, 201),
)
def add_status_component(
    session: Session, page_id: Written, wanted: NewStatusComponent
) -> StatusComponentAnswer:
    """Put a component at the end: bound to a health check or heartbeat, or set by hand."""
    page = pages.get_page(session, page_id)
    return _answer(components.add_component(session, page, wanted.model_dump(), now=utc_now()))


@router.patch(
    "/components/{component_id}",
    summary="Change a component of a status page",
    responses=example(A_COMPONENT),
)
def change_status_component(
    session: Session, page_id: Written, component_id: str, changes: StatusComponentChanges
) -> StatusComponentAnswer:
    """Change what is given; `status` sets how a component is that is bound to nothing."""
    page = pages.get_page(session, page_id)
    component = components.get_component(session, page, component_id)
    given = changes.model_dump(exclude_unset=True)
    components.change_component(session, page, component, given, now=utc_now())
    return _answer(component)


@router.delete(
    "/components/{component_id}",
    status_code=204,
    summary="Remove a component of a status page",
)
def remove_status_component(session: Session, page_id: Written, component_id: str) -> None:
    """Take a component off the page; what is watched for it goes on being watched."""
    page = pages.get_page(session, page_id)
    component = components.get_component(session, page, component_id)
    components.remove_component(session, page, component, now=utc_now())


@router.get(
    "/groups",
    summary="List a status page's groups",
    responses=example({"groups": [A_GROUP], "nextCursor": CURSOR}),
)
def list_status_groups(
    session: Session, page_id: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> StatusGroups:
    """The headings of a page, in their order."""
    found = components.list_groups(session, page_id)
    page = page_within(
        found, limit=limit, cursor=cursor, key=lambda one: (f"{one.position:06}", one.id)
    )
    return StatusGroups(
        groups=[StatusGroupAnswer.model_validate(one) for one in page.items],
        next_cursor=page.next_cursor,
    )


@router.post(
    "/groups",
    status_code=201,
    summary="Add a group to a status page",
    responses=example(A_GROUP, 201),
)
def add_status_group(
    session: Session, page_id: Written, wanted: NewStatusGroup
) -> StatusGroupAnswer:
    """Put a heading at the end of a page."""
    page = pages.get_page(session, page_id)
    group = components.add_group(session, page, wanted.name, now=utc_now())
    return StatusGroupAnswer.model_validate(group)


@router.patch(
    "/groups/{group_id}", summary="Rename a group of a status page", responses=example(A_GROUP)
)
def rename_status_group(
    session: Session, page_id: Written, group_id: str, wanted: NewStatusGroup
) -> StatusGroupAnswer:
    """Call a heading otherwise."""
    page = pages.get_page(session, page_id)
    group = components.get_group(session, page, group_id)
    components.rename_group(session, page, group, wanted.name, now=utc_now())
    return StatusGroupAnswer.model_validate(group)


@router.delete("/groups/{group_id}", status_code=204, summary="Remove a group of a status page")
def remove_status_group(session: Session, page_id: Written, group_id: str) -> None:
    """Remove a heading; its components stay."""
    page = pages.get_page(session, page_id)
    group = components.get_group(session, page, group_id)
    components.remove_group(session, page, group, now=utc_now())


@router.put(
    "/order",
    summary="Put a status page in order",
    responses=example({"components": [A_COMPONENT], "nextCursor": CURSOR}),
)
def put_status_page_in_order(
    session: Session, page_id: Written, wanted: StatusOrder
) -> StatusComponents:
    """Give components and groups the order of these lists; what is left out comes after."""
    page = pages.get_page(session, page_id)
    components.put_in_order(
        session,
        page,
        component_ids=wanted.component_ids,
        group_ids=wanted.group_ids,
        now=utc_now(),
    )
    found = components.list_components(session, page_id)
    return StatusComponents(components=[_answer(one) for one in found], next_cursor=None)


def _place(component: StatusComponent) -> tuple[str, str]:
    return f"{component.position:06}", component.id


def _answer(component: StatusComponent) -> StatusComponentAnswer:
    return StatusComponentAnswer(
        id=component.id,
        name=component.name,
        description=component.description,
        group_id=component.group_id or "",
        subject_id=component.subject_id,
        manual_status=component.manual_status,
        only_if_degraded=component.only_if_degraded,
        position=component.position,
        created_at=component.created_at,
        changed_at=component.changed_at,
    )

"""Pages, their subscribers, badges and snapshots, over HTTP."""

from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.responses import Response

from mainstay_server.areas.status_pages.models import StatusPage, StatusSubscriber
from mainstay_server.areas.status_pages.schemas.answers import (
    A_BADGE,
    A_PAGE,
    A_SUBSCRIBER,
    CURSOR,
    StatusBadges,
    StatusPageAnswer,
    StatusPages,
    StatusSubscriberAnswer,
    StatusSubscribers,
)
from mainstay_server.areas.status_pages.schemas.bodies import NewStatusPage, StatusPageChanges
from mainstay_server.areas.status_pages.service import (
    addresses,
    logos,
    pages,
    reading,
    snapshots,
    subscribers,
)
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, decode_cursor, page_of, page_within
from mainstay_server.kernel.web import Cursor, Limit, Router, example
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role

router = Router(prefix="/api/status-pages")

A_ZIP = {"type": "string", "format": "binary"}
Viewer = Annotated[Caller, access.organization(Role.VIEWER, about="project")]
Member = Annotated[Caller, access.organization(Role.MEMBER, about="project")]
Viewed = Annotated[str, access.via(pages.owner_of_page, "page_id", Role.VIEWER)]
Written = Annotated[str, access.via(pages.owner_of_page, "page_id", Role.MEMBER)]
Administered = Annotated[str, access.via(pages.owner_of_page, "page_id", Role.ADMIN)]


@router.get(
    "",
    summary="List status pages",
    responses=example({"statusPages": [A_PAGE], "nextCursor": CURSOR}),
)
def list_status_pages(
    session: Session,
    caller: Viewer,
    q: Annotated[str, Query(max_length=100, description="Part of a name or slug.")] = "",
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> StatusPages:
    """The status pages of the organization, by name; at most 50."""
    found = pages.list_pages(session, caller.organization_id, search=q)
    page = page_within(found, limit=limit, cursor=cursor, key=lambda one: (one.name, one.id))
    return StatusPages(
        status_pages=[_answer(session, one) for one in page.items], next_cursor=page.next_cursor
    )


@router.post("", status_code=201, summary="Make a status page", responses=example(A_PAGE, 201))
def create_status_page(session: Session, caller: Member, wanted: NewStatusPage) -> StatusPageAnswer:
    """Make a page: a draft, that nobody sees until it is published."""
    page = pages.create_page(
        session,
        caller.organization_id,
        name=wanted.name,
        slug=wanted.slug,
        description=wanted.description,
        now=utc_now(),
    )
    return _answer(session, page)


@router.get("/{page_id}", summary="Get a status page", responses=example(A_PAGE))
def get_status_page(session: Session, page_id: Viewed) -> StatusPageAnswer:
    """One page with its settings."""
    return _answer(session, pages.get_page(session, page_id))


@router.patch("/{page_id}", summary="Change a status page", responses=example(A_PAGE))
def change_status_page(
    session: Session, page_id: Administered, changes: StatusPageChanges
) -> StatusPageAnswer:
    """Change what is given, all of it or nothing. Readers see it within a second."""
    page = pages.get_page(session, page_id)
    pages.change_page(session, page, changes.model_dump(exclude_unset=True), now=utc_now())
    return _answer(session, page)


@router.delete("/{page_id}", status_code=204, summary="Remove a status page")
def remove_status_page(session: Session, page_id: Administered) -> None:
    """Remove a page with everything that was told on it, and its subscribers."""
    pages.remove_page(session, pages.get_page(session, page_id), now=utc_now())


@router.delete("/{page_id}/logo", status_code=204, summary="Remove a status page's logo")
def remove_status_logo(session: Session, page_id: Administered) -> None:
    """Take the picture away; without one nothing happens."""
    logos.remove_logo(session, pages.get_page(session, page_id), now=utc_now())


@router.get(
    "/{page_id}/subscribers",
    summary="List a status page's subscribers",
    responses=example({"subscribers": [A_SUBSCRIBER], "nextCursor": CURSOR}),
)
def list_status_subscribers(
    session: Session, page_id: Administered, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> StatusSubscribers:
    """Who asked to be told, in the order they came; addresses are masked."""
    position = decode_cursor(cursor, parts=1)
    after = str(position[0]) if position else ""
    found = subscribers.list_subscribers(session, page_id, limit=limit + 1, after=after)
    page = page_of(found, limit=limit, key=lambda one: (one.id,))
    return StatusSubscribers(
        subscribers=[_subscriber(one) for one in page.items], next_cursor=page.next_cursor
    )


@router.delete(
    "/{page_id}/subscribers/{subscriber_id}",
    status_code=204,
    summary="Remove a status page's subscriber",
)
def remove_status_subscriber(session: Session, page_id: Administered, subscriber_id: str) -> None:
    """End somebody's subscription; they may subscribe again."""
    page = pages.get_page(session, page_id)
    subscribers.remove_subscriber(session, page, subscriber_id, now=utc_now())


@router.get(
    "/{page_id}/badges",
    summary="List a status page's badges",
    responses=example({"badges": [A_BADGE], "nextCursor": CURSOR}),
)
def list_status_badges(
    session: Session, page_id: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> StatusBadges:
    """The addresses of all badges, which cannot be guessed."""
    found = addresses.badges_of(session, pages.get_page(session, page_id))
    ordered = sorted(found, key=lambda one: (one.kind, one.id))
    page = page_within(ordered, limit=limit, cursor=cursor, key=lambda one: (one.kind, one.id))
    return StatusBadges(badges=list(page.items), next_cursor=page.next_cursor)


@router.post("/{page_id}/badges/renew", status_code=204, summary="Renew a status page's badges")
def renew_status_badges(session: Session, page_id: Administered) -> None:
    """Give every badge another address; those that were given away answer 404 from now on."""
    pages.renew_badges(session, pages.get_page(session, page_id), now=utc_now())


@router.get(
    "/{page_id}/snapshot",
    summary="Download a status page",
    response_class=Response,
    responses={200: {"content": {"application/zip": {"schema": A_ZIP, "example": "PK…"}}}},
)
def get_status_snapshot(session: Session, page_id: Administered) -> Response:
    """Every document of the page as a ZIP of static files, to be put on a CDN."""
    page = pages.get_page(session, page_id)
    data = snapshots.archive(session, page, now=utc_now())
    headers = {"content-disposition": f'attachment; filename="{page.slug}.zip"'}
    return Response(data, media_type="application/zip", headers=headers)


def _answer(session: Session, page: StatusPage) -> StatusPageAnswer:
    logo = logos.find_logo(session, page.id)
    shown = {
        name: getattr(page, name)
        for name in StatusPageAnswer.model_fields
        if name not in ("url", "host", "has_password", "logo")
    }
    return StatusPageAnswer(
        **shown,
        host=page.host or "",
        url=reading.page_url(page),
        has_password=bool(page.password_hash),
        logo=logo.digest if logo else "",
    )


def _subscriber(one: StatusSubscriber) -> StatusSubscriberAnswer:
    return StatusSubscriberAnswer(
        id=one.id,
        kind=one.kind,
        address=subscribers.shown(one),
        component_ids=one.component_ids,
        created_at=one.created_at,
        confirmed_at=one.confirmed_at,
        last_delivered_at=one.last_delivered_at,
        last_error=one.last_error,
    )

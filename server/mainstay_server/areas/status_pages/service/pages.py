"""Pages: making, changing and removing them, and who owns them."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.status_pages.models import StatusPage, Visibility
from mainstay_server.areas.status_pages.schemas.bodies import RESERVED
from mainstay_server.contracts.status_pages import (
    StatusPageChanged,
    StatusPageCreated,
    StatusPageRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.tenancy.service.passwords import hash_password

from .changing import record_change

MOST_PAGES = 50
SHORTEST_PASSWORD = 8
SETTABLE = (
    "name",
    "slug",
    "host",
    "description",
    "published",
    "visibility",
    "networks",
    "language",
    "time_zone",
    "theme",
    "accent",
    "shows_uptime",
    "shows_charts",
    "names_windows",
    "is_indexed",
    "auto_report_minutes",
    "takes_emails",
    "takes_webhooks",
)


def list_pages(session: Session, organization_id: str, *, search: str = "") -> Sequence[StatusPage]:
    """The pages of an organization by name, at most 50; `search` looks in names and slugs."""
    statement = sa.select(StatusPage).where(StatusPage.organization_id == organization_id)
    if search:
        statement = statement.where(
            sa.or_(
                StatusPage.name.icontains(search, autoescape=True),
                StatusPage.slug.icontains(search, autoescape=True),
            )
        )
    return session.scalars(statement.order_by(StatusPage.name, StatusPage.id)).all()


def get_page(session: Session, page_id: str) -> StatusPage:
    """The page of an id. Who may see it was asked at the door.

    Raises:
        NotFound: it was removed.
    """
    page = session.get(StatusPage, page_id)
    if page is None:
        raise NotFound("There is no such status page; /api/status-pages lists yours.")
    return page


def owner_of_page(session: Session, page_id: str) -> str | None:
    """The organization whose page it is, for the rule of who may; None without one."""
    return session.scalar(sa.select(StatusPage.organization_id).where(StatusPage.id == page_id))


def create_page(
    session: Session,
    organization_id: str,
    *,
    name: str,
    slug: str | None,
    description: str,
    now: datetime,
) -> StatusPage:
    """Make a page, a draft that nobody sees yet.

    Raises:
        Conflict: the slug is taken, or there are 50 pages.
    """
    count = session.scalar(
        sa.select(sa.func.count()).where(StatusPage.organization_id == organization_id)
    )
    if (count or 0) >= MOST_PAGES:
        raise Conflict(f"There are {MOST_PAGES} status pages already; remove one first.")
    if slug is not None:
        _refuse_taken(session, StatusPage.slug, slug, "slug")
    page = StatusPage(
        id=new_id(),
        organization_id=organization_id,
        slug=slug or _free_slug(session, name),
        name=name,
        description=description,
        created_at=now,
        changed_at=now,
    )
    session.add(page)
    session.flush()
    made = changes_between({}, facts_of(page, ("name", "slug")))
    say(session, StatusPageCreated(**about(page), changes=made), now=now)
    return page


def change_page(
    session: Session, page: StatusPage, changes: Mapping[str, Any], *, now: datetime
) -> None:
    """Change what is given, all of it or nothing.

    Raises:
        Conflict: the slug or host is taken, or the host could take the dashboard's place.
        Invalid: a private page would let nobody in, or the password is too short.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    before = facts_of(page, SETTABLE)
    if "slug" in given and given["slug"] != page.slug:
        _refuse_taken(session, StatusPage.slug, given["slug"], "slug")
    if "host" in given:
        given["host"] = _checked_host(session, page, given["host"])
    password = given.pop("password", None)
    if password is not None:
        page.password_hash = _hashed(password)
    for name, value in given.items():
        setattr(page, name, value)
    _refuse_shut(page)
    record_change(session, page.id, now=now)
    session.refresh(page)
    changed = changes_between(before, facts_of(page, SETTABLE))
    say(session, StatusPageChanged(**about(page), changes=changed), now=now)


def remove_page(session: Session, page: StatusPage, *, now: datetime) -> None:
    """Remove a page with everything on it."""
    gone = changes_between(facts_of(page, ("name", "slug")), {})
    say(session, StatusPageRemoved(**about(page), changes=gone), now=now)
    record_change(session, page.id, now=now)
    session.delete(page)
    session.flush()


def renew_badges(session: Session, page: StatusPage, *, now: datetime) -> None:
    """Give every badge of a page another address; those that were given away answer 404."""
    before = facts_of(page, ("badge_version",))
    page.badge_version += 1
    record_change(session, page.id, now=now)
    changed = changes_between(before, facts_of(page, ("badge_version",)))
    say(session, StatusPageChanged(**about(page), changes=changed), now=now)


def about(page: StatusPage) -> dict[str, str]:
    """Whose page it is and what it is called, for its events."""
    return {"organization_id": page.organization_id, "page_id": page.id, "name": page.name}


def _hashed(password: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        raise Invalid.of_field("password", f"password has at least {SHORTEST_PASSWORD} characters.")
    return hash_password(password)


def _refuse_shut(page: StatusPage) -> None:
    if page.visibility == Visibility.PASSWORD and not page.password_hash:
        raise Invalid("Give the page a password together with visibility `password`.")
    if page.visibility == Visibility.ALLOWLIST and not page.networks:
        raise Invalid("Name at least one network together with visibility `allowlist`.")


def _checked_host(session: Session, page: StatusPage, host: str) -> str | None:
    if not host or host == page.host:
        return host or None
    ours = urlsplit(of(ServerSettings).base_url).hostname
    if not ours:
        raise Conflict(
            "Set MAINSTAY_BASE_URL first: without it nobody can tell the host of a page from the"
            " one of the dashboard."
        )
    if host == ours.lower():
        raise Conflict(f"{host} is where Mainstay itself is reached; take another host.")
    _refuse_taken(session, StatusPage.host, host, "host")
    return host


def _refuse_taken(session: Session, column: Any, value: str, field: str) -> None:  # noqa: ANN401 - an attribute of a model
    if session.scalar(sa.select(StatusPage.id).where(column == value)) is not None:
        raise Conflict.of_field(field, f"The {field} {value} is taken; choose another.")


def _free_slug(session: Session, name: str) -> str:
    """A slug like the name; with some digits behind it where that is taken."""
    letters = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    slug = "-".join(part for part in letters.split("-") if part)[:50].strip("-") or "status"
    taken = session.scalar(sa.select(StatusPage.id).where(StatusPage.slug == slug))
    return slug if taken is None and slug not in RESERVED else f"{slug}-{secrets.token_hex(3)}"

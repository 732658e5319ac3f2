"""The settings of a page: what it is called, how it looks, who sees it; publishing; its end."""

from typing import Annotated

from fastapi import Form, UploadFile
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.status_pages.models import StatusPage
from mainstay_server.areas.status_pages.schemas.bodies import StatusPageChanges
from mainstay_server.areas.status_pages.service import logos, pages, snapshots
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.frame import redirect_with

from .frame import ONE, PATH, Administered, act, made, show

router = Router(include_in_schema=False)
TEXTS = (
    "name",
    "slug",
    "host",
    "description",
    "visibility",
    "language",
    "time_zone",
    "theme",
    "accent",
    "auto_report_minutes",
)
SWITCHES = (
    "shows_uptime",
    "shows_charts",
    "names_windows",
    "is_indexed",
    "takes_emails",
    "takes_webhooks",
)
TAB = "settings"


@router.get(f"{ONE}/settings")
def show_settings(request: Request, session: Session, page_id: Administered) -> Response:
    """Everything that can be set."""
    page = pages.get_page(session, page_id)
    logo = logos.find_logo(session, page.id)
    return show(request, session, page, TAB, now=utc_now(), logo=logo)


class SettingsForm(BaseModel):
    """The form as a browser sends it: texts, and switches that are `on` or not there at all."""

    name: str = Field("", max_length=200)
    slug: str = Field("", max_length=100)
    host: str = Field("", max_length=300)
    description: str = Field("", max_length=3000)
    visibility: str = Field("", max_length=20)
    password: str = Field("", max_length=300)
    networks: str = Field("", max_length=6000)
    language: str = Field("", max_length=10)
    time_zone: str = Field("", max_length=100)
    theme: str = Field("", max_length=10)
    accent: str = Field("", max_length=20)
    auto_report_minutes: str = Field("0", max_length=10)
    shows_uptime: str = Field("", max_length=3)
    shows_charts: str = Field("", max_length=3)
    names_windows: str = Field("", max_length=3)
    is_indexed: str = Field("", max_length=3)
    takes_emails: str = Field("", max_length=3)
    takes_webhooks: str = Field("", max_length=3)


@router.post(f"{ONE}/settings")
def change_settings(
    session: Session, page_id: Administered, form: Annotated[SettingsForm, Form()]
) -> Response:
    """Keep what the form says; an empty password leaves the one there is."""

    def do(page: StatusPage) -> None:
        changes = made(
            StatusPageChanges,
            **{name: getattr(form, name) for name in TEXTS},
            **{name: bool(getattr(form, name)) for name in SWITCHES},
            networks=form.networks.replace(",", " ").split(),
            password=form.password or None,
        )
        pages.change_page(session, page, changes.model_dump(exclude_unset=True), now=utc_now())

    return act(session, page_id, do, tab=TAB, done="Kept. Readers see it within a second.")


@router.post(f"{ONE}/publish")
def publish(
    session: Session, page_id: Administered, published: Annotated[str, Form(max_length=3)] = ""
) -> Response:
    """Let readers see the page, or make it a draft again."""
    done = "The page is published." if published else "The page is a draft: nobody sees it."
    changes = {"published": bool(published)}
    return act(
        session,
        page_id,
        lambda page: pages.change_page(session, page, changes, now=utc_now()),
        done=done,
    )


@router.post(f"{ONE}/logo")
def set_logo(session: Session, page_id: Administered, file: UploadFile) -> Response:
    """Put a picture on top of the page."""
    content = file.file.read(logos.MOST_BYTES + 1)
    return act(
        session,
        page_id,
        lambda page: logos.set_logo(session, page, content, now=utc_now()),
        tab=TAB,
        done="The logo is on the page.",
    )


@router.post(f"{ONE}/logo/remove")
def remove_logo(session: Session, page_id: Administered) -> Response:
    """Take the picture away."""
    return act(
        session,
        page_id,
        lambda page: logos.remove_logo(session, page, now=utc_now()),
        tab=TAB,
        done="The logo is gone.",
    )


@router.get(f"{ONE}/snapshot.zip")
def download(session: Session, page_id: Administered) -> Response:
    """Every document of the page as static files, for a CDN."""
    page = pages.get_page(session, page_id)
    data = snapshots.archive(session, page, now=utc_now())
    headers = {"content-disposition": f'attachment; filename="{page.slug}.zip"'}
    return Response(data, media_type="application/zip", headers=headers)


@router.post(f"{ONE}/remove")
def remove(
    session: Session, page_id: Administered, slug: Annotated[str, Form(max_length=100)] = ""
) -> Response:
    """Remove the page, if its slug was typed."""
    page = pages.get_page(session, page_id)
    if slug.strip() != page.slug:
        text = f"Type {page.slug} to remove the page with all that was told on it."
        return redirect_with(f"{PATH}/{page.id}/{TAB}", text, "warn")
    pages.remove_page(session, page, now=utc_now())
    return redirect_with(PATH, f"{page.name} is gone.")

"""How an organization's mails look, and whether whoever has a DSN may send them."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.email.models import EmailLook, EmailSender
from mainstay_server.areas.email.schemas.builtin import web_address
from mainstay_server.contracts.email import EmailSetupChanged, MailBrand
from mainstay_server.kernel.database import insert
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Invalid
from mainstay_server.tenancy.models import Organization
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui.mail import PLAIN_COLOUR, Brand

from .addresses import checked_address

FACTS = ("name", "colour", "logo_url", "footer", "reply_to")
_COLOUR = re.compile(r"(#[0-9a-fA-F]{6})?")


def find_look(session: Session, organization_id: str) -> EmailLook:
    """How an organization's mails look; a row that is not stored where nobody said."""
    return session.get(EmailLook, organization_id) or EmailLook(
        organization_id=organization_id, name="", colour="", logo_url="", footer="", reply_to=""
    )


def brand_of(session: Session, organization_id: str) -> Brand:
    """The brand that mails carry: what was chosen, or the organization's name and our colour."""
    look = find_look(session, organization_id)
    name = look.name or session.scalar(
        sa.select(Organization.name).where(Organization.id == organization_id)
    )
    return Brand(
        name=name or "Mainstay",
        colour=look.colour or PLAIN_COLOUR,
        logo_url=look.logo_url,
        footer=look.footer,
    )


def answer_brand(session: Session, organization_id: str) -> MailBrand:
    """Answer the port `mail_brand`."""
    brand = brand_of(session, organization_id)
    return MailBrand(
        name=brand.name, colour=brand.colour, logo_url=brand.logo_url, footer=brand.footer
    )


def change_look(
    session: Session, organization_id: str, wanted: Mapping[str, Any], *, now: datetime
) -> EmailLook:
    """Change how mails look; what is None stays.

    Raises:
        Invalid: a colour, URL or address that is none.
    """
    checked = {
        name: _checked(name, str(value).strip())
        for name, value in wanted.items()
        if value is not None
    }
    session.execute(
        insert(EmailLook)
        .values(
            organization_id=organization_id, name="", colour="", logo_url="", footer="", reply_to=""
        )
        .on_conflict_do_nothing()
    )
    look = session.get_one(EmailLook, organization_id, with_for_update=True)
    before = facts_of(look, FACTS)
    for name, value in checked.items():
        setattr(look, name, value)
    session.flush()
    changes = changes_between(before, facts_of(look, FACTS))
    say(
        session,
        EmailSetupChanged(organization_id=organization_id, name="look", changes=changes),
        now=now,
    )
    return look


def may_send_by_dsn(session: Session, project_id: str) -> bool:
    """Whether the ingest key of a project, which is no secret in a browser, may send mail."""
    found = session.get(EmailSender, project_id)
    return found is not None and found.by_dsn


def allow_dsn(session: Session, project: ProjectRef, *, allowed: bool, now: datetime) -> None:
    """Say whether whoever has a project's DSN may send mail in its name."""
    before = may_send_by_dsn(session, project.id)
    session.execute(
        insert(EmailSender)
        .values(project_id=project.id, by_dsn=allowed)
        .on_conflict_do_update(index_elements=["project_id"], set_={"by_dsn": allowed})
    )
    session.expire_all()
    changes = changes_between({"by_dsn": before}, {"by_dsn": allowed})
    say(
        session,
        EmailSetupChanged(
            organization_id=project.organization_id,
            project_id=project.id,
            name="sending by DSN",
            changes=changes,
        ),
        now=now,
    )


def _checked(name: str, value: str) -> str:
    if name == "colour" and not _COLOUR.fullmatch(value):
        raise _invalid(name, "must be a colour such as #16794c")
    if name == "reply_to" and value:
        return checked_address(value, field="replyTo")
    if name == "logo_url":
        try:
            return web_address(value)
        except ValueError as error:
            raise _invalid("logoUrl", str(error)) from None
    return " ".join(value.split()) if name in ("name", "footer") else value


def _invalid(field: str, what: str) -> Invalid:
    return Invalid.of_field(field, f"{field} {what}.")

"""An organization's own templates: kept only if they render with their own example."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.email.models import EmailKind, EmailTemplate
from mainstay_server.areas.email.schemas.api import TemplateAnswer, TemplateBody
from mainstay_server.contracts.email import (
    EmailTemplateChanged,
    EmailTemplateCreated,
    EmailTemplateRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.ui.mail import Brand

from . import sending, writing
from .writing import BUILT_IN, Letter, Source

MOST_TEMPLATES = 200
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
FACTS = ("kind", "subject", "html", "text")


def list_templates(session: Session, organization_id: str) -> list[TemplateAnswer]:
    """The organization's own and those that come with Mainstay, by name; own ones win."""
    own = {row.name: told(row) for row in own_templates(session, organization_id)}
    ours = {name: _built_in(name) for name in BUILT_IN if name not in own}
    return sorted([*own.values(), *ours.values()], key=lambda each: each.name)


def own_templates(session: Session, organization_id: str) -> Sequence[EmailTemplate]:
    """The organization's own by name; at most 200, by the limit on making them."""
    return session.scalars(
        sa.select(EmailTemplate)
        .where(EmailTemplate.organization_id == organization_id)
        .order_by(EmailTemplate.name)
        .limit(MOST_TEMPLATES)
    ).all()


def get_template(session: Session, organization_id: str, name: str) -> TemplateAnswer:
    """A template by its name. Raises `NotFound` when there is none."""
    row = _find(session, organization_id, name)
    if row is not None:
        return told(row)
    if name in BUILT_IN:
        return _built_in(name)
    raise NotFound("There is no such template; /api/email-templates lists them.")


def checked_name(name: str) -> str:
    """A template's name, as requests call it. Raises `Invalid` for any other."""
    name = name.strip()
    if not NAME.fullmatch(name):
        raise Invalid.of_field(
            "name",
            "name must be small letters, digits, _ and -, beginning with neither of the last.",
        )
    return name


def refuse_taken(session: Session, organization_id: str, name: str) -> None:
    """Refuse to write over a template that somebody made. Raises `Conflict`."""
    if _find(session, organization_id, name) is not None:
        raise Conflict.of_field(
            "name", "There is a template of this name; choose another, or change that one."
        )


def save_template(
    session: Session, organization_id: str, name: str, body: TemplateBody, *, now: datetime
) -> EmailTemplate:
    """Write a template, new or anew, which was tried with its example before.

    Raises:
        Conflict: there are too many.
    """
    row = _find(session, organization_id, name)
    before: dict[str, object] = {}
    if row is None:
        count = session.scalar(
            sa.select(sa.func.count()).where(EmailTemplate.organization_id == organization_id)
        )
        if (count or 0) >= MOST_TEMPLATES:
            raise Conflict(f"There may be {MOST_TEMPLATES} templates; remove one that is not used.")
        row = EmailTemplate(id=new_id(), organization_id=organization_id, name=name)
        session.add(row)
    else:
        before = _facts(row)
    for field in (*FACTS, "example"):
        setattr(row, field, getattr(body, field))
    row.changed_at = now
    session.flush()
    said = EmailTemplateChanged if before else EmailTemplateCreated
    changes = changes_between(before, _facts(row))
    say(session, said(organization_id=organization_id, name=name, changes=changes), now=now)
    return row


def remove_template(session: Session, organization_id: str, name: str, *, now: datetime) -> None:
    """Remove one of the organization's own templates. Raises `NotFound` when it has none."""
    row = _find(session, organization_id, name)
    if row is None:
        raise NotFound("There is no such template of your own; /api/email-templates lists them.")
    changes = changes_between(_facts(row), {})
    session.delete(row)
    session.flush()
    say(
        session,
        EmailTemplateRemoved(organization_id=organization_id, name=name, changes=changes),
        now=now,
    )


def preview(
    session: Session, organization_id: str, name: str, data: Mapping[str, Any] | None, brand: Brand
) -> Letter:
    """A template as a mail. Raises `Invalid` for data it cannot use, `NotFound` without one."""
    source = sending.find_source(session, organization_id, name)
    found = get_template(session, organization_id, name)
    filled = found.example if data is None else data
    if source is None:
        return writing.write_built_in(name, filled, brand=brand)
    return writing.write_own(source, filled, brand=brand)


def try_out(name: str, body: TemplateBody, brand: Brand) -> Letter:
    """A template that is not kept yet, with its example. Raises `Invalid` for what is no good."""
    source = Source(name=name, kind=body.kind, subject=body.subject, html=body.html, text=body.text)
    return writing.write_own(source, body.example, brand=brand)


def told(row: EmailTemplate) -> TemplateAnswer:
    """A template as the API and the pages tell it."""
    return TemplateAnswer(
        name=row.name,
        built_in=False,
        kind=EmailKind(row.kind),
        subject=row.subject,
        html=row.html,
        text=row.text,
        example=row.example,
        changed_at=row.changed_at,
    )


def _built_in(name: str) -> TemplateAnswer:
    return TemplateAnswer(
        name=name,
        built_in=True,
        kind=BUILT_IN[name].kind,
        subject="",
        html="",
        text="",
        example=writing.example_of(name),
        changed_at=None,
    )


def _find(session: Session, organization_id: str, name: str) -> EmailTemplate | None:
    return session.scalar(
        sa.select(EmailTemplate).where(
            EmailTemplate.organization_id == organization_id, EmailTemplate.name == name
        )
    )


def _facts(row: EmailTemplate) -> dict[str, object]:
    return {field: getattr(row, field) for field in FACTS}

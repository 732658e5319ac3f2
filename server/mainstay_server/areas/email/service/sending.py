"""Taking mails in: what is acknowledged is stored, once however often it is asked for."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.email.models import (
    Email,
    EmailKind,
    EmailRequest,
    EmailState,
    EmailTemplate,
)
from mainstay_server.areas.email.schemas.api import EmailBody
from mainstay_server.areas.email.schemas.events import EmailDue
from mainstay_server.areas.email.settings import EmailSettings
from mainstay_server.kernel.database import insert, new_id, reading, rows_changed, transaction
from mainstay_server.kernel.events import say
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound, TooManyRequests
from mainstay_server.kernel.settings import of
from mainstay_server.tenancy.models import Project
from mainstay_server.tenancy.subjects import ProjectRef, find_project, project_ref
from mainstay_server.ui.mail import Brand

from . import looks, suppressing, unsubscribing, writing
from .addresses import checked_address, folded
from .secrecy import forget_secret
from .writing import BUILT_IN, Letter, Source

KEPT_UNDER_A_KEY = timedelta(hours=24)
LONGEST_KEY = 200
HOUR = timedelta(hours=1)
FULL_RETRY_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is needed to write a mail, read in one go, so that no transaction waits for it."""

    brand: Brand
    reply_to: str
    source: Source | None


def chosen_project(session: Session, organization_id: str, slug: str) -> ProjectRef:
    """The project that a mail is sent for: the one that is named, or the only one there is.

    Raises:
        NotFound: the organization has no such project.
        Invalid: there are several and none is named.
    """
    if slug:
        project = find_project(session, slug)
        if project is None or project.organization_id != organization_id:
            raise NotFound(f"There is no project {slug!r}; /api/projects lists yours.")
        return project
    found = session.scalars(
        sa.select(Project).where(Project.organization_id == organization_id).limit(2)
    ).all()
    if len(found) != 1:
        raise Invalid.of_field(
            "project", "Name the project that sends it: its slug, as /api/projects lists it."
        )
    return project_ref(found[0])


def accept(
    project: ProjectRef, body: EmailBody, *, key: str, made_by: str, now: datetime
) -> Sequence[Email]:
    """Take a mail in; returned means stored, and that it will be tried until it is decided.

    Under one key, what was taken in before is returned, whatever became of it since. Writing it
    happens outside of any transaction; a template that is refused leaves nothing behind.

    Raises:
        Invalid: an address, a template or its data is no good.
        NotFound: there is no such template.
        Conflict: the key was used for something else.
        TooManyRequests: the project sent too much within the hour, or too much waits.
    """
    key = _checked_key(key)
    recipients = _recipients(body)
    with reading() as session:
        known = _find_known(session, project.id, key, body, now=now)
        if known is not None:
            return known
        wanted = _read_wanted(session, project, body)
    letter = _write(body, wanted)
    with transaction() as session:
        return _store(
            session, project, body, letter, wanted, recipients, key=key, made_by=made_by, now=now
        )


def store_letter(  # noqa: PLR0913 - all that a mail is made of
    session: Session,
    letter: Letter,
    recipient: str,
    *,
    organization_id: str,
    project_id: str | None,
    sender_name: str,
    now: datetime,
    person_id: str | None = None,
    reply_to: str = "",
    made_by: str = "",
    suppressed: str = "",
) -> Email:
    """Write one mail down, and say that it is due unless its address is kept from mail."""
    one = new_id()
    subscription = unsubscribing.Subscription(
        organization_id=organization_id,
        address=recipient,
        template=letter.template,
        person_id=person_id or "",
    )
    letter = letter.for_reader(unsubscribing.address_of(subscription))
    email = Email(
        id=one,
        organization_id=organization_id,
        project_id=project_id,
        person_id=person_id,
        template=letter.template,
        kind=letter.kind,
        recipient=recipient,
        subject=letter.subject,
        html=letter.html,
        text=letter.text,
        sender_name=sender_name,
        reply_to=reply_to,
        state=EmailState.SUPPRESSED if suppressed else EmailState.QUEUED,
        reason=suppressed,
        attempts=0,
        made_by=made_by[:100],
        created_at=now,
        changed_at=now,
    )
    if suppressed:
        forget_secret(email)
    session.add(email)
    session.flush()
    if not suppressed:
        say(session, EmailDue(email_id=one), now=now)
    return email


def forget_requests(session: Session, *, now: datetime) -> int:
    """Forget keys that are older than a day. Returns how many."""
    return rows_changed(
        session,
        sa.delete(EmailRequest).where(EmailRequest.created_at < now - KEPT_UNDER_A_KEY),
    )


def _store(  # noqa: PLR0913 - all that a request is made of
    session: Session,
    project: ProjectRef,
    body: EmailBody,
    letter: Letter,
    wanted: Wanted,
    recipients: Sequence[str],
    *,
    key: str,
    made_by: str,
    now: datetime,
) -> Sequence[Email]:
    if key and not _claim(session, project.id, key, body, now=now):
        known = _find_known(session, project.id, key, body, now=now)
        assert known is not None, "whoever holds the key has committed it"
        return known
    _refuse_too_many(session, project.id, len(recipients), now=now)
    kept = suppressing.suppressed_among(session, project.organization_id, recipients, letter.kind)
    emails = [
        store_letter(
            session,
            letter,
            recipient,
            organization_id=project.organization_id,
            project_id=project.id,
            sender_name=wanted.brand.name,
            reply_to=wanted.reply_to,
            made_by=made_by,
            suppressed=suppressing.told(kept.get(folded(recipient), "")),
            now=now,
        )
        for recipient in recipients
    ]
    if key:
        session.execute(
            sa.update(EmailRequest)
            .where(EmailRequest.project_id == project.id, EmailRequest.key == key)
            .values(email_ids=[email.id for email in emails])
        )
    return emails


def _claim(session: Session, project_id: str, key: str, body: EmailBody, *, now: datetime) -> bool:
    """Take a key for this request; False if another has it, which has then committed."""
    session.execute(
        sa.delete(EmailRequest).where(
            EmailRequest.project_id == project_id,
            EmailRequest.key == key,
            EmailRequest.created_at < now - KEPT_UNDER_A_KEY,
        )
    )
    claimed = insert(EmailRequest).values(
        id=new_id(),
        project_id=project_id,
        key=key,
        digest=_digest(body),
        email_ids=[],
        created_at=now,
    )
    return bool(rows_changed(session, claimed.on_conflict_do_nothing()))


def _find_known(
    session: Session, project_id: str, key: str, body: EmailBody, *, now: datetime
) -> Sequence[Email] | None:
    """What was taken in under a key; None when nothing was. Raises `Conflict` for another body."""
    if not key:
        return None
    known = session.scalar(
        sa.select(EmailRequest).where(
            EmailRequest.project_id == project_id,
            EmailRequest.key == key,
            EmailRequest.created_at >= now - KEPT_UNDER_A_KEY,
        )
    )
    if known is None:
        return None
    if known.digest != _digest(body):
        raise Conflict(
            "This Idempotency-Key was used for another mail; use a new key for a new mail.",
            code="idempotency-key-reused",
        )
    found = session.scalars(sa.select(Email).where(Email.id.in_(known.email_ids)))
    return sorted(found, key=lambda email: email.id)


def _digest(body: EmailBody) -> str:
    told = body.model_dump(mode="json")
    return hashlib.sha256(msgspec.json.encode(told, order="deterministic")).hexdigest()


def _checked_key(key: str) -> str:
    if len(key) > LONGEST_KEY or not key.isprintable() or not key.isascii():
        raise Invalid(f"Idempotency-Key must be at most {LONGEST_KEY} printable ASCII characters.")
    return key


def _recipients(body: EmailBody) -> list[str]:
    checked = [checked_address(address, field="to") for address in body.recipients]
    return list({folded(address): address for address in checked}.values())


def _read_wanted(session: Session, project: ProjectRef, body: EmailBody) -> Wanted:
    look = looks.find_look(session, project.organization_id)
    source = None
    if body.template is not None:
        source = find_source(session, project.organization_id, body.template)
        if source is None and body.template not in BUILT_IN:
            raise NotFound(
                f"There is no template {body.template!r}; /api/email-templates lists them."
            )
    reply_to = body.reply_to.strip()
    return Wanted(
        brand=looks.brand_of(session, project.organization_id),
        reply_to=checked_address(reply_to, field="replyTo") if reply_to else look.reply_to,
        source=source,
    )


def find_source(session: Session, organization_id: str, name: str) -> Source | None:
    """An organization's own template, which stands before one of the same name of ours."""
    found = session.scalar(
        sa.select(EmailTemplate).where(
            EmailTemplate.organization_id == organization_id, EmailTemplate.name == name
        )
    )
    if found is None:
        return None
    return Source(
        name=found.name,
        kind=EmailKind(found.kind),
        subject=found.subject,
        html=found.html,
        text=found.text,
    )


def _write(body: EmailBody, wanted: Wanted) -> Letter:
    if body.template is None:
        return writing.write_plain(
            body.subject, body.html, body.text, brand=wanted.brand, kind=body.kind
        )
    if body.html or body.text or body.subject:
        raise Invalid("Give either a template with its data, or a subject with html or text.")
    if wanted.source is not None:
        return writing.write_own(wanted.source, body.data, brand=wanted.brand, kind=body.kind)
    return writing.write_built_in(body.template, body.data, brand=wanted.brand, kind=body.kind)


def _refuse_too_many(session: Session, project_id: str, more: int, *, now: datetime) -> None:
    settings = of(EmailSettings)
    waiting = session.scalar(
        sa.select(sa.func.count()).where(
            Email.project_id == project_id, Email.state == EmailState.QUEUED
        )
    )
    if (waiting or 0) + more > settings.emails_queued:
        raise TooManyRequests(
            f"{waiting} mails of this project wait already; send it again when some have left.",
            code="email-queue-full",
            retry_after_seconds=FULL_RETRY_SECONDS,
        )
    within = sa.and_(Email.project_id == project_id, Email.created_at > now - HOUR)
    sent = session.scalar(sa.select(sa.func.count()).where(within)) or 0
    if sent + more <= settings.emails_per_hour:
        return
    first = session.scalar(sa.select(sa.func.min(Email.created_at)).where(within)) or now
    raise TooManyRequests(
        f"A project sends at most {settings.emails_per_hour} mails an hour; send it again later.",
        code="email-rate-limited",
        retry_after_seconds=max((first + HOUR - now).total_seconds(), 1),
    )

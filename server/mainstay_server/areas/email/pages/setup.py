"""How mails look, and whether a DSN sends them."""

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.email.service import looks
from mainstay_server.areas.email.settings import EmailSettings
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.frame import done_or_refused

from .frame import PREFIX, Administered, Text, Viewed, page_of, url_of

router = Router()

SETUP = PREFIX + "/setup"


@router.get(SETUP)
def show_setup(request: Request, session: Session, project: Viewed) -> Response:
    """The brand that mails carry, who may send, and how bounces are heard of."""
    return page_of(
        request,
        session,
        project,
        "setup",
        look=looks.find_look(session, project.organization_id),
        brand=looks.brand_of(session, project.organization_id),
        by_dsn=looks.may_send_by_dsn(session, project.id),
        sender=of(SmtpSettings).sender,
        hook=f"{base_url(request)}/api/emails/webhooks/resend",
        hears=bool(of(EmailSettings).resend_webhook_secret.get_secret_value()),
    )


@router.post(SETUP)
def change_look(  # noqa: PLR0913 - the fields of the form
    session: Session,
    project: Administered,
    *,
    name: Text = "",
    colour: Text = "",
    logo_url: Text = "",
    footer: Text = "",
    reply_to: Text = "",
) -> Response:
    """Change how the organization's mails look."""
    wanted = {
        "name": name[:100],
        "colour": colour,
        "logo_url": logo_url[:1000],
        "footer": footer[:300],
        "reply_to": reply_to[:254],
    }
    return done_or_refused(
        session,
        lambda: looks.change_look(session, project.organization_id, wanted, now=utc_now()),
        path=url_of(project, "/setup"),
        done="Mails look like this from now on.",
    )


@router.post(SETUP + "/dsn")
def allow_dsn(session: Session, project: Administered, by_dsn: Text = "") -> Response:
    """Say whether whoever has the project's DSN may send mail."""
    return done_or_refused(
        session,
        lambda: looks.allow_dsn(session, project, allowed=bool(by_dsn), now=utc_now()),
        path=url_of(project, "/setup"),
        done="The DSN sends mail." if by_dsn else "The DSN sends no mail.",
    )

"""How mails look, and which reports one is sent, over HTTP."""

from typing import Annotated

from sqlalchemy.orm import Session

from mainstay_server.areas.email.models import ReportWish
from mainstay_server.areas.email.schemas.api import (
    LookAnswer,
    LookBody,
    ReportsAnswer,
    ReportsBody,
)
from mainstay_server.areas.email.service import looks, wishes
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role

router = Router()

Viewer = Annotated[Caller, access.organization(Role.VIEWER)]
Admin = Annotated[Caller, access.organization(Role.ADMIN)]
Asking = Annotated[Caller, access.signed_in()]


@router.get("/api/email-look", summary="How mails look", operation_id="get_email_look")
def get_email_look(session: Session, caller: Viewer) -> LookAnswer:
    """The brand that the organization's mails carry; what is empty is as Mainstay has it."""
    return LookAnswer.model_validate(looks.find_look(session, caller.organization_id))


@router.patch("/api/email-look", summary="Change how mails look", operation_id="change_email_look")
def change_email_look(session: Session, caller: Admin, body: LookBody) -> LookAnswer:
    """Change the name, colour, logo, last line or reply address of the organization's mails."""
    look = looks.change_look(session, caller.organization_id, body.model_dump(), now=utc_now())
    return LookAnswer.model_validate(look)


@router.get("/api/me/reports", summary="Your reports by mail", operation_id="get_my_reports")
def get_my_reports(session: Session, caller: Asking) -> ReportsAnswer:
    """Which reports you are sent of this organization, and when the next ones are."""
    return _told(wishes.find_wish(session, caller.organization_id, caller.person_id))


@router.patch("/api/me/reports", summary="Choose your reports", operation_id="choose_my_reports")
def choose_my_reports(session: Session, caller: Asking, body: ReportsBody) -> ReportsAnswer:
    """Choose a weekly or monthly report, its hour, and the time zone of your clock."""
    return _told(wishes.choose(session, caller, body.model_dump(), now=utc_now()))


def _told(wish: ReportWish) -> ReportsAnswer:
    return ReportsAnswer(
        weekly=wish.weekly_due_at is not None,
        monthly=wish.monthly_due_at is not None,
        time_zone=wish.time_zone,
        hour=wish.hour,
        weekday=wish.weekday,
        next_weekly_at=wish.weekly_due_at,
        next_monthly_at=wish.monthly_due_at,
    )

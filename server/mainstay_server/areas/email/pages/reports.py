"""A person's own reports: which they want, and when."""

from typing import Annotated
from zoneinfo import available_timezones

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.email.service import wishes
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.mailing import why_no_mail
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import done_or_refused, organization_frame
from mainstay_server.tenancy.service.sessions import list_organizations
from mainstay_server.ui import render

router = Router()

PATH = "/dashboard/reports"
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SignedIn = Annotated[Caller, access.in_browser()]
Number = Annotated[int, Form()]
Text = Annotated[str, Form(max_length=100)]


@router.get(PATH)
def show_reports(request: Request, session: Session, caller: SignedIn) -> Response:
    """What the caller is sent of this organization."""
    wish = wishes.find_wish(session, caller.organization_id, caller.person_id)
    return render(
        request,
        "email/reports.html",
        **organization_frame(request, page="reports", now=utc_now()),
        organizations=list_organizations(session, caller),
        wish=wish,
        no_mail=why_no_mail(),
        zones=[(zone, zone) for zone in sorted(available_timezones())],
        hours=[(str(hour), f"{hour:02}:00") for hour in range(24)],
        days=[(str(at), day) for at, day in enumerate(DAYS)],
    )


@router.post(PATH)
def choose_reports(  # noqa: PLR0913 - the fields of the form
    session: Session,
    caller: SignedIn,
    *,
    weekly: Text = "",
    monthly: Text = "",
    time_zone: Text = "UTC",
    hour: Number = wishes.DEFAULT_HOUR,
    weekday: Number = 0,
) -> Response:
    """Choose which reports one is sent, and when."""
    wanted = {
        "weekly": bool(weekly),
        "monthly": bool(monthly),
        "time_zone": time_zone,
        "hour": hour,
        "weekday": weekday,
    }
    return done_or_refused(
        session,
        lambda: wishes.choose(session, caller, wanted, now=utc_now()),
        path=PATH,
        done="Your choice was saved.",
    )

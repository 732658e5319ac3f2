"""The page on which a project says when its alerts open incidents."""

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.incidents.service import choices, postmortems
from mainstay_server.areas.incidents.service.choices import NEVER
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.frame import done_or_refused
from mainstay_server.tenancy.subjects import ProjectRef

from .frame import PREFIX, Long, Short, Viewed, Written, home, page_of

router = Router(prefix=PREFIX + "/settings", include_in_schema=False)

OPENS_FROM = (
    ("critical", "critical: what wakes people"),
    ("high", "high and critical"),
    ("warning", "medium or warning, and worse"),
    ("low", "low and worse"),
    ("info", "info: every alert"),
    (NEVER, "never: people open them"),
)


@router.get("")
def show_settings(request: Request, session: Session, project: Viewed) -> Response:
    """What holds for the project, and the form that changes it."""
    return page_of(
        request,
        session,
        project,
        "settings",
        choices=choices.choices_of(session, project.id),
        OPENS_FROM=OPENS_FROM,
        default_template=postmortems.DEFAULT_TEMPLATE,
        places=postmortems.PLACES,
    )


@router.post("")
def change(
    session: Session,
    project: Written,
    opens_from: Short = "",
    join_minutes: Short = "",
    resolves_alone: Short = "",
    template: Long = "",
) -> Response:
    """Choose otherwise from now on."""
    return done_or_refused(
        session,
        lambda: _change(session, project, opens_from, join_minutes, bool(resolves_alone), template),
        path=f"{home(project)}/settings",
        done="That holds from now on.",
    )


def _change(
    session: Session,
    project: ProjectRef,
    opens_from: str,
    join_minutes: str,
    resolves_alone: bool,  # noqa: FBT001 - a box of the form
    template: str,
) -> None:
    if not (join_minutes.isascii() and join_minutes.isdigit() and len(join_minutes) < 7):  # noqa: PLR2004 - minutes
        raise Invalid("Alerts join for a number of minutes; 0 is for not at all.")
    text = template.replace("\r\n", "\n").strip()
    is_default = text == postmortems.DEFAULT_TEMPLATE.strip()
    changes = {
        "opens_from": opens_from,
        "join_minutes": int(join_minutes),
        "resolves_alone": resolves_alone,
        "template": "" if is_default else text,
    }
    choices.change_choices(session, project, changes, now=utc_now())

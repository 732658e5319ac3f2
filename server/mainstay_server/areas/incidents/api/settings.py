"""When alerts open incidents, over HTTP."""

from sqlalchemy.orm import Session

from mainstay_server.areas.incidents.schemas import SettingsAnswer, SettingsChanges
from mainstay_server.areas.incidents.service import choices
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.web import Router, example

from .answers import Viewed, Written

SETTINGS = {
    "opensFrom": "critical",
    "joinMinutes": 30,
    "resolvesAlone": True,
    "template": "",
}

router = Router(prefix="/api/projects/{slug}/incident-settings")


@router.get("", summary="When alerts open incidents", responses=example(SETTINGS))
def get_incident_settings(session: Session, project: Viewed) -> SettingsAnswer:
    """What holds for the project."""
    return SettingsAnswer.model_validate(choices.choices_of(session, project.id))


@router.patch("", summary="Choose when alerts open incidents", responses=example(SETTINGS))
def change_incident_settings(
    session: Session, project: Written, body: SettingsChanges
) -> SettingsAnswer:
    """Choose from which severity on, how long alerts join, and the template of postmortems."""
    changes = {name: value for name, value in body if value is not None}
    chosen = choices.change_choices(session, project, changes, now=utc_now())
    return SettingsAnswer.model_validate(chosen)

"""Incidents: what people work on together, from the first alert to what was learnt."""

from mainstay_server.kernel.area import Area

from . import api, configured, jobs, pages, reactions, readiness
from .settings import IncidentKeeping

area = Area(
    name="incidents",
    title="Incidents",
    api=api.router,
    pages=pages.router,
    jobs=(jobs.forget_old_incidents,),
    reactions=(
        reactions.follow_opened_alert,
        reactions.follow_acknowledged_alert,
        reactions.follow_resolved_alert,
        reactions.note_down,
        reactions.note_degraded,
        reactions.note_flapping,
        reactions.note_recovered,
        reactions.note_missed,
        reactions.note_badly_reported,
        reactions.note_reported,
        reactions.note_remediation,
        reactions.note_remedy,
        reactions.note_failed_remedy,
    ),
    readiness=(readiness.somebody_works, readiness.something_was_learnt),
    settings=(IncidentKeeping,),
    panels=(pages.panel,),
    menu=(pages.menu,),
    configured=(configured.INCIDENT_SETTINGS,),
)

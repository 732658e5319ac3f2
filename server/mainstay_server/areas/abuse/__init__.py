"""Abuse: find who misbehaves towards an API, keep them out for a while, never the wrong ones."""

from mainstay_server.kernel.area import Area

from . import api, jobs, pages, reactions, readiness
from .service import guarding

area = Area(
    name="abuse",
    title="Abuse",
    api=api.router,
    pages=pages.router,
    jobs=(jobs.look_for_abuse, jobs.forget_old_bans),
    reactions=(reactions.lift_bans_of_the_allowed, reactions.lift_bans_of_the_switched_on),
    readiness=(readiness.abuse_is_looked_for,),
    panels=(pages.panel,),
    guard=(guarding.step,),
)

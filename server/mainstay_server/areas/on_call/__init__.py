"""On call: somebody is woken when an alert needs people, and the next when they do not answer."""

from mainstay_server.contracts.on_call import (
    acknowledge_all_link,
    acknowledge_link,
    who_is_on_call,
)
from mainstay_server.kernel.area import Area

from . import api, configured, jobs, pages, reactions, readiness
from .service import links, schedules

area = Area(
    name="on_call",
    title="On call",
    api=api.router,
    pages=pages.router,
    jobs=(jobs.advance_escalations, jobs.read_calendars, jobs.forget_old_escalations),
    reactions=(
        reactions.begin_escalation,
        reactions.stop_escalation,
        reactions.end_escalation,
        reactions.send_notice,
    ),
    readiness=(readiness.somebody_is_woken,),
    answers=(
        who_is_on_call.answered_by(schedules.who_is_on_call),
        acknowledge_link.answered_by(links.link_of_channel),
        acknowledge_all_link.answered_by(links.link_of_message),
    ),
    organization_menu=(pages.entry,),
    configured=(configured.SCHEDULES, configured.POLICIES),
)

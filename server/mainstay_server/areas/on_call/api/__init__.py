"""The API of on call: schedules, policies, and what is being escalated."""

from mainstay_server.kernel.web import Router

from . import calendars, escalations, policies, schedules

router = Router()
for part in (schedules, calendars, policies, escalations):
    router.include_router(part.router)

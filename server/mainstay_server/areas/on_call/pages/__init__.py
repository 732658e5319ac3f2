"""The pages of on call: the overview, schedules, policies, escalations, and the links of mails."""

from mainstay_server.kernel.web import Router

from . import escalations, links, overview, policies, schedules

router = Router(include_in_schema=False)
for part in (overview, schedules, policies, escalations, links):
    router.include_router(part.router)

entry = overview.entry

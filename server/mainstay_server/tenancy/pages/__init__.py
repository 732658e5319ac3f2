"""What people see of tenancy: the way in, the overview, a project's frame and settings."""

from mainstay_server.kernel.web import Router

from . import account, entry, monitoring, organization, overview, settings

router = Router(include_in_schema=False)
for part in (entry, overview, monitoring, settings, account, organization):
    router.include_router(part.router)

"""What people see of tenancy: the way in, the overview, a project's frame and settings."""

from mainstay_server.kernel.web import Router

from . import entry

router = Router(include_in_schema=False)
for part in (entry,):
    router.include_router(part.router)

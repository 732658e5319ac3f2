"""The HTTP API of health checks: what is asked, and what the past amounts to."""

from mainstay_server.kernel.web import Router

from . import checks, uptime

router = Router()
for part in (checks, uptime):
    router.include_router(part.router)

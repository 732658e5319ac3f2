"""The HTTP API of health checks: what is asked, from where, and what the past amounts to."""

from mainstay_server.kernel.web import Router

from . import checks, exposition, probes, uptime

router = Router()
for part in (checks, uptime, exposition, probes):
    router.include_router(part.router)

"""The HTTP API of incidents."""

from mainstay_server.kernel.web import Router

from . import incidents, parts, postmortems, settings

router = Router()
for part in (incidents, parts, postmortems, settings):
    router.include_router(part.router)

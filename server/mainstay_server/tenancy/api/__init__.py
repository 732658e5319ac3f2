"""The HTTP API of people, projects and instances."""

from mainstay_server.kernel.web import Router

from . import instances, keys, me, members, projects

router = Router()
for part in (me, members, projects, keys, instances):
    router.include_router(part.router)

"""The HTTP API of backups: destinations, targets, backups, and what proves and restores them."""

from mainstay_server.kernel.web import Router

from . import backups, destinations, schedule, targets

router = Router()
for part in (destinations, targets, backups, schedule):
    router.include_router(part.router)

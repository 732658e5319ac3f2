"""The HTTP API of backups: destinations, targets, backups, and what proves and restores them."""

from mainstay_server.kernel.web import Router

from . import backups, destinations, proving, schedule, targets

router = Router()
for part in (destinations, targets, backups, proving, schedule):
    router.include_router(part.router)

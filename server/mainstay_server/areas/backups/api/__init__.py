"""The HTTP API of backups: destinations, targets, backups, and what proves and restores them."""

from mainstay_server.kernel.web import Router

from . import backups, destinations, targets

router = Router()
for part in (destinations, targets, backups):
    router.include_router(part.router)

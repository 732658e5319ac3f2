"""The pages of backups: targets, setting one up, single backups, destinations, and restoring."""

from mainstay_server.kernel.area import MenuEntry
from mainstay_server.kernel.web import Router

from . import destinations, making, one, overview, restoring, target
from .panel import panel, tiles

__all__ = ["menu", "panel", "router", "tiles"]

router = Router()
for part in (overview, making, destinations, target, one, restoring):
    router.include_router(part.router)

menu = MenuEntry(label="Backups", page="backups", icon="backup", group="keep", order=10)

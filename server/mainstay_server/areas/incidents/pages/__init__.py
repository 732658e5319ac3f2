"""The pages of incidents."""

from mainstay_server.kernel.area import MenuEntry
from mainstay_server.kernel.web import Router

from . import acting, choosing, learning, listing, one
from .panel import panel

__all__ = ["menu", "panel", "router"]

router = Router()
for part in (listing, choosing, learning, one, acting):
    router.include_router(part.router)

menu = MenuEntry(label="Incidents", page="incidents", icon="incidents", group="respond", order=20)

"""What people see of health checks: the list, one check, its form, and the panel of a project."""

from mainstay_server.kernel.area import MenuEntry
from mainstay_server.kernel.web import Router

from . import acting, correcting, forms, listing, one, probes
from .panel import draw_panel, panel, summary, tiles
from .panel import router as panel_router
from .probes import entry

__all__ = ["draw_panel", "entry", "menu", "panel", "router", "summary", "tiles"]

router = Router()
for part in (listing, forms, one, acting, correcting, probes):
    router.include_router(part.router)
router.include_router(panel_router)
menu = MenuEntry(
    label="Health checks", page="health-checks", icon="pulse", group="observe", order=10
)

"""The pages of maintenance."""

from mainstay_server.kernel.area import MenuEntry
from mainstay_server.kernel.web import Router

from . import plans, windows

router = Router()
router.include_router(plans.router)
router.include_router(windows.router)

menu = MenuEntry(label="Maintenance", page="maintenance", icon="wrench", group="respond", order=30)

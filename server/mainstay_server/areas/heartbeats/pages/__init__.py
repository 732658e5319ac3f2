"""The pages of heartbeats: the list, one job with all it reported, the form, the keys."""

from mainstay_server.kernel.area import MenuEntry
from mainstay_server.kernel.web import Router

from . import changing, keys, overview, seen

router = Router(include_in_schema=False)
router.include_router(overview.router)
router.include_router(changing.router)
router.include_router(keys.router)
router.include_router(seen.router)

menu = MenuEntry(label="Heartbeats", page="heartbeats", icon="heart", group="observe", order=15)

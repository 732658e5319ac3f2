"""The pages of the API keys: the list, one key with who uses it, and what asks for keys."""

from mainstay_server.kernel.area import MenuEntry
from mainstay_server.kernel.web import Router

from . import asking, keys, one
from .panel import panel

__all__ = ["menu", "panel", "router"]

router = Router()
for part in (keys, asking, one):
    router.include_router(part.router)

menu = MenuEntry(label="API keys", page="api-keys", icon="key", group="guard", order=10)

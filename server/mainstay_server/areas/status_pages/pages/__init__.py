"""The pages of status pages: those that everybody sees, and those where they are made."""

from mainstay_server.kernel.area import MenuEntry, OrganizationEntry
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.models import Role

from . import components, listing, public, reports, settings, subscribers

__all__ = ["menu", "organization_entry", "router"]

router = Router()
for part in (listing, components, reports, subscribers, settings, public):
    router.include_router(part.router)

menu = MenuEntry(
    label="Status pages", page="status-pages", icon="status_pages", group="respond", order=40
)
organization_entry = OrganizationEntry(
    label="Status pages", page="status-pages", icon="status_pages", order=5, role=Role.VIEWER
)

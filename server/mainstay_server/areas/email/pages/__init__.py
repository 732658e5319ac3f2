"""What people see of mail: what was sent, templates, who gets none, how it looks, reports."""

from mainstay_server.kernel.area import MenuEntry, OrganizationEntry
from mainstay_server.kernel.web import Router

from . import mails, public, reports, setup, suppressed, templates

__all__ = ["menu", "reports_entry", "router"]

router = Router(include_in_schema=False)
for part in (templates, suppressed, setup, mails, reports, public):
    router.include_router(part.router)
menu = MenuEntry(label="E-mail", page="email", icon="email", group="respond", order=60)
reports_entry = OrganizationEntry(
    label="Your reports", page="reports", icon="calendar", order=60, role="viewer"
)

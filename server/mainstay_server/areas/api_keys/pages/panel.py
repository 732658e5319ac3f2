"""What the security page shows of keys: how many there are, and which need somebody."""

from mainstay_server.areas.api_keys.models import Status
from mainstay_server.areas.api_keys.service import asking, attention, listing
from mainstay_server.kernel.area import Panel, PanelRequest
from mainstay_server.ui import fragment

SHOWN = 5


def draw_panel(asked: PanelRequest) -> str:
    """The keys of an instance in figures, and those that need somebody, the gravest first."""
    instance = asked.instance
    counts = listing.count_by_status(asked.session, [instance.id], now=asked.now)[instance.id]
    settings = asking.find_settings(asked.session, instance.id)
    found = attention.needing_attention(
        asked.session, instance.id, days=settings.rotate_after_days, now=asked.now
    )
    return fragment(
        asked.request,
        "api_keys/panel.html",
        instance=instance,
        base=f"/dashboard/projects/{instance.project_slug}/api-keys",
        living=counts[Status.ACTIVE] + counts[Status.ROTATING],
        rotating=counts[Status.ROTATING],
        anything=any(counts.values()),
        settings=settings,
        found=found[:SHOWN],
        found_count=len(found),
        now=asked.now,
    )


panel = Panel(page="security", name="api-keys", title="API keys", order=20, draw=draw_panel)

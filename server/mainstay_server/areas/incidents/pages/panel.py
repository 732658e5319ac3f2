"""What other pages show of incidents: the panel of an instance."""

from datetime import timedelta

from mainstay_server.areas.incidents.service import listing, people
from mainstay_server.kernel.area import Panel, PanelRequest
from mainstay_server.ui import fragment

from .frame import words

LATELY = timedelta(days=7)


def draw_panel(asked: PanelRequest) -> str:
    """What is open of an instance, or else what was over last."""
    opened = listing.open_incidents(asked.session, asked.instance.id)
    ids = [incident.id for incident in opened]
    return fragment(
        asked.request,
        "incidents/panel.html",
        **words(),
        base=f"/dashboard/projects/{asked.instance.project_slug}/incidents",
        instance=asked.instance,
        opened=opened,
        latest=listing.latest_resolved(asked.session, asked.instance.id, since=asked.now - LATELY),
        people=people.people_of(asked.session, ids),
        counts=listing.count_alerts_of(asked.session, ids),
        now=asked.now,
    )


panel = Panel(page="monitoring", name="incidents", title="Incidents", order=15, draw=draw_panel)

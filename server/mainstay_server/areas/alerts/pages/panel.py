"""What other pages show of alerts: the panel, the tile and the summary."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Severity
from mainstay_server.areas.alerts.service import channels, history
from mainstay_server.areas.alerts.service.routing import explaining
from mainstay_server.contracts.alerts.severities import TONES
from mainstay_server.kernel.area import Panel, PanelRequest, Tile
from mainstay_server.ui import fragment

from .frame import words

PANEL_RESOLVED = 10
RESOLVED_SHOWN_FOR = timedelta(hours=24)


def draw_panel(asked: PanelRequest) -> str:
    """The active alerts of an instance, what was resolved lately, and who is told."""
    active = history.active_alerts(asked.session, asked.instance.id)
    ended = history.list_alerts(
        asked.session,
        [asked.instance.id],
        history.AlertFilter(active=False, resolved_since=asked.now - RESOLVED_SHOWN_FOR),
        limit=PANEL_RESOLVED,
    ).items
    shown = [*active, *ended]
    return fragment(
        asked.request,
        "alerts/panel.html",
        **words(),
        instance=asked.instance,
        base=f"/dashboard/projects/{asked.instance.project_slug}",
        active=active,
        active_count=sum(
            history.count_active(asked.session, [asked.instance.id])[asked.instance.id].values()
        ),
        ended=ended,
        names=history.names_of(asked.session, ended),
        deliveries=history.deliveries_of(asked.session, [alert.id for alert in shown]),
        reasons=explaining.reasons_of(asked.session, [alert.id for alert in active]),
        channels=channels.list_channels(
            asked.session, asked.instance.project_id, asked.instance.id
        ),
        may_write=asked.may_write,
        now=asked.now,
    )


def tiles(session: Session, instance_ids: Sequence[str], now: datetime) -> Mapping[str, Tile]:
    """How many alerts are active on each instance, in the tone of the gravest."""
    _ = now
    made = {}
    for instance_id, counts in history.count_active(session, instance_ids).items():
        present = [severity for severity in reversed(Severity) if counts[severity]]
        made[instance_id] = Tile(
            label="Alerts",
            value=str(sum(counts.values())),
            tone=TONES[present[0]] if present else "ok",
            hint=", ".join(f"{counts[severity]} {severity}" for severity in present) or "all quiet",
            page="alerts",
        )
    return made


def summary(
    session: Session, instance_ids: Sequence[str], now: datetime
) -> Mapping[str, Mapping[str, Any]]:
    """Active alerts by severity, as REQUIREMENTS P12 asks."""
    _ = now
    counts = history.count_active(session, instance_ids)
    return {
        instance_id: {"activeAlerts": {severity.value: n for severity, n in by_severity.items()}}
        for instance_id, by_severity in counts.items()
    }


panel = Panel(page="monitoring", name="alerts", title="Alerts", order=10, draw=draw_panel)

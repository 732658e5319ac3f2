"""What people see of the requests: a panel of the monitoring page and a tile of the overview."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from mainstay_server.kernel.area import Panel, PanelRequest, Tile
from mainstay_server.tenancy.addresses import project_dsn
from mainstay_server.ui import fragment

from . import columns, service

# Seconds per bucket by the page's time range: about sixty points, whatever the range.
BUCKETS = {1: 60, 6: 300, 24: 1800, 168: 10_800}
TARGET_ERROR_PERCENT = 1.0
TARGET_RESPONSE_MS = 2000


def draw_panel(asked: PanelRequest) -> str:
    """Draw the figures, two charts and the busiest endpoints of the time range."""
    instance, now = asked.instance, asked.now
    since = now - timedelta(hours=asked.hours)
    seconds = BUCKETS.get(asked.hours, 60 * asked.hours)
    series = service.time_series(instance.id, since=since, until=now, seconds=seconds)
    summary, endpoints = service.measure(instance.id, hours=asked.hours, now=now)
    return fragment(
        asked.request,
        "requests/panel.html",
        instance=instance,
        hours=asked.hours,
        dsn=project_dsn(
            asked.request,
            asked.session,
            project_id=instance.project_id,
            number=instance.project_number,
        ),
        summary=summary,
        traffic={
            "times": [bucket.timestamp.timestamp() for bucket in series],
            "series": [
                {"label": "Answered", "values": [b.requests - b.errors for b in series]},
                {
                    "label": "Failed",
                    "values": [bucket.errors for bucket in series],
                    "tone": "critical",
                },
            ],
        },
        latency={
            "times": [bucket.timestamp.timestamp() for bucket in series],
            "series": [
                {
                    "label": "Average",
                    "values": [b.avg_latency if b.requests else None for b in series],
                }
            ],
        },
        lost=columns.count_lost(instance.id, since=since, until=now),
        endpoints=[{**row, "p95": row["percentiles"][1]} for row in endpoints],
        target_error_percent=TARGET_ERROR_PERCENT,
        target_response_ms=TARGET_RESPONSE_MS,
        now=now,
    )


def tiles(_session: Session, instance_ids: Sequence[str], now: datetime) -> Mapping[str, Tile]:
    """Requests and error rate of the last 24 hours, for the overview."""
    return {
        instance_id: Tile(
            label="Requests 24 h",
            value=f"{figures['requests24h']:,}",
            tone=_tone(figures["requestErrorRate24h"]),
            hint=f"{figures['requestErrorRate24h']:.2f} % errors",
            page="monitoring",
        )
        for instance_id, figures in service.summaries(instance_ids, now=now).items()
    }


def summary(
    _session: Session, instance_ids: Sequence[str], now: datetime
) -> Mapping[str, Mapping[str, Any]]:
    """The last 24 hours of requests, for the summaries of instances."""
    return service.summaries(instance_ids, now=now)


def _tone(error_percent: float) -> str:
    if error_percent >= 5 * TARGET_ERROR_PERCENT:
        return "critical"
    return "warn" if error_percent >= TARGET_ERROR_PERCENT else "neutral"


panel = Panel(page="monitoring", name="metrics", title="Requests", order=30, draw=draw_panel)

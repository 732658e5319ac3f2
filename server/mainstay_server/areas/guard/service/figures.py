"""What people see of the guard: figures of the last hours, and the policy without its secrets."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from mainstay_server.areas.guard import columns

SECRET_MEMBERS = ("pepper", "digest")


def figures_of(instance_id: str, *, hours: int, now: datetime) -> list[dict[str, Any]]:
    """Requests of the last hours by what became of them, most first."""
    return columns.figures(instance_id, since=now - timedelta(hours=hours), until=now)


def without_secrets(document: Mapping[str, Any]) -> dict[str, Any]:
    """A policy as people may see it: nothing by which a key could be tried."""
    shown = dict(document)
    keys = shown.get("keys")
    if isinstance(keys, Mapping):
        shown["keys"] = {
            name: [{k: v for k, v in key.items() if k not in SECRET_MEMBERS} for key in value]
            if name == "keys"
            else value
            for name, value in keys.items()
            if name not in SECRET_MEMBERS
        }
    return shown


def traffic(instance_id: str, *, hours: int, now: datetime) -> dict[str, Any]:
    """Passed and refused over the last hours in about sixty steps, as charts take it."""
    step = max(60, hours * 60 // 60 * 60)
    since = now - timedelta(hours=hours)
    rows = {
        row["begins"]: row
        for row in columns.series(instance_id, since=since, until=now, step_seconds=step)
    }
    times = list(range(int(since.timestamp()) // step * step, int(now.timestamp()) + 1, step))
    refused = [rows[at]["refused"] if at in rows else 0 for at in times]
    passed = [rows[at]["total"] - rows[at]["refused"] if at in rows else 0 for at in times]
    return {
        "times": times,
        "series": [
            {"label": "Passed", "values": passed},
            {"label": "Refused", "values": refused, "tone": "warn"},
        ],
    }

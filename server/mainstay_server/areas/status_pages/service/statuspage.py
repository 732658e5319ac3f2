"""Statuspage's public API, version 2: the same shapes, so that what reads it reads ours."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from mainstay_server.areas.status_pages.models import ComponentStatus
from mainstay_server.areas.status_pages.schemas.facts import (
    ComponentFacts,
    GroupFacts,
    MaintenanceFacts,
    PageFacts,
    ReportFacts,
    UpdateFacts,
)
from mainstay_server.kernel.clock import rfc3339

from .standing import BADNESS, ahead, open_reports, overall_of, under_way, worse
from .words import Words

MOST_LISTED = 50

Json = dict[str, Any]


def names() -> tuple[str, ...]:
    """The eight documents, as they follow `/api/v2/`."""
    return tuple(f"{name}.json" for name in _DOCUMENTS)


def document(facts: PageFacts, name: str) -> bytes | None:
    """One of the eight documents; None for another name."""
    make = _DOCUMENTS.get(name.removesuffix(".json")) if name.endswith(".json") else None
    if make is None:
        return None
    return msgspec.json.encode({"page": _page(facts), **make(facts)})


def _summary(facts: PageFacts) -> Json:
    return {
        **_components(facts),
        "incidents": [_incident(facts, each) for each in open_reports(facts)],
        "scheduled_maintenances": _maintenances(facts, (*under_way(facts), *ahead(facts))),
        **_status(facts),
    }


def _status(facts: PageFacts) -> Json:
    overall = overall_of(facts)
    return {"status": {"indicator": overall.indicator, "description": overall.description}}


def _components(facts: PageFacts) -> Json:
    made = [_component(facts, each) for each in facts.components]
    return {"components": made + [_group(facts, group) for group in facts.groups]}


def _incidents(facts: PageFacts) -> Json:
    return {"incidents": [_incident(facts, each) for each in facts.reports[:MOST_LISTED]]}


def _unresolved(facts: PageFacts) -> Json:
    return {"incidents": [_incident(facts, each) for each in open_reports(facts)]}


def _all_maintenances(facts: PageFacts) -> Json:
    return {"scheduled_maintenances": _maintenances(facts, facts.maintenances[:MOST_LISTED])}


def _upcoming(facts: PageFacts) -> Json:
    return {"scheduled_maintenances": _maintenances(facts, ahead(facts))}


def _active(facts: PageFacts) -> Json:
    return {"scheduled_maintenances": _maintenances(facts, under_way(facts))}


_DOCUMENTS: Mapping[str, Callable[[PageFacts], Json]] = {
    "summary": _summary,
    "status": _status,
    "components": _components,
    "incidents": _incidents,
    "incidents/unresolved": _unresolved,
    "scheduled-maintenances": _all_maintenances,
    "scheduled-maintenances/upcoming": _upcoming,
    "scheduled-maintenances/active": _active,
}


def _page(facts: PageFacts) -> Json:
    return {
        "id": facts.id,
        "name": facts.name,
        "url": facts.url,
        "time_zone": facts.time_zone,
        "updated_at": rfc3339(facts.made_at),
    }


def _component(facts: PageFacts, component: ComponentFacts) -> Json:
    # The format has no word for what is not known; it calls nothing an outage without a reason.
    unknown = component.status is ComponentStatus.UNKNOWN
    return {
        "id": component.id,
        "name": component.name,
        "status": ComponentStatus.OPERATIONAL if unknown else component.status,
        "created_at": rfc3339(component.created_at),
        "updated_at": rfc3339(max(component.changed_at, component.since or component.changed_at)),
        "position": component.position + 1,
        "description": component.description or None,
        "showcase": facts.shows_uptime,
        "start_date": component.created_at.date().isoformat(),
        "group_id": component.group_id or None,
        "page_id": facts.id,
        "group": False,
        "only_show_if_degraded": component.only_if_degraded,
    }


def _group(facts: PageFacts, group: GroupFacts) -> Json:
    inside = [each for each in facts.components if each.group_id == group.id]
    status = ComponentStatus.OPERATIONAL
    for each in inside:
        if each.status in BADNESS:
            status = worse(status, each.status)
    if inside and all(each.status is ComponentStatus.MAINTENANCE for each in inside):
        status = ComponentStatus.MAINTENANCE
    return {
        "id": group.id,
        "name": group.name,
        "status": status,
        "created_at": rfc3339(group.created_at),
        "updated_at": rfc3339(group.changed_at),
        "position": group.position + 1,
        "description": None,
        "showcase": False,
        "start_date": None,
        "group_id": None,
        "page_id": facts.id,
        "group": True,
        "only_show_if_degraded": False,
        "components": [each.id for each in inside],
    }


def _incident(facts: PageFacts, report: ReportFacts) -> Json:
    affected = [each for each in facts.components if each.id in report.affected]
    codes: list[Json] = [
        {
            "code": each.id,
            "name": each.name,
            "old_status": report.affected[each.id],
            "new_status": report.affected[each.id],
        }
        for each in affected
    ]
    return {
        "id": report.id,
        "name": report.title,
        "status": report.status,
        "created_at": rfc3339(report.created_at),
        "updated_at": rfc3339(report.changed_at),
        "monitoring_at": _first(report.updates, "monitoring"),
        "resolved_at": rfc3339(report.resolved_at) if report.resolved_at else None,
        "impact": report.impact,
        "shortlink": f"{facts.url}/incidents/{report.id}",
        "started_at": rfc3339(report.started_at),
        "page_id": facts.id,
        "incident_updates": [_update(report.id, each, codes) for each in report.updates],
        "components": [_component(facts, each) for each in affected],
        "reminder_intervals": None,
    }


def _maintenances(facts: PageFacts, found: Iterable[MaintenanceFacts]) -> list[Json]:
    untitled = Words(facts.language, facts.time_zone)("maintenance")
    return [_maintenance(facts, each, each.title or untitled) for each in found]


def _maintenance(facts: PageFacts, maintenance: MaintenanceFacts, title: str) -> Json:
    ended = maintenance.status == "completed"
    affected = [each for each in facts.components if each.id in maintenance.component_ids]
    return {
        "id": maintenance.id,
        "name": title,
        "status": maintenance.status,
        "created_at": rfc3339(maintenance.created_at),
        "updated_at": rfc3339(maintenance.changed_at),
        "monitoring_at": None,
        "resolved_at": rfc3339(maintenance.ends_at) if ended else None,
        "impact": "maintenance",
        "shortlink": facts.url,
        "started_at": rfc3339(maintenance.starts_at),
        "page_id": facts.id,
        "incident_updates": [_update(maintenance.id, each, []) for each in maintenance.updates],
        "components": [_component(facts, each) for each in affected],
        "scheduled_for": rfc3339(maintenance.starts_at),
        "scheduled_until": rfc3339(maintenance.ends_at),
        "reminder_intervals": None,
    }


def _update(about: str, update: UpdateFacts, codes: list[Json]) -> Json:
    said = rfc3339(update.said_at)
    return {
        "id": update.id,
        "status": update.status,
        "body": update.body,
        "incident_id": about,
        "created_at": said,
        "updated_at": said,
        "display_at": said,
        "affected_components": codes or None,
        "deliver_notifications": True,
        "custom_tweet": None,
        "tweet_id": None,
    }


def _first(updates: Iterable[UpdateFacts], status: str) -> str | None:
    moments: list[datetime] = [each.said_at for each in updates if each.status == status]
    return rfc3339(min(moments)) if moments else None

"""How a component and a whole page stand: the worse of what was watched and what was told."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from mainstay_server.areas.status_pages.models import ComponentStatus, Impact
from mainstay_server.areas.status_pages.schemas.facts import (
    ComponentFacts,
    MaintenanceFacts,
    PageFacts,
    ReportFacts,
)
from mainstay_server.kernel.watching import State

OF_STATE = {
    State.HEALTHY: ComponentStatus.OPERATIONAL,
    State.DEGRADED: ComponentStatus.DEGRADED,
    State.UNHEALTHY: ComponentStatus.MAJOR_OUTAGE,
}
BADNESS = {
    ComponentStatus.UNKNOWN: 0,
    ComponentStatus.OPERATIONAL: 1,
    ComponentStatus.DEGRADED: 2,
    ComponentStatus.PARTIAL_OUTAGE: 3,
    ComponentStatus.MAJOR_OUTAGE: 4,
}
# A page's indicator by its worst component; Statuspage's API knows these four.
OF_WORST = {
    ComponentStatus.DEGRADED: Impact.MINOR,
    ComponentStatus.PARTIAL_OUTAGE: Impact.MAJOR,
    ComponentStatus.MAJOR_OUTAGE: Impact.MAJOR,
}
DESCRIPTIONS = {
    Impact.NONE: "All Systems Operational",
    Impact.MINOR: "Partially Degraded Service",
    Impact.MAJOR: "Partial System Outage",
    Impact.CRITICAL: "Major Service Outage",
}


class Overall(NamedTuple):
    """A page in one word: how bad, whether it is only maintenance, whether anything is known."""

    indicator: Impact
    in_maintenance: bool
    is_known: bool

    @property
    def description(self) -> str:
        """Statuspage's sentence for it."""
        if self.indicator is Impact.NONE and self.in_maintenance:
            return "Service Under Maintenance"
        return DESCRIPTIONS[self.indicator]


def of_state(state: str) -> ComponentStatus:
    """What a watched state is called on a page; unknown where nobody could see."""
    return OF_STATE.get(State(state), ComponentStatus.UNKNOWN)


def worse(one: ComponentStatus, other: ComponentStatus) -> ComponentStatus:
    """The worse of two; what is known is worse than nothing."""
    return max(one, other, key=lambda status: BADNESS[status])


def overall_of(facts: PageFacts) -> Overall:
    """How the whole page stands: critical only when everything that is known is fully down."""
    known = [c.status for c in facts.components if c.status is not ComponentStatus.UNKNOWN]
    maintained = ComponentStatus.MAINTENANCE in known
    counted = [status for status in known if status is not ComponentStatus.MAINTENANCE]
    impacts = [Impact(report.impact) for report in open_reports(facts)]
    impacts += [OF_WORST.get(status, Impact.NONE) for status in counted]
    if counted and all(status is ComponentStatus.MAJOR_OUTAGE for status in counted):
        impacts.append(Impact.CRITICAL)
    indicator = max(impacts, key=lambda impact: impact.rank, default=Impact.NONE)
    active = any(m.status == "in_progress" for m in facts.maintenances)
    return Overall(indicator, maintained or active, bool(known) or not facts.components)


def open_reports(facts: PageFacts) -> list[ReportFacts]:
    """The incidents that are not over, the newest first."""
    return [report for report in facts.reports if report.resolved_at is None]


def is_shown(component: ComponentFacts) -> bool:
    """Whether people see a component: those that are shown only in trouble hide while well."""
    well = (ComponentStatus.OPERATIONAL, ComponentStatus.UNKNOWN)
    return not component.only_if_degraded or component.status not in well


def ahead(facts: PageFacts) -> list[MaintenanceFacts]:
    """The maintenances that have not begun, the next first."""
    coming = [each for each in facts.maintenances if each.status == "scheduled"]
    return sorted(coming, key=lambda each: each.starts_at)


def under_way(facts: PageFacts) -> list[MaintenanceFacts]:
    """The maintenances that last now."""
    return [each for each in facts.maintenances if each.status == "in_progress"]


def earliest(moments: Iterable[datetime], *, after: datetime, latest: datetime) -> datetime:
    """The next of some moments, but not later than the latest."""
    return min((moment for moment in (*moments, latest) if moment > after), default=latest)

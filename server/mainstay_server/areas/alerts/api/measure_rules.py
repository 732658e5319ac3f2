"""Rules over measures through HTTP: what can be compared, what holds, and writing rules."""

from datetime import datetime
from typing import Annotated

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.schemas.measure_rules import (
    MeasureAnswer,
    MeasureList,
    MeasureRuleAnswer,
    MeasureRuleChange,
    MeasureRuleList,
    MeasureRulePreview,
    MeasureRulePreviewBody,
    MeasureRuleValue,
    NewMeasureRule,
    PreviewedAlert,
    PreviewedFiring,
    PreviewedValue,
)
from mainstay_server.areas.alerts.service.measures import effective, measure_rules, previews
from mainstay_server.areas.alerts.service.measures.measure_rules import RuleSeen
from mainstay_server.areas.alerts.service.measures.replaying import Spell, Worst
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, page_within
from mainstay_server.kernel.problems import NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Cursor, Limit, Router, example
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef, find_instance

router = Router()

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]

RULE = {
    "id": "0193a5c2-7d1e-7c6b-9a3f-2f7d4c1b8e90",
    "name": "Checkout is slow",
    "instanceId": "0193a5c0-11aa-7b2c-8d3e-4f5a6b7c8d9e",
    "measure": "requests.p95_ms",
    "part": "/checkout",
    "compares": "above",
    "levels": [
        {"severity": "warning", "threshold": 800, "clear": 700},
        {"severity": "critical", "threshold": 3000, "clear": None},
    ],
    "windowSeconds": 300,
    "forSeconds": 120,
    "clearSeconds": 300,
    "minimumCount": 20,
    "enabled": True,
    "runbook": "",
    "default": None,
    "changedAt": "2026-03-01T12:00:00.000Z",
    "whyOff": None,
    "waitsFor": None,
    "firing": 0,
}
PREVIEW = {
    "ground": "judged",
    "since": "2026-03-01T12:00:00.000Z",
    "until": "2026-03-08T12:00:00.000Z",
    "lookedAtAll": True,
    "hasMoreParts": False,
    "dataSince": "2026-03-01T12:01:00.000Z",
    "judgedMinutes": 9842,
    "count": 1,
    "alerts": 2,
    "firingNow": None,
    "firings": [
        {
            "part": "/checkout",
            "severity": "critical",
            "beganAt": "2026-03-04T09:12:00.000Z",
            "endedAt": "2026-03-04T09:31:00.000Z",
            "durationSeconds": 1140,
            "worst": {"value": 4210.5, "at": "2026-03-04T09:20:00.000Z", "part": "/checkout"},
            "alerts": [
                {"at": "2026-03-04T09:12:00.000Z", "severity": "warning"},
                {"at": "2026-03-04T09:19:00.000Z", "severity": "critical"},
            ],
        }
    ],
    "worst": {"value": 4210.5, "at": "2026-03-04T09:20:00.000Z", "part": "/checkout"},
    "now": {"value": 210.0, "at": "2026-03-08T12:00:00.000Z", "part": "/checkout"},
    "nowSeverity": None,
}
MEASURE = {
    "name": "requests.p95_ms",
    "title": "Response time, 95th percentile",
    "unit": "ms",
    "description": "So long took the slowest of twenty requests, or less.",
    "worse": "above",
    "part": "endpoint",
    "counts": "requests",
    "windowed": True,
}


@router.get(
    "/api/projects/{slug}/measures",
    summary="List measures",
    operation_id="list_measures",
    responses=example({"measures": [MEASURE]}),
)
def list_measures(project: Viewed) -> MeasureList:
    """What rules can compare: the numbers that the parts of Mainstay measure of an instance."""
    _ = project
    return MeasureList(
        measures=[
            MeasureAnswer(
                name=measure.name,
                title=measure.title,
                unit=measure.unit,
                description=measure.description,
                worse=measure.worse,
                part=family.part or None,
                counts=family.counts or None,
                windowed=family.windowed,
            )
            for measure, family in effective.measures()
        ]
    )


@router.get(
    "/api/projects/{slug}/measure-rules",
    summary="List rules over measures",
    operation_id="list_measure_rules",
    responses=example({"rules": [RULE], "nextCursor": None}),
)
def list_rules(
    session: Session, project: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> MeasureRuleList:
    """The rules that the project wrote, then the defaults, with what was changed about them."""
    found = measure_rules.list_rules(session, project.id)
    order = {rule.id: f"{place:05}" for place, rule in enumerate(found)}
    page = page_within(found, limit=limit, cursor=cursor, key=lambda rule: (order[rule.id],))
    return MeasureRuleList(
        rules=[answer_of(rule) for rule in page.items], next_cursor=page.next_cursor
    )


@router.post(
    "/api/projects/{slug}/measure-rules",
    status_code=201,
    summary="Write a rule over a measure",
    operation_id="create_measure_rule",
    responses=example(RULE, 201),
)
def create_rule(session: Session, project: Written, body: NewMeasureRule) -> MeasureRuleAnswer:
    """Fire when a measure passes a threshold, or when no data came over a window."""
    instance_id = _own(session, project, body.instance_id)
    value = MeasureRuleValue(**body.model_dump(exclude={"instance_id"}))
    made = measure_rules.create_rule(session, project, instance_id, value, now=utc_now())
    return answer_of(measure_rules.get_rule(session, project.id, made.id))


@router.post(
    "/api/projects/{slug}/measure-rule-preview",
    summary="Preview a rule over a measure",
    operation_id="preview_measure_rule",
    responses=example(PREVIEW),
)
def preview_rule(
    session: Session, project: Written, body: MeasureRulePreviewBody
) -> MeasureRulePreview:
    """How often a rule would have fired over the last seven days of an instance, and when.

    The same judge looks at every minute that looks at rules once they are saved. Nothing is saved.
    """
    instance = _instance(session, project, body.instance_id)
    found = previews.preview(
        session, instance, body, of_instance=body.of == "instance", now=utc_now()
    )
    return MeasureRulePreview(
        ground=found.ground.value,
        since=found.since,
        until=found.until,
        looked_at_all=not found.is_cut,
        has_more_parts=found.has_more_parts,
        data_since=found.data_since,
        judged_minutes=found.judged_minutes,
        count=found.count,
        alerts=found.alerts,
        firing_now=found.firing_now,
        firings=[_firing(spell, found.until) for spell in found.spells],
        worst=_previewed(found.worst),
        now=_previewed(found.now),
        now_severity=found.now_severity,
    )


@router.patch(
    "/api/projects/{slug}/measure-rules/{rule_id}",
    summary="Change a rule over a measure",
    operation_id="change_measure_rule",
    responses=example(RULE),
)
def change_rule(
    session: Session, project: Written, rule_id: str, body: MeasureRuleChange
) -> MeasureRuleAnswer:
    """Change a rule; what is left out stays. A default goes by its key."""
    seen = measure_rules.change_rule(session, project, rule_id, body.given(), now=utc_now())
    return answer_of(seen)


@router.delete(
    "/api/projects/{slug}/measure-rules/{rule_id}",
    status_code=204,
    summary="Remove a rule over a measure",
    operation_id="remove_measure_rule",
)
def remove_rule(session: Session, project: Written, rule_id: str) -> None:
    """Remove a rule; of a default, what was changed. What fires by it ends within a minute."""
    measure_rules.remove_rule(session, project, rule_id, now=utc_now())


def answer_of(rule: RuleSeen) -> MeasureRuleAnswer:
    """A rule as the API tells it."""
    default = rule.default
    return MeasureRuleAnswer(
        **rule.value.model_dump(),
        id=rule.id,
        instance_id=rule.instance_id,
        default=default.key if default else None,
        changed_at=rule.changed_at,
        why_off=(default.why_off or None) if default and not rule.value.enabled else None,
        waits_for=(default.waits_for or None) if default else None,
        firing=rule.firing,
    )


def _firing(spell: Spell, until: datetime) -> PreviewedFiring:
    return PreviewedFiring(
        part=spell.part,
        severity=spell.severity,
        began_at=spell.began_at,
        ended_at=spell.ended_at,
        duration_seconds=int(spell.lasted(until).total_seconds()),
        worst=_previewed(spell.worst),
        alerts=[PreviewedAlert(at=at, severity=severity) for at, severity in spell.told],
    )


def _previewed(worst: Worst | None) -> PreviewedValue | None:
    if worst is None:
        return None
    return PreviewedValue(value=worst.value, at=worst.at, part=worst.part)


def _own(session: Session, project: ProjectRef, instance_id: str | None) -> str | None:
    """The instance that a rule is of. Raises `NotFound` unless it is one of the project."""
    return None if instance_id is None else _instance(session, project, instance_id).id


def _instance(session: Session, project: ProjectRef, instance_id: str) -> InstanceRef:
    instance = find_instance(session, instance_id)
    if instance is None or instance.project_id != project.id:
        raise NotFound(f"This project has no instance {instance_id!r}; GET /api/instances.")
    return instance

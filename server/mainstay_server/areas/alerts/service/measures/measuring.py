"""One pass over all rules: each measure is read once for each window, then everything is judged.

What is read does not grow with the rules: a thousand of them over one measure and window are one
question. Judging is arithmetic on what was read, and only a standing that changed is written.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, AlertStatus, AlertType, Severity
from mainstay_server.areas.alerts.models.rules import MeasureRuleState
from mainstay_server.areas.alerts.service.firing import Firing, fire, identity_of, resolve
from mainstay_server.kernel.database import insert
from mainstay_server.kernel.measures import Measure, MeasureFamily
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Instance
from mainstay_server.tenancy.subjects import find_instance

from .effective import Effective, families
from .judging import Change, Place, Question, Readings, Standings
from .thresholds import Phase, Standing

SEEN = "seen"
GONE = "The rule was removed, switched off, or does not apply here any more."


def read_all(session: Session, rules: Sequence[Effective], *, now: datetime) -> Readings:
    """Read what all rules need: one question for each measure's family, window and kind."""
    known = families()
    numbers = {id(family): number for number, family in enumerate(known.values())}
    by_number: dict[int, MeasureFamily] = {}
    readings = Readings()
    for rule in rules:
        family = known[rule.measure]
        number = numbers[id(family)]
        by_number[number] = family
        window = rule.window_seconds if family.windowed else 0
        question = Question(number, window, bool(rule.part))
        readings.questions[rule.id] = question
        readings.found.setdefault(question, {})
    for question, found in readings.found.items():
        since = now - timedelta(seconds=question.window_seconds)
        read = by_number[question.measure_family].read
        for reading in read(session, since=since, until=now, by_part=question.by_part):
            found.setdefault(reading.instance_id, []).append(reading)
    return readings


def load_standings(session: Session) -> Standings:
    """How everything that is not calm stands, in one statement."""
    standings = Standings()
    rows = session.execute(
        sa.select(
            MeasureRuleState.rule,
            MeasureRuleState.instance_id,
            MeasureRuleState.part,
            MeasureRuleState.level,
            MeasureRuleState.phase,
            MeasureRuleState.since,
        )
    )
    for rule, instance_id, part, level, phase, since in rows:
        if level == SEEN:
            standings.seen.add((rule, instance_id))
        else:
            place = Place(rule, instance_id, part)
            standing = Standing(Phase(phase), since)
            standings.of.setdefault(place, {})[Severity(level)] = standing
    return standings


def projects_of_instances(session: Session) -> dict[str, str]:
    """The project of every instance."""
    rows = session.execute(sa.select(Instance.id, Instance.project_id))
    return {instance_id: project_id for instance_id, project_id in rows}  # noqa: C416 - rows are no pairs


def record(
    session: Session,
    changes: Sequence[Change],
    first_seen: Iterable[tuple[str, str]],
    *,
    now: datetime,
) -> int:
    """Write down what changed, and open and end alerts by it; returns how many changed."""
    known = {
        measure.name: (measure, family) for family in _families() for measure in family.measures
    }
    for rule, instance_id in sorted(first_seen):
        row = {"rule": rule, "instance_id": instance_id, "part": "", "level": SEEN}
        session.execute(
            insert(MeasureRuleState).values(**row, phase=SEEN, since=now).on_conflict_do_nothing()
        )
    for change in changes:
        instance = find_instance(session, change.place.instance_id)
        if instance is None:
            continue
        _write(session, change)
        _tell(session, instance, change, known, now=now)
    return len(changes)


def _families() -> list[MeasureFamily]:
    return list({id(family): family for family in families().values()}.values())


def _write(session: Session, change: Change) -> None:
    place = change.place
    key = {"rule": place.rule, "instance_id": place.instance_id, "part": place.part}
    for severity in change.before.keys() - change.after.keys():
        session.execute(sa.delete(MeasureRuleState).filter_by(**key, level=severity.value))
    for severity, standing in change.after.items():
        if change.before.get(severity) != standing:
            values = {"phase": standing.phase.value, "since": standing.since}
            session.execute(
                insert(MeasureRuleState)
                .values(**key, level=severity.value, **values)
                .on_conflict_do_update(
                    index_elements=["rule", "instance_id", "part", "level"], set_=values
                )
            )


def _tell(
    session: Session,
    instance: InstanceRef,
    change: Change,
    known: Mapping[str, tuple[Measure, MeasureFamily]],
    *,
    now: datetime,
) -> None:
    """Open the alert of the gravest level that is on, and end that of the one before."""
    was, is_now = change.told
    if was is is_now:
        return
    opened: str | None = None
    if is_now is not None and change.rule is not None:
        rule = change.rule
        before = _newest(session, instance, _identities(change.place, was)) if was else None
        if before is not None and not change.part_name:
            # Without a reading nobody named the part but the alert that is there.
            change = replace(change, part_name=before.labels.get("part", ""))
        measure, family = known[rule.measure]
        firing = _firing(instance, change, rule, is_now, measure, family)
        is_open = before is not None and before.status == AlertStatus.ACTIVE
        supersedes = before.id if before is not None and is_open else ""
        opened = fire(session, instance, replace(firing, supersedes=supersedes), now=now)
    if was is not None:
        for identity in _identities(change.place, was):
            resolve(
                session,
                instance.id,
                identity,
                resolution=_resolution(change, known),
                superseded_by=opened or "",
                now=now,
            )


def _identities(place: Place, severity: Severity) -> tuple[str, ...]:
    about = _about(place, severity)
    return tuple(
        identity_of(kind, about) for kind in (AlertType.THRESHOLD_PASSED, AlertType.NO_DATA)
    )


def _about(place: Place, severity: Severity) -> str:
    return f"{place.rule}:{place.part}:{severity}"


def _newest(session: Session, instance: InstanceRef, identities: Sequence[str]) -> Alert | None:
    return session.scalar(
        sa.select(Alert)
        .where(Alert.instance_id == instance.id, Alert.identity.in_(identities))
        .order_by(Alert.id.desc())
        .limit(1)
    )


def _firing(
    instance: InstanceRef,
    change: Change,
    rule: Effective,
    severity: Severity,
    measure: Measure,
    family: MeasureFamily,
) -> Firing:
    level = next(level for level in rule.terms.levels if level.severity is severity)
    where = f"{instance.project_slug} {instance.environment}"
    span = f" over the last {shown_span(rule.window_seconds)}" if family.windowed else ""
    part = f" of {family.part} {change.part_name}" if change.part_name else ""
    is_absent = rule.terms.compares == "absent"
    if is_absent:
        message = (
            f"There were no {family.counts or 'data'}{part} for {shown_span(rule.window_seconds)}."
        )
    else:
        value = (
            f"too few {family.counts or 'data'} to tell"
            if change.value is None
            else shown_value(change.value, measure)
        )
        message = (
            f"{measure.title}{part}: {value}{span}; {severity} is"
            f" {rule.terms.compares} {shown_value(level.threshold, measure)}."
        )
    labels = {"rule": rule.name, "measure": measure.name}
    if change.part_name:
        labels["part"] = change.part_name[:200]
    annotations = {"runbook": rule.runbook} if rule.runbook else {}
    if not is_absent:
        annotations["threshold"] = shown_value(level.threshold, measure)
    if change.value is not None and not is_absent:
        annotations["value"] = shown_value(change.value, measure)
    return Firing(
        type=AlertType.NO_DATA if is_absent else AlertType.THRESHOLD_PASSED,
        about=_about(change.place, severity),
        title=f"{where}: {rule.name}{f' ({change.part_name})' if change.part_name else ''}",
        message=message,
        severity=severity,
        labels=labels,
        annotations=annotations,
    )


def _resolution(change: Change, known: Mapping[str, tuple[Measure, MeasureFamily]]) -> str:
    if change.rule is None:
        return GONE
    measure, family = known[change.rule.measure]
    if change.value is None:
        return f"There are too few {family.counts or 'data'} to tell any more."
    if change.rule.terms.compares == "absent":
        return f"There are {family.counts or 'data'} again."
    return f"{measure.title}: {shown_value(change.value, measure)}."


def shown_value(value: float, measure: Measure) -> str:
    """A value with its unit, as people read it."""
    digits = 1 if abs(value) < 100 and value != int(value) else 0  # noqa: PLR2004 - of three figures none more
    units = {"percent": " %", "ms": " ms", "seconds": " s", "hours": " h", "per hour": " an hour"}
    return f"{value:,.{digits}f}{units.get(measure.unit, '')}"


def shown_span(seconds: int) -> str:
    """A window in words."""
    hour = 3600
    if seconds % hour == 0:
        return f"{seconds // hour} h"
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"

"""Rules as they are evaluated: those of all projects, and the defaults beneath."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Severity
from mainstay_server.areas.alerts.models.rules import MeasureRule
from mainstay_server.areas.alerts.schemas.measure_rules import Compares, MeasureRuleFields
from mainstay_server.kernel.area import installed
from mainstay_server.kernel.measures import Measure, MeasureFamily, families_by_measure

from .default_rules import DEFAULT_RULES
from .thresholds import Level, Terms


@dataclass(frozen=True, slots=True)
class Effective:
    """A rule as it is evaluated. `project_id` None is a default, in all but some projects."""

    id: str
    project_id: str | None
    instance_id: str | None
    name: str
    measure: str
    part: str
    window_seconds: int
    terms: Terms
    runbook: str = ""
    not_in: frozenset[str] = frozenset()

    def holds_in(self, project_id: str) -> bool:
        """Whether it is a rule of this project."""
        if self.project_id is None:
            return project_id not in self.not_in
        return self.project_id == project_id


def families() -> dict[str, MeasureFamily]:
    """The family of every measure that an installed area declares, by the measure's name."""
    return families_by_measure([family for area in installed() for family in area.measures])


def measures() -> list[tuple[Measure, MeasureFamily]]:
    """Every measure that can be compared, in the order of areas."""
    return [
        (measure, family)
        for area in installed()
        for family in area.measures
        for measure in family.measures
    ]


def effective_rules(session: Session) -> list[Effective]:
    """Every rule that is on and whose measure somebody declares, in all projects."""
    known = families()
    rows = session.scalars(sa.select(MeasureRule)).all()
    changed: dict[str, set[str]] = {}
    for row in rows:
        if row.default_of:
            changed.setdefault(row.default_of, set()).add(row.project_id)
    own = [_effective(row) for row in rows if row.enabled and row.measure in known]
    defaults = [
        Effective(
            id=key,
            project_id=None,
            instance_id=None,
            name=default.value.name,
            measure=default.value.measure,
            part=default.value.part,
            window_seconds=default.value.window_seconds,
            terms=terms_of(default.value),
            not_in=frozenset(changed.get(key, ())),
        )
        for key, default in DEFAULT_RULES.items()
        if default.value.enabled and default.value.measure in known
    ]
    return [*own, *defaults]


def terms_of(value: MeasureRuleFields) -> Terms:
    """What a rule says of values, as the state machine takes it."""
    return _terms(value, [level.model_dump(mode="json") for level in value.levels])


def _terms(rule: MeasureRuleFields | MeasureRule, levels: Sequence[Mapping[str, Any]]) -> Terms:
    return Terms(
        compares=cast("Compares", rule.compares),
        levels=tuple(
            Level(
                severity=Severity(level["severity"]),
                threshold=level["threshold"],
                clear=level["threshold"] if level.get("clear") is None else level["clear"],
            )
            for level in levels
        ),
        hold=timedelta(seconds=rule.for_seconds),
        calm=timedelta(seconds=rule.clear_seconds),
        minimum_count=rule.minimum_count,
    )


def _effective(row: MeasureRule) -> Effective:
    # Only checked values are stored, so they are not validated again: a thousand rules a minute.
    return Effective(
        id=row.id,
        project_id=row.project_id,
        instance_id=row.instance_id,
        name=row.name,
        measure=row.measure,
        part=row.part,
        window_seconds=row.window_seconds,
        terms=_terms(row, row.levels),
        runbook=row.runbook,
    )

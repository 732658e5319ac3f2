"""Rules over measures: what people write, the defaults beneath, and what holds together."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models.rules import MeasureRule, MeasureRuleState
from mainstay_server.areas.alerts.schemas.measure_rules import (
    EACH_PART,
    LONGEST_NAME,
    MeasureRuleFields,
    MeasureRuleValue,
)
from mainstay_server.areas.alerts.service.runbook_names import check_runbook
from mainstay_server.contracts.alerts.rules import (
    MeasureRuleChanged,
    MeasureRuleCreated,
    MeasureRuleRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.tenancy.models import Instance
from mainstay_server.tenancy.subjects import ProjectRef

from .default_rules import DEFAULT_RULES, DefaultRule
from .effective import families, measures

MOST_RULES = 100
FACTS = tuple(MeasureRuleValue.model_fields)


@dataclass(frozen=True, kw_only=True)
class RuleSeen:
    """A rule as it holds in a project: one of its own, or a default, changed or not."""

    id: str
    value: MeasureRuleValue
    instance_id: str | None = None
    default: DefaultRule | None = None
    changed_at: datetime | None = None
    firing: int = 0


def create_rule(
    session: Session,
    project: ProjectRef,
    instance_id: str | None,
    value: MeasureRuleValue,
    *,
    now: datetime,
) -> MeasureRule:
    """Add a rule to a project, for one instance or for all of them.

    Raises:
        Invalid: nobody declares the measure, or it has no parts.
        Conflict: the name is taken, or there are a hundred rules already.
    """
    _check(session, project.id, value)
    own = [row for row in _rows(session, project.id) if not row.default_of]
    if len(own) >= MOST_RULES:
        raise Conflict(f"There are {MOST_RULES} rules over measures already; remove one first.")
    return _put(session, project, instance_id, value, default_of="", now=now)


def change_rule(
    session: Session,
    project: ProjectRef,
    rule_id: str,
    changes: Mapping[str, Any],
    *,
    now: datetime,
) -> RuleSeen:
    """Change a rule of a project. A default that is changed gets a row of its own there.

    Raises:
        NotFound: the project has no such rule.
        Invalid: together the fields make no sense.
        Conflict: the name is taken.
    """
    before = get_rule(session, project.id, rule_id)
    try:
        value = MeasureRuleValue.model_validate(before.value.model_dump() | dict(changes))
    except ValidationError as error:
        raise _invalid(error) from error
    return write_rule(session, project, before, value, instance_id=before.instance_id, now=now)


def write_rule(
    session: Session,
    project: ProjectRef,
    before: RuleSeen,
    value: MeasureRuleValue,
    *,
    instance_id: str | None,
    now: datetime,
) -> RuleSeen:
    """Let a rule be exactly so; raises as `change_rule` does."""
    _check(session, project.id, value)
    row = session.get(MeasureRule, before.id)
    if row is None:
        key = before.default.key if before.default else ""
        made = _put(session, project, None, value, default_of=key, now=now)
        return get_rule(session, project.id, made.id)
    _refuse_taken(session, project.id, value.name, but=row.id)
    was = _facts(before.value)
    _fill(row, value)
    row.instance_id, row.changed_at = instance_id, now
    session.flush()
    changes = changes_between(was, _facts(value))
    say(session, MeasureRuleChanged(**_named(row), changes=changes), now=now)
    return get_rule(session, project.id, row.id)


def remove_rule(session: Session, project: ProjectRef, rule_id: str, *, now: datetime) -> None:
    """Remove a rule; of a default, forget what was changed. What fires by it ends by itself.

    Raises:
        NotFound: the project has no such rule.
        Conflict: it is a default as it ships; it can be switched off.
    """
    found = get_rule(session, project.id, rule_id)
    row = session.get(MeasureRule, found.id)
    if row is None:
        raise Conflict("This rule ships with Mainstay; switch it off instead of removing it.")
    changes = changes_between(_facts(found.value), {})
    say(session, MeasureRuleRemoved(**_named(row), changes=changes), now=now)
    session.delete(row)
    session.flush()


def get_rule(session: Session, project_id: str, rule_id: str) -> RuleSeen:
    """One rule of a project by its id, or a default by its key. Raises `NotFound`."""
    found = (rule for rule in list_rules(session, project_id) if rule_id in _names_of(rule))
    rule = next(found, None)
    if rule is None:
        raise NotFound(f"This project has no rule {rule_id!r}; GET …/measure-rules lists them.")
    return rule


def list_rules(session: Session, project_id: str) -> list[RuleSeen]:
    """The rules that a project wrote by name, then the defaults; at most 100 and those."""
    rows = _rows(session, project_id)
    firing = _firing(session, project_id)
    seen = {row.default_of or row.id: _seen(row, firing) for row in rows}
    own = [rule for rule in seen.values() if rule.default is None]
    defaults = [
        seen.get(key)
        or RuleSeen(id=key, value=default.value, default=default, firing=firing.get(key, 0))
        for key, default in DEFAULT_RULES.items()
    ]
    return [*own, *defaults]


def value_of(row: MeasureRule) -> MeasureRuleValue:
    """A row as somebody would write it."""
    return MeasureRuleValue.model_validate({name: getattr(row, name) for name in FACTS})


def _check(session: Session, project_id: str, value: MeasureRuleValue) -> None:
    check_measured(value)
    check_runbook(session, project_id, value.runbook)


def check_measured(value: MeasureRuleFields) -> None:
    """Refuse a measure that nobody declares, and what cannot be asked of it. Raises `Invalid`."""
    dormant = {rule.value.measure for rule in DEFAULT_RULES.values()}
    family = families().get(value.measure)
    if family is None and value.measure not in dormant:
        known = ", ".join(measure.name for measure, _ in measures())
        raise Invalid.of_field("measure", f"measure must be one of {known}.")
    if value.part and family is not None and not family.part:
        raise Invalid.of_field("part", f"{value.measure} is of whole instances; leave part empty.")
    if value.compares == "absent" and family is not None and not family.windowed:
        raise Invalid.of_field(
            "compares", f"{value.measure} is always there; compare it above or below."
        )
    if value.compares == "absent" and value.part == EACH_PART:
        raise Invalid.of_field(
            "part", "What is absent has no parts; name one, or leave part empty."
        )


def _rows(session: Session, project_id: str) -> Sequence[MeasureRule]:
    return session.scalars(
        sa.select(MeasureRule)
        .where(MeasureRule.project_id == project_id)
        .order_by(MeasureRule.name)
        .limit(MOST_RULES + len(DEFAULT_RULES))
    ).all()


def _firing(session: Session, project_id: str) -> dict[str, int]:
    """At how many places each rule fires, by the rule."""
    mine = sa.select(MeasureRule.id).where(MeasureRule.project_id == project_id)
    instances = sa.select(Instance.id).where(Instance.project_id == project_id)
    rows = session.execute(
        sa.select(MeasureRuleState.rule, sa.func.count())
        .where(
            MeasureRuleState.phase.in_(("firing", "clearing")),
            sa.or_(
                MeasureRuleState.rule.in_(mine),
                sa.and_(
                    MeasureRuleState.rule.in_(tuple(DEFAULT_RULES)),
                    MeasureRuleState.instance_id.in_(instances),
                ),
            ),
        )
        .group_by(MeasureRuleState.rule)
    )
    return {rule: count for rule, count in rows}  # noqa: C416 - rows are no pairs


def _put(
    session: Session,
    project: ProjectRef,
    instance_id: str | None,
    value: MeasureRuleValue,
    *,
    default_of: str,
    now: datetime,
) -> MeasureRule:
    _refuse_taken(session, project.id, value.name, but=default_of)
    row = MeasureRule(
        id=new_id(),
        organization_id=project.organization_id,
        project_id=project.id,
        instance_id=instance_id,
        default_of=default_of,
        created_at=now,
        changed_at=now,
    )
    _fill(row, value)
    session.add(row)
    session.flush()
    before = _facts(DEFAULT_RULES[default_of].value) if default_of else {}
    changes = changes_between(before, _facts(value))
    kind = MeasureRuleChanged if default_of else MeasureRuleCreated
    say(session, kind(**_named(row), changes=changes), now=now)
    return row


def _fill(row: MeasureRule, value: MeasureRuleValue) -> None:
    for name in FACTS:
        setattr(row, name, getattr(value, name))
    row.levels = [level.model_dump(mode="json") for level in value.levels]


def _refuse_taken(session: Session, project_id: str, name: str, *, but: str) -> None:
    taken = {
        rule.value.name for rule in list_rules(session, project_id) if but not in _names_of(rule)
    }
    if name in taken:
        raise Conflict(f"There is a rule {name[:LONGEST_NAME]!r}; give this one another name.")


def _names_of(rule: RuleSeen) -> Collection[str]:
    return {rule.id, rule.default.key} if rule.default else {rule.id}


def _seen(row: MeasureRule, firing: Mapping[str, int]) -> RuleSeen:
    return RuleSeen(
        id=row.id,
        value=value_of(row),
        instance_id=row.instance_id,
        default=DEFAULT_RULES.get(row.default_of),
        changed_at=row.changed_at,
        firing=firing.get(row.id, 0),
    )


def _facts(value: MeasureRuleValue) -> dict[str, object]:
    facts = value.model_dump(mode="json")
    facts["levels"] = [_spoken(level) for level in facts["levels"]]
    return facts


def _spoken(level: Mapping[str, Any]) -> str:
    ends = "" if level["clear"] is None else f", ends at {level['clear']:g}"
    return f"{level['severity']} from {level['threshold']:g}{ends}"


def _named(row: MeasureRule) -> dict[str, str]:
    return {
        "organization_id": row.organization_id,
        "project_id": row.project_id,
        "instance_id": row.instance_id or "",
        "rule_id": row.id,
        "name": row.name,
    }


def _invalid(error: ValidationError) -> Invalid:
    first = error.errors()[0]
    place = ".".join(str(step) for step in first["loc"]) or "levels"
    return Invalid.of_field(place, f"{first['msg'].removeprefix('Value error, ')}.")

"""Rules of inhibition as people set them: which alerts are not told while a graver one stands."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models.routing import AlertInhibition
from mainstay_server.contracts.alerts.routing import (
    AlertInhibitionChanged,
    AlertInhibitionCreated,
    AlertInhibitionRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.problems import Conflict

from .checking import checked_labels, checked_name, kept_matchers
from .ground import MOST_INHIBITIONS
from .named import get_named, remove_named, say_made, saying_changes

FACTS = ("name", "source", "target", "equal", "enabled")


def create_inhibition(
    session: Session, about: tuple[str, str], wanted: Mapping[str, Any], *, now: datetime
) -> AlertInhibition:
    """Say which alerts mute which, for `(organization id, project id)`.

    Raises:
        Invalid: matchers that cannot be read, or that fit everything.
        Conflict: the name is there already, or a hundred rules are.
    """
    organization_id, project_id = about
    present = inhibitions_of(session, project_id)
    if len(present) >= MOST_INHIBITIONS:
        raise Conflict(f"There are {MOST_INHIBITIONS} rules already; remove one first.")
    name = checked_name(wanted["name"], {one.name for one in present})
    rule = AlertInhibition(
        id=new_id(),
        organization_id=organization_id,
        project_id=project_id,
        name=name,
        source=kept_matchers("source", wanted["source"], empty=False),
        target=kept_matchers("target", wanted["target"], empty=False),
        equal=checked_labels("equal", wanted.get("equal", ())),
        enabled=wanted.get("enabled", True),
        created_at=now,
    )
    session.add(rule)
    session.flush()
    say_made(session, rule, FACTS, AlertInhibitionCreated, now=now)
    return rule


def change_inhibition(
    session: Session, rule: AlertInhibition, changes: Mapping[str, Any], *, now: datetime
) -> AlertInhibition:
    """Change a rule of inhibition; what is left out stays. Raises as `create_inhibition` does."""
    values = dict(changes)
    if "name" in values:
        others = {one.name for one in inhibitions_of(session, rule.project_id)} - {rule.name}
        values["name"] = checked_name(values["name"], others)
    for field in ("source", "target"):
        if field in values:
            values[field] = kept_matchers(field, values[field], empty=False)
    if "equal" in values:
        values["equal"] = checked_labels("equal", values["equal"])
    with saying_changes(session, rule, FACTS, AlertInhibitionChanged, now=now):
        for name, value in values.items():
            setattr(rule, name, value)
    return rule


def remove_inhibition(session: Session, rule: AlertInhibition, *, now: datetime) -> None:
    """Remove a rule of inhibition; what it held back and still lasts is told."""
    remove_named(session, rule, FACTS, AlertInhibitionRemoved, now=now)


def inhibitions_of(session: Session, project_id: str) -> Sequence[AlertInhibition]:
    """A project's own rules of inhibition, oldest first; at most 100, by the limit on making."""
    return session.scalars(
        sa.select(AlertInhibition)
        .where(AlertInhibition.project_id == project_id)
        .order_by(AlertInhibition.id)
        .limit(MOST_INHIBITIONS)
    ).all()


def get_inhibition(session: Session, project_id: str, rule_id: str) -> AlertInhibition:
    """A rule of inhibition of a project. Raises `NotFound`."""
    missing = "There is no such rule; GET …/alert-inhibitions lists them."
    return get_named(session, AlertInhibition, project_id, rule_id, missing=missing)

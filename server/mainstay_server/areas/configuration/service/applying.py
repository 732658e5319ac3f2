"""Documents applied: one transaction, one at a time per project, all of it or nothing."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.configuration.models import ConfigurationApplied
from mainstay_server.areas.configuration.schemas import Action, Asked, Plan, Step
from mainstay_server.contracts.configuration import ConfigurationApplied as Applied
from mainstay_server.kernel.configured import Configured, ConfiguredProject, Held
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import origin, say
from mainstay_server.kernel.problems import Conflict, Problem
from mainstay_server.tenancy.models import Project
from mainstay_server.tenancy.subjects import ProjectRef, instances_of_project

from . import claiming
from .checking import fault
from .planning import plan_document, refuse_for_members
from .reading import Document, read_document

MOST_APPLIED_KEPT = 100
LONGEST_NAME = 200

ACTIONS: tuple[Action, ...] = ("create", "change", "remove")


def about(session: Session, project: ProjectRef) -> ConfiguredProject:
    """A project as kinds see it, with its present instances."""
    instances = instances_of_project(session, project.id)
    return ConfiguredProject(
        id=project.id,
        slug=project.slug,
        organization_id=project.organization_id,
        instances={one.environment: one for one in instances},
    )


def plan(
    session: Session, project: ProjectRef, asked: Asked, *, may_administer: bool, now: datetime
) -> Plan:
    """What `apply` would do now, tried to its end and undone: what passes here passes there.

    Raises what `apply` raises.
    """
    document = read_document(asked.document, asked.variables)
    with session.begin_nested() as tried:
        made = _carry_out(session, project, document, asked, may_administer=may_administer, now=now)
        tried.rollback()
    return made


def apply(
    session: Session, project: ProjectRef, asked: Asked, *, may_administer: bool, now: datetime
) -> Plan:
    """Make the project what the document says, and remember by whom.

    Two that apply to one project wait for each other: the project's row is locked first. Nothing
    is said of an apply that changed nothing, and nothing is left of one that is refused.

    Raises:
        Invalid: the document is refused; with paths and lines.
        Forbidden: it removes what is for administrators.
        Conflict: the plan is not the one whose fingerprint was given; or what a kind refuses.
    """
    document = read_document(asked.document, asked.variables)
    made = _carry_out(session, project, document, asked, may_administer=may_administer, now=now)
    _remember(session, project, made, now=now)
    return made


def _carry_out(
    session: Session,
    project: ProjectRef,
    document: Document,
    asked: Asked,
    *,
    may_administer: bool,
    now: datetime,
) -> Plan:
    session.execute(sa.select(Project.id).where(Project.id == project.id).with_for_update())
    target = about(session, project)
    made = plan_document(session, target, document, asked)
    if asked.fingerprint and asked.fingerprint != made.fingerprint:
        raise Conflict(
            "Something was changed since this plan was made; look at the new one and agree to it.",
            code="plan-outdated",
        )
    if not may_administer:
        refuse_for_members(made)
    gone = [step for step in made.steps if step.action == "remove"]
    for step in reversed([step for step in gone if not step.kind.guarded]):
        _remove(session, target, step, now=now)
    claims = _write_all(session, target, document, made, now=now)
    for step in reversed([step for step in gone if step.kind.guarded]):
        _remove(session, target, step, now=now)
    session.flush()
    claiming.let_go(session, project.id, [(s.kind.name, s.held.id) for s in gone if s.held])
    claiming.claim(session, project.id, made.owner, claims, now=now)
    return made


def _write_all(
    session: Session, target: ConfiguredProject, document: Document, made: Plan, *, now: datetime
) -> list[claiming.Thing]:
    """Make and change, kind by kind; gives all that the document holds now."""
    claims = [(kind.name, held.id) for kind, held in made.same]
    by_kind: dict[str, tuple[Configured, list[Step]]] = {}
    for step in made.steps:
        if step.wanted is not None:
            by_kind.setdefault(step.kind.name, (step.kind, []))[1].append(step)
    for kind, steps in by_kind.values():
        wrote = [
            Held(id=_write(session, target, document, step, now=now), shape=step.wanted)
            for step in steps
            if step.wanted is not None
        ]
        if kind.finish is not None:
            kind.finish(session, target, wrote, now)
        claims += [(kind.name, held.id) for held in wrote]
    return claims


def _write(
    session: Session, target: ConfiguredProject, document: Document, step: Step, *, now: datetime
) -> str:
    """Write one thing; what its kind refuses is told with the path and line of the document."""
    held_id = step.held.id if step.held else None
    try:
        return step.kind.write(session, target, step.wanted, held_id, now)
    except Problem as problem:
        faults = [
            fault(document, (*step.path, *str(one.get("field", "")).split(".")), _what(one))
            for one in problem.errors
        ] or [fault(document, step.path, f"is refused: {problem.detail}")]
        raise type(problem)(
            f"The document is refused; {faults[0]['message']}",
            errors=faults,
            code=problem.code,
        ) from problem


def _remove(session: Session, target: ConfiguredProject, step: Step, *, now: datetime) -> None:
    assert step.held is not None, "only what is there is removed"
    step.kind.remove(session, target, step.held, now)


def _what(error: Mapping[str, Any]) -> str:
    """The message of a fault without the name of its field, which the path says."""
    field = str(error.get("field", ""))
    message = str(error.get("message", ""))
    return message.removeprefix(f"{field} ").removeprefix(f"{field.rpartition('.')[2]} ")


def _remember(session: Session, project: ProjectRef, made: Plan, *, now: datetime) -> None:
    who = origin()
    created, changed, removed = map(made.count, ACTIONS)
    row = ConfigurationApplied(
        id=new_id(),
        project_id=project.id,
        owner=made.owner,
        applied_at=now,
        actor=who.actor,
        actor_name=(who.name or who.actor)[:LONGEST_NAME],
        created=created,
        changed=changed,
        removed=removed,
        unchanged=len(made.same),
    )
    session.add(row)
    session.flush()
    _forget_oldest(session, project.id)
    if made.steps or made.adopted:
        event = Applied(
            organization_id=project.organization_id,
            project_id=project.id,
            slug=project.slug,
            owner=made.owner,
            created=created,
            changed=changed,
            removed=removed,
        )
        say(session, event, now=now)


def _forget_oldest(session: Session, project_id: str) -> None:
    kept = (
        sa.select(ConfigurationApplied.id)
        .where(ConfigurationApplied.project_id == project_id)
        .order_by(ConfigurationApplied.applied_at.desc(), ConfigurationApplied.id.desc())
        .limit(MOST_APPLIED_KEPT)
    )
    session.execute(
        sa.delete(ConfigurationApplied).where(
            ConfigurationApplied.project_id == project_id,
            ConfigurationApplied.id.not_in(kept),
        )
    )

"""Components and their groups: what stands on a page, in which order, bound to what."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.status_pages.models import (
    ComponentStatus,
    StatusComponent,
    StatusGroup,
    StatusManualSpell,
    StatusPage,
)
from mainstay_server.contracts.status_pages import (
    StatusComponentChanged,
    StatusComponentCreated,
    StatusComponentRemoved,
    StatusGroupChanged,
    StatusGroupCreated,
    StatusGroupRemoved,
    StatusPageChanged,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound

from .changing import record_change
from .pages import about
from .subjects import find_subjects

Placed = TypeVar("Placed", StatusComponent, StatusGroup)

MOST_COMPONENTS = 200
MOST_GROUPS = 50
SETTABLE = (
    "name",
    "description",
    "group_id",
    "position",
    "subject_id",
    "manual_status",
    "only_if_degraded",
)


def list_components(session: Session, page_id: str) -> Sequence[StatusComponent]:
    """The components of a page in their order; at most 200."""
    return session.scalars(
        sa.select(StatusComponent)
        .where(StatusComponent.page_id == page_id)
        .order_by(StatusComponent.position, StatusComponent.id)
    ).all()


def list_groups(session: Session, page_id: str) -> Sequence[StatusGroup]:
    """The groups of a page in their order; at most 50."""
    return session.scalars(
        sa.select(StatusGroup)
        .where(StatusGroup.page_id == page_id)
        .order_by(StatusGroup.position, StatusGroup.id)
    ).all()


def get_component(session: Session, page: StatusPage, component_id: str) -> StatusComponent:
    """One component of a page. Raises `NotFound` when the page has no such component."""
    found = session.get(StatusComponent, component_id)
    if found is None or found.page_id != page.id:
        raise NotFound("The page has no such component; its list has the ids of all.")
    return found


def get_group(session: Session, page: StatusPage, group_id: str) -> StatusGroup:
    """One group of a page. Raises `NotFound` when the page has no such group."""
    found = session.get(StatusGroup, group_id)
    if found is None or found.page_id != page.id:
        raise NotFound("The page has no such group; its list has the ids of all.")
    return found


def add_component(
    session: Session, page: StatusPage, wanted: Mapping[str, Any], *, now: datetime
) -> StatusComponent:
    """Put a component at the end of a page, or of its group.

    Raises:
        Conflict: the page has 200.
        Invalid: there is no such group or subject.
    """
    if _count(session, StatusComponent, page) >= MOST_COMPONENTS:
        raise Conflict(f"A page has at most {MOST_COMPONENTS} components; remove one first.")
    component = StatusComponent(
        id=new_id(),
        page_id=page.id,
        position=_next_position(session, StatusComponent, page),
        manual_status=ComponentStatus.OPERATIONAL,
        created_at=now,
        changed_at=now,
        **_checked(session, page, wanted),
    )
    session.add(component)
    session.flush()
    _open_spell(session, component, now=now)
    made = changes_between({}, facts_of(component, ("name", "subject_id")))
    say(session, StatusComponentCreated(**_about(page, component), changes=made), now=now)
    record_change(session, page.id, now=now)
    return component


def change_component(
    session: Session,
    page: StatusPage,
    component: StatusComponent,
    changes: Mapping[str, Any],
    *,
    now: datetime,
) -> None:
    """Change what is given; a status by hand begins a new spell of it.

    Raises:
        Invalid: there is no such group or subject.
        Conflict: the status of a component that is bound to something is not set by hand.
    """
    before = facts_of(component, SETTABLE)
    given = {name: value for name, value in changes.items() if value is not None}
    status = given.pop("status", None)
    for name, value in _checked(session, page, given).items():
        setattr(component, name, value)
    if status is not None and component.subject_id:
        raise Conflict("What is watched sets this status; unbind the component to set it by hand.")
    if status is not None and status != component.manual_status:
        component.manual_status = ComponentStatus(status)
        _open_spell(session, component, now=now)
    component.changed_at = now
    session.flush()
    changed = changes_between(before, facts_of(component, SETTABLE))
    say(session, StatusComponentChanged(**_about(page, component), changes=changed), now=now)
    record_change(session, page.id, now=now)


def remove_component(
    session: Session, page: StatusPage, component: StatusComponent, *, now: datetime
) -> None:
    """Take a component off a page; what was watched for it goes on being watched."""
    gone = changes_between(facts_of(component, ("name", "subject_id")), {})
    say(session, StatusComponentRemoved(**_about(page, component), changes=gone), now=now)
    session.delete(component)
    record_change(session, page.id, now=now)


def add_group(session: Session, page: StatusPage, name: str, *, now: datetime) -> StatusGroup:
    """Put a heading at the end of a page. Raises `Conflict` when it has 50."""
    if _count(session, StatusGroup, page) >= MOST_GROUPS:
        raise Conflict(f"A page has at most {MOST_GROUPS} groups; remove one first.")
    group = StatusGroup(
        id=new_id(),
        page_id=page.id,
        name=name,
        position=_next_position(session, StatusGroup, page),
        created_at=now,
        changed_at=now,
    )
    session.add(group)
    session.flush()
    made = changes_between({}, facts_of(group, ("name",)))
    say(session, StatusGroupCreated(**_about_group(page, group), changes=made), now=now)
    record_change(session, page.id, now=now)
    return group


def rename_group(
    session: Session, page: StatusPage, group: StatusGroup, name: str, *, now: datetime
) -> None:
    """Call a group otherwise."""
    before = facts_of(group, ("name",))
    group.name, group.changed_at = name, now
    changed = changes_between(before, facts_of(group, ("name",)))
    say(session, StatusGroupChanged(**_about_group(page, group), changes=changed), now=now)
    record_change(session, page.id, now=now)


def remove_group(session: Session, page: StatusPage, group: StatusGroup, *, now: datetime) -> None:
    """Remove a heading; its components stay, without a group."""
    gone = changes_between(facts_of(group, ("name",)), {})
    say(session, StatusGroupRemoved(**_about_group(page, group), changes=gone), now=now)
    session.execute(
        sa.update(StatusComponent).where(StatusComponent.group_id == group.id).values(group_id=None)
    )
    session.delete(group)
    record_change(session, page.id, now=now)


def put_in_order(
    session: Session,
    page: StatusPage,
    *,
    component_ids: Sequence[str] = (),
    group_ids: Sequence[str] = (),
    now: datetime,
) -> None:
    """Give components and groups the order of these lists; those that are left out come after.

    Raises:
        Invalid: a list names what is not on the page.
    """
    before = _order(session, page)
    _place(list_components(session, page.id), component_ids, "componentIds")
    _place(list_groups(session, page.id), group_ids, "groupIds")
    session.flush()
    changed = changes_between({"order": before}, {"order": _order(session, page)})
    say(session, StatusPageChanged(**about(page), changes=changed), now=now)
    record_change(session, page.id, now=now)


def _order(session: Session, page: StatusPage) -> list[str]:
    return [component.name for component in list_components(session, page.id)]


def _place(things: Sequence[Placed], ids: Sequence[str], field: str) -> None:
    known = {thing.id for thing in things}
    strange = [one for one in ids if one not in known]
    if strange:
        raise Invalid(f"{field} names {strange[0][:40]!r}, which is not on the page.")
    wanted = {one: position for position, one in enumerate(ids)}
    ordered = sorted(things, key=lambda thing: (wanted.get(thing.id, len(ids)), thing.position))
    for position, thing in enumerate(ordered):
        thing.position = position


def _checked(session: Session, page: StatusPage, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What is wanted, as the columns have it, once its group and subject are known to be there."""
    checked = dict(wanted)
    if "group_id" in checked:
        group_id = checked["group_id"] or None
        if group_id is not None:
            get_group(session, page, group_id)
        checked["group_id"] = group_id
    subject_id = checked.get("subject_id")
    if subject_id and subject_id not in find_subjects(session, page.organization_id, [subject_id]):
        raise Invalid.of_field("subjectId", "subjectId is no health check or heartbeat of yours.")
    return checked


def _open_spell(session: Session, component: StatusComponent, *, now: datetime) -> None:
    """End the spell that lasts, and begin one of the status that was set."""
    session.execute(
        sa.update(StatusManualSpell)
        .where(StatusManualSpell.component_id == component.id, StatusManualSpell.ended_at.is_(None))
        .values(ended_at=now)
    )
    session.add(
        StatusManualSpell(
            id=new_id(),
            component_id=component.id,
            status=component.manual_status,
            started_at=now,
        )
    )
    session.flush()


def _count(
    session: Session, kind: type[StatusComponent] | type[StatusGroup], page: StatusPage
) -> int:
    return session.scalar(sa.select(sa.func.count()).where(kind.page_id == page.id)) or 0


def _next_position(
    session: Session, kind: type[StatusComponent] | type[StatusGroup], page: StatusPage
) -> int:
    last = session.scalar(sa.select(sa.func.max(kind.position)).where(kind.page_id == page.id))
    return 0 if last is None else last + 1


def _about(page: StatusPage, component: StatusComponent) -> dict[str, str]:
    return {**about(page), "component_id": component.id, "name": component.name}


def _about_group(page: StatusPage, group: StatusGroup) -> dict[str, str]:
    return {**about(page), "group_id": group.id, "name": group.name}

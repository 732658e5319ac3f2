"""What a document may hold of status pages: their settings, groups and components in order.

A page belongs to an organization and may show several projects. A document of one project holds
those that show nothing of another.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import sqlalchemy as sa
from pydantic import Field, model_validator
from sqlalchemy.orm import Session
from typing_extensions import Self

from mainstay_server.kernel.configured import Configured, ConfiguredProject, Held, Shape
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.watching import ids_by_name, ids_named, names_by_id
from mainstay_server.kernel.web import Body

from .models import StatusComponent, StatusGroup, StatusPage, Visibility
from .schemas.bodies import (
    MOST_AUTO_REPORT_MINUTES,
    Accent,
    Host,
    NetworkList,
    ShownName,
    Slug,
    Zone,
)
from .service import components, pages
from .service.components import MOST_COMPONENTS, MOST_GROUPS

Visible = Literal["public", "password", "allowlist", "members"]
USUAL_ACCENT = "#2360c4"
VISIBLE: Mapping[Visibility, Visible] = {
    Visibility.PUBLIC: "public",
    Visibility.PASSWORD: "password",
    Visibility.ALLOWLIST: "allowlist",
    Visibility.MEMBERS: "members",
}
OF_PARTS = {"groups", "components"}


class ComponentShape(Body):
    """One line of a page. Without a subject its status is set by hand, and no document tells it."""

    name: ShownName
    description: str = Field("", max_length=500)
    group: str = Field("", max_length=100, description="The name of a group of the page.")
    subject: str = Field(
        "", max_length=165, description="A health check or heartbeat as instance/name."
    )
    only_if_degraded: bool = False


class StatusPageShape(Shape):
    """One status page. A password is set by hand, since only its digest is kept."""

    KEY: ClassVar[tuple[str, ...]] = ("slug",)

    slug: Slug
    name: ShownName
    host: Host = ""
    description: str = Field("", max_length=2000)
    published: bool = False
    visibility: Visible = "public"
    networks: NetworkList = Field(default_factory=list)
    language: Literal["en", "de"] = "en"
    time_zone: Zone = "UTC"
    theme: Literal["auto", "light", "dark"] = "auto"
    accent: Accent = USUAL_ACCENT
    shows_uptime: bool = True
    shows_charts: bool = False
    names_windows: bool = False
    is_indexed: bool = True
    auto_report_minutes: int = Field(0, ge=0, le=MOST_AUTO_REPORT_MINUTES)
    takes_emails: bool = True
    takes_webhooks: bool = False
    groups: Annotated[list[ShownName], Field(max_length=MOST_GROUPS)] = Field(
        default_factory=list, description="The headings in their order."
    )
    components: Annotated[list[ComponentShape], Field(max_length=MOST_COMPONENTS)] = Field(
        default_factory=list, description="The lines in their order."
    )

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        names = [each.name for each in self.components]
        if len(set(names)) < len(names) or len(set(self.groups)) < len(self.groups):
            raise ValueError("components and groups have names of their own within a page")
        strange = [each.group for each in self.components if each.group not in ("", *self.groups)]
        if strange:
            raise ValueError(f"a component is in the group {strange[0]!r}; name it under groups")
        return self


def export_pages(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """The pages of the organization that show nothing of its other projects."""
    names = names_by_id(session, project)
    bound = _bound(session, project)
    return [
        Held(id=page.id, shape=_shape(session, page, names))
        for page in pages.list_pages(session, project.organization_id)
        if all(subject in names for subject in bound.get(page.id, ()))
    ]


def write_page(
    session: Session,
    project: ConfiguredProject,
    wanted: StatusPageShape,
    page_id: str | None,
    now: datetime,
) -> str:
    """Make a page or change it, with exactly these groups and components in this order."""
    if page_id is None:
        page = pages.create_page(
            session,
            project.organization_id,
            name=wanted.name,
            slug=wanted.slug,
            description=wanted.description,
            now=now,
        )
    else:
        page = pages.get_page(session, page_id)
    if wanted.visibility == "password" and not page.password_hash:
        raise Invalid.of_field(
            "visibility", "visibility: set a password by hand first; a document cannot hold it"
        )
    pages.change_page(session, page, wanted.model_dump(exclude=OF_PARTS), now=now)
    groups = _write_groups(session, page, wanted.groups, now=now)
    subjects = ids_by_name(session, project)
    lines = _write_components(session, page, wanted.components, groups, subjects, now=now)
    components.put_in_order(
        session, page, component_ids=lines, group_ids=list(groups.values()), now=now
    )
    return page.id


def remove_page(session: Session, project: ConfiguredProject, held: Held, now: datetime) -> None:
    """Remove a page with everything that was told on it."""
    _ = project  # the page is of its organization
    pages.remove_page(session, pages.get_page(session, held.id), now=now)


def _write_groups(
    session: Session, page: StatusPage, wanted: Sequence[str], *, now: datetime
) -> dict[str, str]:
    """Have exactly these headings; gives their ids by name, in their order."""
    present = {group.name: group for group in components.list_groups(session, page.id)}
    for name, group in present.items():
        if name not in wanted:
            components.remove_group(session, page, group, now=now)
    found: dict[str, str] = {}
    for name in wanted:
        group = present.get(name) or components.add_group(session, page, name, now=now)
        found[name] = group.id
    session.flush()
    return found


def _write_components(
    session: Session,
    page: StatusPage,
    wanted: Sequence[ComponentShape],
    groups: Mapping[str, str],
    subjects: Mapping[str, Sequence[str]],
    *,
    now: datetime,
) -> list[str]:
    """Have exactly these lines; gives their ids in their order."""
    present = {each.name: each for each in components.list_components(session, page.id)}
    kept = {each.name for each in wanted}
    for name, component in present.items():
        if name not in kept:
            components.remove_component(session, page, component, now=now)
    ids = []
    for number, each in enumerate(wanted):
        values: dict[str, Any] = {
            "name": each.name,
            "description": each.description,
            "group_id": groups.get(each.group, ""),
            "subject_id": _subject_id(subjects, each.subject, number),
            "only_if_degraded": each.only_if_degraded,
        }
        there = present.get(each.name)
        if there is None:
            there = components.add_component(session, page, values, now=now)
        else:
            components.change_component(session, page, there, values, now=now)
        ids.append(there.id)
    session.flush()
    return ids


def _shape(session: Session, page: StatusPage, names: Mapping[str, str]) -> StatusPageShape:
    groups: Sequence[StatusGroup] = components.list_groups(session, page.id)
    by_id = {group.id: group.name for group in groups}
    lines = [
        ComponentShape.model_construct(
            name=each.name,
            description=each.description,
            group=by_id.get(each.group_id or "", ""),
            subject=names.get(each.subject_id, ""),
            only_if_degraded=each.only_if_degraded,
        )
        for each in components.list_components(session, page.id)
    ]
    values = {
        name: getattr(page, name)
        for name in StatusPageShape.model_fields
        if name not in OF_PARTS | {"host", "visibility"}
    }
    return StatusPageShape.model_construct(
        host=page.host or "",
        visibility=VISIBLE[Visibility(page.visibility)],
        groups=[group.name for group in groups],
        components=lines,
        **values,
    )


def _subject_id(subjects: Mapping[str, Sequence[str]], name: str, number: int) -> str:
    """The id of what has that name, of two the first; empty for a line that is set by hand."""
    return ids_named(subjects, name, field=f"components.{number}.subject")[0] if name else ""


def _bound(session: Session, project: ConfiguredProject) -> Mapping[str, list[str]]:
    """What the components of the organization's pages are bound to, by page."""
    rows = session.execute(
        sa.select(StatusComponent.page_id, StatusComponent.subject_id)
        .join(StatusPage, StatusPage.id == StatusComponent.page_id)
        .where(
            StatusPage.organization_id == project.organization_id, StatusComponent.subject_id != ""
        )
    )
    found: dict[str, list[str]] = {}
    for page_id, subject_id in rows:
        found.setdefault(page_id, []).append(subject_id)
    return found


STATUS_PAGES = Configured(
    name="statusPages",
    title="status page",
    order=40,
    shape=StatusPageShape,
    export=export_pages,
    write=write_page,
    remove=remove_page,
    guarded=True,
    administered=frozenset(StatusPageShape.model_fields) - OF_PARTS - {"slug", "description"},
)

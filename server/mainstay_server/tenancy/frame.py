"""What stands around every page: the menu, the instance, the time range, and what was just done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mainstay_server.kernel.area import MenuEntry, installed
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import sign, unsign
from mainstay_server.ui import FLASH_COOKIE

from .access import is_secure
from .callers import Caller
from .models import Role
from .subjects import ProjectRef, instances_of_project

HOURS = ((1, "1h"), (6, "6h"), (24, "24h"), (168, "7d"))
DEFAULT_HOURS = 24
FLASH_SECONDS = 30
LONGEST_FLASH = 500
GROUPS = ("observe", "respond", "guard", "keep", "ship")
OF_PROJECT = "project"  # what stands beside the project's settings


@dataclass(frozen=True)
class Flash:
    """One sentence about what was just done. Tones: ok, warn, critical, info."""

    text: str
    tone: str


def project_frame(
    request: Request, session: Session, project: ProjectRef, *, page: str, now: datetime
) -> dict[str, Any]:
    """The context of a project's page, for a template that extends `tenancy/project.html`.

    `page` is what follows `/dashboard/projects/{slug}/`. Gives `project`, `instances`, `instance`
    (the one in `?instance=`, by id or environment, or else `production`), `hours` (`?hours=`: 1, 6,
    24 or 168), `menu`, `caller`, `may_write`, `now` and what the template itself needs.
    """
    instances = instances_of_project(session, project.id)
    instance = chosen_instance(request, instances)
    return {
        "project": project,
        "instances": instances,
        "instance": instance,
        "hours": chosen_hours(request),
        "hour_choices": HOURS,
        "menu": _menu(project, page=page, kept=_kept(request)),
        "current_page": page,
        "caller": request.state.caller,
        "may_write": may_write(request),
        "now": now,
        "flashes": flashes(request),
    }


def organization_frame(request: Request, *, page: str, now: datetime) -> dict[str, Any]:
    """The context of a page that is about no project; `page` follows `/dashboard`."""
    caller: Caller = request.state.caller
    declared = sorted(
        (entry for area in installed() for entry in area.organization_menu),
        key=lambda entry: entry.order,
    )
    organization, account = "/dashboard/organization", "/dashboard/account"
    return {
        "menu": _groups(
            (
                _item("Projects", "/dashboard", "home", current=page == ""),
                _item("Organization", organization, "people", current=page == "organization"),
                *(
                    _item(
                        each.label, f"/dashboard/{each.page}", each.icon, current=page == each.page
                    )
                    for each in declared
                    if caller.role.covers(Role(each.role))
                ),
                _item("Your account", account, "person", current=page == "account"),
            )
        ),
        "caller": request.state.caller,
        "may_write": may_write(request),
        "now": now,
        "flashes": flashes(request),
    }


def chosen_instance(request: Request, instances: Sequence[InstanceRef]) -> InstanceRef:
    """The instance that the page is about: named in `?instance=`, or the first (`production`)."""
    wanted = request.query_params.get("instance", "")
    return next((i for i in instances if wanted in (i.id, i.environment)), instances[0])


def chosen_hours(request: Request) -> int:
    """The time range that all parts of the page share, in hours."""
    wanted = request.query_params.get("hours", "")
    return next((hours for hours, _ in HOURS if str(hours) == wanted), DEFAULT_HOURS)


def may_write(request: Request) -> bool:
    """Whether the one who asks may change what belongs to a project."""
    caller: Caller = request.state.caller
    return caller.role.covers(Role.MEMBER)


def may_administer(request: Request) -> bool:
    """Whether the one who asks may change who gets in, and what guards a project."""
    caller: Caller = request.state.caller
    return caller.role.covers(Role.ADMIN)


def redirect_with(path: str, text: str, tone: str = "ok") -> Response:
    """Send the browser on to a page of ours (303) that says what was done, once, for a moment."""
    answer = RedirectResponse(path, status_code=303)
    answer.set_cookie(
        FLASH_COOKIE,
        sign([text[:LONGEST_FLASH], tone], purpose="flash"),
        max_age=FLASH_SECONDS,
        path=urlsplit(path).path,
        httponly=True,
        samesite="lax",
        secure=is_secure(),
    )
    return answer


def done_or_refused(
    session: Session, act: Callable[[], object], *, path: str, done: str
) -> Response:
    """Do it and go back to the page, which says what was done or why not.

    What was refused half way leaves nothing behind.
    """
    try:
        with session.begin_nested():
            act()
    except Problem as problem:
        return redirect_with(path, problem.detail, "critical")
    return redirect_with(path, done)


def flashes(request: Request) -> tuple[Flash, ...]:
    """What the redirect that led here had to say."""
    cookie = request.cookies.get(FLASH_COOKIE, "")
    said = unsign(cookie, purpose="flash", max_age_seconds=FLASH_SECONDS) if cookie else None
    return (Flash(*said),) if isinstance(said, list) else ()


def _menu(project: ProjectRef, *, page: str, kept: str) -> Sequence[Mapping[str, Any]]:
    """The rail of a project's pages: what installed areas declare, by group, between our own."""
    base = f"/dashboard/projects/{project.slug}"
    declared = [entry for area in installed() for entry in area.menu]

    def item(entry: MenuEntry) -> Mapping[str, Any]:
        current = entry.page == page or page.startswith(entry.page + "/")
        return _item(entry.label, f"{base}/{entry.page}{kept}", entry.icon, current=current)

    by_group = {
        group: [item(e) for e in sorted(declared, key=lambda e: e.order) if e.group == group]
        for group in sorted({e.group for e in declared}, key=_group_order)
    }
    beside_settings = by_group.pop(OF_PROJECT, [])
    ours = [
        _item("All projects", "/dashboard", "home", current=False),
        _item(
            "Monitoring",
            f"{base}/monitoring{kept}",
            "pulse",
            current=page == "monitoring",
            shortcut="g m",
        ),
    ]
    if any(panel.page == "security" for area in installed() for panel in area.panels):
        ours.append(
            _item("Security", f"{base}/security{kept}", "shield", current=page == "security")
        )
    settings = _item("Settings", f"{base}/settings", "settings", current=page == "settings")
    return [
        *_groups(ours),
        *({"title": group.capitalize(), "items": items} for group, items in by_group.items()),
        {"title": "Project", "items": [*beside_settings, settings]},
    ]


def _group_order(group: str) -> tuple[int, str]:
    return (GROUPS.index(group.lower()) if group.lower() in GROUPS else len(GROUPS), group)


def _groups(items: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return [{"title": "", "items": items}]


def _item(
    label: str, url: str, icon: str, *, current: bool, shortcut: str = ""
) -> Mapping[str, Any]:
    return {"label": label, "url": url, "icon": icon, "current": current, "shortcut": shortcut}


def _kept(request: Request) -> str:
    """The choice of instance and time range, which stays when people go from page to page."""
    kept = {
        name: request.query_params[name]
        for name in ("instance", "hours")
        if name in request.query_params
    }
    return f"?{urlencode(kept)}" if kept else ""

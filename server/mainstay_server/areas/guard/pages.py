"""What people see of the guard: a panel of the security page, and the page with its settings."""

from typing import Annotated, Any

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.area import MenuEntry, Panel, PanelRequest
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.guard import policy_version
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url, dsn_with_secret
from mainstay_server.tenancy.frame import (
    done_or_refused,
    may_administer,
    project_frame,
    redirect_with,
)
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import fragment, render

from .models import GuardSettings
from .schemas import ClientSection, CorsSection, GuardSettingsBody, SettingsForm
from .service import figures, keys, settings

router = Router(include_in_schema=False)

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]
AdministeredInstance = Annotated[InstanceRef, access.instance(Role.ADMIN)]
Text = Annotated[str, Form(max_length=5000)]

MOST_KEYS_SHOWN = 50
MIB = 1 << 20
OUTCOMES = {
    "": "passed",
    "address-not-allowed": "not on the allowlist",
    "banned": "banned",
    "body-too-large": "body too large",
    "insufficient-scope": "scope missing",
    "key-address-not-allowed": "key used from elsewhere",
    "key-expired": "key expired",
    "key-malformed": "no key of ours",
    "key-missing": "no key",
    "key-unknown": "key unknown",
    "limiter-unavailable": "limiter away",
    "quota-exceeded": "quota used up",
    "rate-limited": "rate limited",
}


@router.get("/dashboard/projects/{slug}/guard")
def show_guard(request: Request, session: Session, project: Viewed) -> Response:
    """The guard of the chosen instance: how to connect, its mode and settings, its keys."""
    return _page(request, session, project)


@router.post("/dashboard/projects/{slug}/guard/keys")
def create_key(
    request: Request, session: Session, project: Administered, name: Text = ""
) -> Response:
    """Make a guard key and show its DSN on the answering page, the only one that ever does."""
    try:
        with session.begin_nested():
            _, key = keys.create_key(session, project, name=name[:100], now=utc_now())
    except Problem as problem:
        return redirect_with(_path(project), problem.detail, "critical")
    made = dsn_with_secret(session, base_url(request), project, key)
    return _page(request, session, project, new_dsn=made, new_key=key)


@router.post("/dashboard/projects/{slug}/guard/keys/{key_id}/revoke")
def revoke_key(session: Session, project: Administered, key_id: str) -> Response:
    """Have a guard key open nothing any more."""
    return done_or_refused(
        session,
        lambda: keys.revoke_key(session, project, key_id, now=utc_now()),
        path=_path(project),
        done="The guard key was revoked.",
    )


@router.post("/dashboard/projects/{slug}/guard/{instance_id}/settings")
def change_settings(
    session: Session, instance: AdministeredInstance, form: Annotated[SettingsForm, Form()]
) -> Response:
    """Change the mode, the proxies in front, the body limit and the origins of an instance."""
    return done_or_refused(
        session,
        lambda: settings.change_settings(
            session,
            instance,
            _as_body(form, settings.find_settings(session, instance.id)),
            now=utc_now(),
        ),
        path=instance.page("guard"),
        done="Changed. Apps follow within a second.",
    )


def draw_panel(asked: PanelRequest) -> str:
    """What became of the instance's requests in the page's time range."""
    found = figures.figures_of(asked.instance.id, hours=asked.hours, now=asked.now)
    return fragment(
        asked.request,
        "guard/panel.html",
        instance=asked.instance,
        hours=asked.hours,
        mode=settings.find_settings(asked.session, asked.instance.id).mode,
        traffic=figures.traffic(asked.instance.id, hours=asked.hours, now=asked.now),
        live_keys=keys.count_live(asked.session, asked.instance.project_id),
        **_counted(found),
    )


panel = Panel(page="security", name="guard", title="Guard", order=10, draw=draw_panel)
menu = MenuEntry(label="Guard", page="guard", icon="shield", group="guard", order=5)


def _as_body(form: SettingsForm, kept: GuardSettings) -> GuardSettingsBody:
    """What the form changes; what it does not show stays."""
    client = {
        **kept.client,
        "trustedHops": form.trusted_hops,
        "trustedNetworks": form.trusted_networks.split(),
    }
    origins = form.cors_origins.split()
    cors = {**(kept.cors or {}), "origins": origins}
    return GuardSettingsBody(
        mode=form.mode,
        client=ClientSection.model_validate(client),
        most_body_bytes=form.most_body_mib * MIB,
        cors=CorsSection.model_validate(cors) if origins else None,
    )


def _counted(found: list[dict[str, Any]]) -> dict[str, Any]:
    refused = [row for row in found if row["refusal"]]
    return {
        "total": sum(row["total"] for row in found),
        "refused": sum(row["total"] for row in refused if not row["simulated"]),
        "would_refuse": sum(row["total"] for row in refused if row["simulated"]),
        "outcomes": refused,
        "OUTCOMES": OUTCOMES,
    }


def _page(
    request: Request, session: Session, project: ProjectRef, *, new_dsn: str = "", new_key: str = ""
) -> Response:
    now = utc_now()
    frame = project_frame(request, session, project, page="guard", now=now)
    instance: InstanceRef = frame["instance"]
    return render(
        request,
        "guard/guard.html",
        **frame,
        guard=settings.find_settings(session, instance.id),
        version=policy_version(session, instance.id),
        keys=keys.list_keys(session, project.id, limit=MOST_KEYS_SHOWN, cursor="").items,
        may_administer=may_administer(request),
        new_dsn=new_dsn,
        new_key=new_key,
        server=base_url(request),
        most_body_mib=MIB,
        **_counted(figures.figures_of(instance.id, hours=frame["hours"], now=now)),
    )


def _path(project: ProjectRef) -> str:
    return f"/dashboard/projects/{project.slug}/guard"

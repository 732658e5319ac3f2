"""A project's settings: its name, instances, ingest keys, and its end."""

from typing import Annotated

from fastapi import Form
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid, NotFound
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url, dsn
from mainstay_server.tenancy.frame import done_or_refused, project_frame
from mainstay_server.tenancy.models import Instance, Role
from mainstay_server.tenancy.service import instances, keys, projects
from mainstay_server.tenancy.service.instances import Asking
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import render

from .forms import LONGEST_FIELD, Text

router = Router()


class InstanceForm(BaseModel):
    """The form of one instance, as browsers send it: text, empty where nothing was filled in."""

    url: str = Field("", max_length=LONGEST_FIELD)
    health_path: str = Field("", max_length=LONGEST_FIELD)
    interval_seconds: str = Field("", max_length=LONGEST_FIELD)
    timeout_seconds: str = Field("", max_length=LONGEST_FIELD)
    degraded_after_ms: str = Field("", max_length=LONGEST_FIELD)


Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]
Owned = Annotated[ProjectRef, access.project(Role.OWNER)]


@router.get("/dashboard/projects/{slug}/settings")
def show_settings(request: Request, session: Session, project: Viewed, edit: str = "") -> Response:
    """Everything about a project that can be set; `edit` opens one instance's form."""
    view = projects.view_project(session, project)
    base = base_url(request)
    role = request.state.caller.role
    return render(
        request,
        "tenancy/settings.html",
        **project_frame(request, session, project, page="settings", now=utc_now()),
        rows=view.instances,
        edited=next((each for each in view.instances if each.id == edit), None),
        keys=[
            (key, dsn(base, key.key, project.number)) for key in keys.list_keys(session, project.id)
        ],
        dsn=dsn(base, view.ingest_key, project.number),
        may_administer=role.covers(Role.ADMIN),
        may_delete=role is Role.OWNER,
    )


@router.post("/dashboard/projects/{slug}/settings/name")
def rename(session: Session, project: Written, name: Text = "") -> Response:
    """Give the project another name."""
    return done_or_refused(
        session,
        lambda: projects.rename_project(session, project, name=name, now=utc_now()),
        path=_path(project),
        done="The name was changed.",
    )


@router.post("/dashboard/projects/{slug}/settings/instances")
def create_instance(
    session: Session, project: Written, environment: Text = "", url: Text = ""
) -> Response:
    """Make an instance by hand."""
    return done_or_refused(
        session,
        lambda: instances.create_instance(
            session, project.id, environment, Asking(url=url), now=utc_now()
        ),
        path=_path(project),
        done=f"The instance {environment.strip()} was made.",
    )


@router.post("/dashboard/projects/{slug}/settings/instances/{instance_id}")
def change_instance(
    session: Session,
    project: Written,
    instance_id: str,
    form: Annotated[InstanceForm, Form()],
) -> Response:
    """Say where an instance runs and how it is asked."""

    def change() -> None:
        _own(session, project, instance_id)
        asking = Asking(
            url=form.url,
            health_path=form.health_path,
            interval_seconds=_number(form.interval_seconds, "intervalSeconds"),
            timeout_seconds=_number(form.timeout_seconds, "timeoutSeconds"),
            degraded_after_ms=_number(form.degraded_after_ms, "degradedAfterMs"),
        )
        instances.change_instance(session, instance_id, asking, now=utc_now())

    return done_or_refused(session, change, path=_path(project), done="The instance was changed.")


@router.post("/dashboard/projects/{slug}/settings/instances/{instance_id}/delete")
def delete_instance(session: Session, project: Administered, instance_id: str) -> Response:
    """Remove an instance."""

    def delete() -> None:
        _own(session, project, instance_id)
        instances.delete_instance(session, instance_id, now=utc_now())

    return done_or_refused(session, delete, path=_path(project), done="The instance was deleted.")


@router.post("/dashboard/projects/{slug}/settings/ingest-keys")
def create_key(session: Session, project: Administered, label: Text = "") -> Response:
    """Make one more ingest key."""
    return done_or_refused(
        session,
        lambda: keys.create_key(session, project, label=label or "default", now=utc_now()),
        path=_path(project),
        done="The ingest key was made.",
    )


@router.post("/dashboard/projects/{slug}/settings/ingest-keys/{key_id}/{verb}")
def change_key(session: Session, project: Administered, key_id: str, verb: str) -> Response:
    """Disable, enable or rotate an ingest key."""
    act, done = {
        "disable": (keys.disable_key, "The ingest key was disabled."),
        "enable": (keys.enable_key, "The ingest key was enabled."),
        "rotate": (
            keys.rotate_key,
            "A new ingest key was made; disable the old one when it rests.",
        ),
    }.get(verb, (None, ""))
    if act is None:
        raise NotFound("That cannot be done with an ingest key; go back to the settings.")
    return done_or_refused(
        session,
        lambda: act(session, project, key_id, now=utc_now()),
        path=_path(project),
        done=done,
    )


@router.post("/dashboard/projects/{slug}/settings/delete")
def delete_project(session: Session, project: Owned, confirm: Text = "") -> Response:
    """Delete the project, after its slug was typed."""
    done = confirm == project.slug
    return done_or_refused(
        session,
        lambda: projects.delete_project(session, project, confirm=confirm, now=utc_now()),
        path="/dashboard" if done else _path(project),
        done=f"The project {project.name} was deleted.",
    )


def _path(project: ProjectRef) -> str:
    return f"/dashboard/projects/{project.slug}/settings"


def _own(session: Session, project: ProjectRef, instance_id: str) -> Instance:
    instance = instances.get_instance(session, instance_id)
    if instance.project_id != project.id:
        raise NotFound("The project has no such instance; reload the page.")
    return instance


def _number(text: str, field: str) -> int | None:
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise Invalid(f"{field} must be a whole number; correct it.") from None

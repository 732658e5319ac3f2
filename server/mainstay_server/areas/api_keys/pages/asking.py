"""What asks for keys: paths, scopes, and what holds for all keys of an instance."""

from typing import Annotated

from fastapi import Form
from fastapi.responses import Response
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.api_keys.schemas import ApiKeySettingsBody
from mainstay_server.areas.api_keys.service import asking
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import done_or_refused
from mainstay_server.tenancy.models import Role

from .frame import PREFIX, Text, Viewed, checked, frame_of, page_of

router = Router(include_in_schema=False)

AdministeredInstance = Annotated[InstanceRef, access.instance(Role.ADMIN)]


@router.get(PREFIX + "/paths")
def show_paths(request: Request, session: Session, project: Viewed) -> Response:
    """Which paths ask for a key or a scope."""
    frame = frame_of(request, session, project)
    settings = asking.find_settings(session, frame["instance"].id)
    return page_of(
        request,
        frame,
        "paths",
        settings=settings,
        rules="\n".join(asking.rule_in_words(rule) for rule in settings.scopes),
    )


@router.post(PREFIX + "/paths/{instance_id}")
def change_paths(  # noqa: PLR0913 - the fields of a form
    session: Session,
    instance: AdministeredInstance,
    *,
    required: Text = "",
    public: Text = "",
    rules: Text = "",
    most_per_owner: Annotated[str, Form(max_length=9)] = "",
    rotate_after_days: Annotated[str, Form(max_length=9)] = "",
) -> Response:
    """Put other settings in place of those that held."""

    def change() -> None:
        values = {
            "required": required.split(),
            "public": public.split(),
            "scopes": [rule_of(line) for line in rules.splitlines() if line.strip()],
            "mostPerOwner": most_per_owner,
            "rotateAfterDays": rotate_after_days,
        }
        body = checked(ApiKeySettingsBody, values)
        asking.change_settings(session, instance, body, now=utc_now())

    return done_or_refused(
        session,
        change,
        path=instance.page("api-keys/paths"),
        done="Saved. Every guard follows at once.",
    )


def rule_of(line: str) -> dict[str, list[str]]:
    """A line such as `POST PUT /api/insights insight:write`: methods, paths, then scopes.

    Paths begin with a slash and scopes hold a colon, so each word says what it is.
    """
    words = line.replace(",", " ").split()
    paths = [word for word in words if word.startswith("/")]
    scopes = [word for word in words if ":" in word and not word.startswith("/")]
    methods = [word for word in words if word not in paths and word not in scopes]
    if not paths or not scopes:
        raise Invalid(
            f"The rule {line.strip()[:60]!r} needs a path and a scope; write"
            " POST /api/insights insight:write."
        )
    return {"methods": methods, "paths": paths, "scopes": scopes}

"""What the pages of the keys share: who may, what stands around them, and how forms are read."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from fastapi import Form
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.api_keys.models import ApiKey, Status
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef, instances_of_project
from mainstay_server.ui import render

PREFIX = "/dashboard/projects/{slug}/api-keys"

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]
Text = Annotated[str, Form(max_length=5000)]
Shape = TypeVar("Shape", bound=BaseModel)

# Not "": a form's empty field is taken for one that was not sent.
NEVER = "never"
LIVES = {"30": "30 days", "90": "90 days", "365": "a year", NEVER: "for good"}
GRACES = {"24": "a day", "1": "an hour", "168": "a week", "720": "30 days", "0": "not at all"}
WINDOWS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
WORDS = {seconds: name for name, seconds in WINDOWS.items()}
LIVING = (Status.ACTIVE, Status.ROTATING)

_LIMIT = re.compile(r"(\d{1,10})\s*(?:/|per|an?)\s*(\d{0,7})\s*([a-z]*)", re.IGNORECASE)


def frame_of(request: Request, session: Session, project: ProjectRef) -> dict[str, Any]:
    """What stands around every page of the keys."""
    return project_frame(request, session, project, page="api-keys", now=utc_now())


def page_of(
    request: Request,
    frame: Mapping[str, Any],
    part: str,
    **context: Any,  # noqa: ANN401 - a template's names
) -> Response:
    """One of the pages, with the words that its templates use."""
    return render(
        request,
        f"api_keys/{part}.html",
        **frame,
        part=part,
        base=f"/dashboard/projects/{frame['project'].slug}/api-keys",
        may_administer=request.state.caller.role.covers(Role.ADMIN),
        LIVES=LIVES,
        GRACES=GRACES,
        LIVING=LIVING,
        limits_in_words=limits_in_words,
        **context,
    )


def key_of(session: Session, project: ProjectRef, key_id: str) -> tuple[InstanceRef, ApiKey]:
    """A key of a project, and its instance. Raises `NotFound`."""
    key = session.get(ApiKey, key_id)
    instances = {instance.id: instance for instance in instances_of_project(session, project.id)}
    if key is None or key.instance_id not in instances:
        raise NotFound("This project has no such API key; go back to the list.")
    return instances[key.instance_id], key


def checked(shape: type[Shape], values: Mapping[str, Any]) -> Shape:
    """The values of a form as the API would take them. Raises `Invalid` with the first fault."""
    try:
        return shape.model_validate(values)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise Invalid(f"{place}: {fault['msg']}.") from None


def words_of(text: str) -> list[str]:
    """What is written with spaces, commas or line ends between."""
    return text.replace(",", " ").split()


def end_after(days: str, *, now: datetime) -> datetime | None:
    """The end of a life that was chosen; none for good. Raises `Invalid`."""
    if days not in LIVES:
        raise Invalid("That is no life that a key may have; choose one from the list.")
    return None if days == NEVER else now + timedelta(days=int(days))


def limits_of(text: str) -> list[dict[str, int]]:
    """Limits as people write them, `100/minute, 5000/day` or `5/90s`. Raises `Invalid`."""
    return [_limit_of(part) for part in re.split(r"[,;\n]", text) if part.strip()]


def limits_in_words(limits: Iterable[Mapping[str, Any]]) -> str:
    """The same the other way round."""
    return ", ".join(
        f"{limit['quota']}/{WORDS.get(limit['windowSeconds'], str(limit['windowSeconds']) + 's')}"
        for limit in limits
    )


def _limit_of(text: str) -> dict[str, int]:
    found = _LIMIT.fullmatch(text.strip())
    unit = found[3].lower() if found else ""
    seconds = next(
        (length for name, length in WINDOWS.items() if unit and f"{name}s".startswith(unit)), 0
    )
    if not found or not seconds:
        raise Invalid(f"limits has {text.strip()[:40]!r}; write 100/minute or 5000/day.")
    return {"quota": int(found[1]), "windowSeconds": seconds * int(found[2] or 1)}

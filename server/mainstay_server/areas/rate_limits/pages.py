"""What people see of limits: a panel of the security page, and the page where they are changed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Form
from fastapi.responses import Response
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.kernel.area import MenuEntry, Panel, PanelRequest
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.limits import OnError
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import done_or_refused, may_administer, project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import fragment, render

from .models import By
from .schemas import PRESETS, NewRateLimit, Policy, PolicyForm, RateLimitChange, SwitchForm
from .service import limited, policies

router = Router(include_in_schema=False)

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]

BASE = "/dashboard/projects/{slug}/rate-limits/{instance_id}"
SHOWN_LIMITED = 10
WINDOWS = {1: "second", 60: "minute", 3600: "hour", 86_400: "day"}
BY_WORDS = {
    By.CALLER: "caller: the API key, or else the address",
    By.KEY: "API key",
    By.ADDRESS: "address",
    By.OWNER: "owner of the API key",
    By.PLAN: "plan of the API key",
    By.INSTANCE: "everybody together",
    By.PERSON: "person that the app names",
}
WITHOUT_STORE = {
    OnError.LOCAL: "count in each process",
    OnError.DENY: "let nobody pass (503)",
    OnError.ALLOW: "let everybody pass",
}


@router.get("/dashboard/projects/{slug}/rate-limits")
def show_rate_limits(
    request: Request, session: Session, project: Viewed, edit: str = "", new: str = ""
) -> Response:
    """The limits of the chosen instance, the form of one of them, and whom they held back."""
    now = utc_now()
    frame = project_frame(request, session, project, page="rate-limits", now=now)
    instance: InstanceRef = frame["instance"]
    found = policies.list_policies(session, instance.id)
    edited = next((policy for policy in found if policy.name == edit), None)
    if new:
        edited = Policy(name="", quota=100, window_seconds=60, burst=100)
    return render(
        request,
        "rate_limits/rate_limits.html",
        **frame,
        **_shown(found, instance, hours=frame["hours"], now=now),
        edited=edited,
        may_administer=may_administer(request),
        presets=[preset for name, preset in PRESETS.items() if name not in _names(found)],
        windows=_windows(edited),
        by_choices=[(by.value, words) for by, words in BY_WORDS.items()],
        without_store=[(each.value, words) for each, words in WITHOUT_STORE.items()],
    )


@router.post(f"{BASE}/policies")
def add_policy(
    session: Session, instance: Administered, form: Annotated[PolicyForm, Form()]
) -> Response:
    """Add a limit."""

    def add() -> None:
        wanted = _read(NewRateLimit, {"name": form.name.strip(), **_given(form)})
        policies.create_policy(session, instance, wanted, now=utc_now())

    return _done(session, instance, add, f"{form.name.strip()} holds within a second.")


@router.post(f"{BASE}/policies/{{name}}")
def change_policy(
    session: Session, instance: Administered, name: str, form: Annotated[PolicyForm, Form()]
) -> Response:
    """Change a limit to what the form says."""

    def change() -> None:
        changes = _read(RateLimitChange, _given(form))
        policies.change_policy(
            session, instance, name, changes.model_dump(exclude_none=True), now=utc_now()
        )

    return _done(session, instance, change, f"{name} is changed; apps follow within a second.")


@router.post(f"{BASE}/policies/{{name}}/switch")
def switch_policy(
    session: Session, instance: Administered, name: str, form: Annotated[SwitchForm, Form()]
) -> Response:
    """Switch a limit, or its simulation, on or off."""
    changes: dict[str, Any] = {form.switch: form.to == "on"}
    said = {
        ("enabled", "on"): "holds",
        ("enabled", "off"): "is off",
        ("simulate", "on"): "only simulates: it refuses nobody",
        ("simulate", "off"): "refuses again",
    }[form.switch, form.to]
    return _done(
        session,
        instance,
        lambda: policies.change_policy(session, instance, name, changes, now=utc_now()),
        f"{name} {said}.",
    )


@router.post(f"{BASE}/policies/{{name}}/remove")
def remove_policy(session: Session, instance: Administered, name: str) -> Response:
    """Remove a limit."""
    return _done(
        session,
        instance,
        lambda: policies.remove_policy(session, instance, name, now=utc_now()),
        f"{name} is removed.",
    )


@router.post(f"{BASE}/presets/{{name}}")
def add_preset(session: Session, instance: Administered, name: str) -> Response:
    """Add one of the limits that many want."""
    return _done(
        session,
        instance,
        lambda: policies.add_preset(session, instance, name, now=utc_now()),
        f"{name} holds within a second.",
    )


def draw_panel(asked: PanelRequest) -> str:
    """The limits of an instance, and whom they held back in the page's range."""
    found = policies.list_policies(asked.session, asked.instance.id)
    return fragment(
        asked.request,
        "rate_limits/panel.html",
        **_shown(found, asked.instance, hours=asked.hours, now=asked.now),
        instance=asked.instance,
        hours=asked.hours,
        may_administer=may_administer(asked.request),
    )


def rate_in_words(policy: Policy) -> str:
    """`100 a minute`, `10 in 15 minutes`, with the burst where it is another number."""
    seconds = policy.window_seconds
    unit = max(size for size in WINDOWS if seconds % size == 0)
    count = seconds // unit
    words = f"{WINDOWS[unit]}s" if count > 1 else WINDOWS[unit]
    every = f"in {count:,} {words}" if count > 1 else ("an hour" if unit == 3600 else f"a {words}")  # noqa: PLR2004 - English
    burst = "" if policy.burst == policy.quota else f", {policy.burst:,} at once"
    return f"{policy.quota:,} {every}{burst}"


panel = Panel(page="security", name="rate_limits", title="Rate limits", order=30, draw=draw_panel)
menu = MenuEntry(
    label="Rate limits", page="rate-limits", icon="rate_limits", group="guard", order=30
)


def _shown(
    found: list[Policy], instance: InstanceRef, *, hours: int, now: datetime
) -> dict[str, Any]:
    held = limited.limited_lately(instance.id, since=now - timedelta(hours=hours), until=now)
    return {
        "policies": found,
        "limited": None if held is None else held[:SHOWN_LIMITED],
        "limited_count": len(held or ()),
        "rate_in_words": rate_in_words,
    }


def _names(found: list[Policy]) -> set[str]:
    return {policy.name for policy in found}


def _windows(edited: Policy | None) -> list[tuple[str, str]]:
    offered = {1: "second", 60: "minute", 900: "15 minutes", 3600: "hour", 86_400: "day"}
    if edited is not None:
        offered.setdefault(edited.window_seconds, f"{edited.window_seconds:,} seconds")
    return [(str(seconds), words) for seconds, words in sorted(offered.items())]


def _given(form: PolicyForm) -> dict[str, Any]:
    """What the form says, as the API would; a switch that is off is not sent."""
    return {
        "methods": form.methods.replace(",", " ").split(),
        "paths": [line.strip() for line in form.paths.splitlines() if line.strip()],
        "plans": [each.strip() for each in form.plans.split(",") if each.strip()],
        "by": form.by,
        "quota": form.quota,
        "windowSeconds": form.window_seconds,
        "burst": form.burst,
        "cost": form.cost,
        "onBackendError": form.on_backend_error,
        "simulate": form.simulate == "on",
        "enabled": form.enabled == "on",
    }


def _read(shape: type[Any], given: dict[str, Any]) -> Any:  # noqa: ANN401 - an instance of the shape
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        words = str(fault["msg"]).removeprefix("Value error, ")
        raise Invalid(f"{fault['loc'][0]}: {words}.") from error


def _done(
    session: Session, instance: InstanceRef, act: Callable[[], object], done: str
) -> Response:
    return done_or_refused(session, act, path=instance.page("rate-limits"), done=done)

"""What people see of alerts: the panel and the tile, the history, channels, rules, deliveries."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from fastapi import Form
from fastapi.responses import Response
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.kernel.area import MenuEntry, Panel, PanelRequest, Tile
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid, Problem
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Body, Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import done_or_refused, project_frame, redirect_with
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef, find_instance, instances_of_project
from mainstay_server.ui import fragment, render

from .models import AlertType, NotificationState, Severity
from .providers import KINDS
from .schemas import RuleChange
from .service import channels, firing, history, notifications, rules

router = Router(prefix="/dashboard/projects/{slug}/alerts", include_in_schema=False)

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
Text = Annotated[str, Form(max_length=2500)]
Choice = TypeVar("Choice", AlertType, Severity, NotificationState)

PER_PAGE = 50
PANEL_RESOLVED = 10
RESOLVED_SHOWN_FOR = timedelta(hours=24)
TONES = {Severity.CRITICAL: "critical", Severity.WARNING: "warn", Severity.INFO: "info"}
WORDS = {kind: kind.replace("_", " ").capitalize() for kind in AlertType}
WINDOWS = (("60", "1 min"), ("300", "5 min"), ("900", "15 min"), ("3600", "1 h"))


class ChannelForm(Body):
    """The form of a new channel; `scope` is `project` or `instance`."""

    csrf_token: str = Field("", alias="csrf_token")
    instance_id: str = Field(max_length=36)
    scope: str = "project"
    kind: str = Field(max_length=20)
    target: str = Field(max_length=2500)
    minimum_severity: Severity = Severity.INFO


class RuleForm(RuleChange):
    """The form of one rule; a switch that is off is not sent, which is how it is told."""

    csrf_token: str = Field("", alias="csrf_token")
    instance_id: str
    scope: str = "project"
    switch: str = ""

    def change(self) -> RuleChange:
        """What the form says about the rule itself."""
        said = self.model_dump(exclude={"csrf_token", "instance_id", "scope", "switch"})
        return RuleChange(**(said | {"enabled": self.switch == "on"}))


@router.get("")
def show_alerts(request: Request, session: Session, project: Viewed) -> Response:
    """All alerts of a project's instances, to search and filter."""
    chosen = history.AlertFilter(
        active={"active": True, "resolved": False}.get(request.query_params.get("status", "")),
        kind=_chosen(request, "type", AlertType),
        severity=_chosen(request, "severity", Severity),
        text=request.query_params.get("q", "")[:200],
    )
    frame = _frame(request, session, project)
    page = history.list_alerts(
        session,
        [instance.id for instance in frame["instances"]],
        chosen,
        limit=PER_PAGE,
        cursor=request.query_params.get("cursor", ""),
    )
    return _page(
        request,
        session,
        frame,
        "history",
        chosen=chosen,
        alerts=page.items,
        next_cursor=page.next_cursor,
        names=history.names_of(session, page.items),
        deliveries=history.deliveries_of(session, [alert.id for alert in page.items]),
        environments={instance.id: instance.environment for instance in frame["instances"]},
    )


@router.get("/channels")
def show_channels(request: Request, session: Session, project: Viewed) -> Response:
    """Who is told, and whether that works."""
    return _channels_page(request, session, project)


@router.get("/rules")
def show_rules(request: Request, session: Session, project: Viewed) -> Response:
    """When alerts fire."""
    frame = _frame(request, session, project)
    found = rules.rules_for(session, project.id, frame["instance"].id)
    edited = _chosen(request, "edit", AlertType)
    return _page(
        request,
        session,
        frame,
        "rules",
        rules=list(found.values()),
        edited=found.get(edited) if edited else None,
        windows=WINDOWS,
    )


@router.get("/deliveries")
def show_deliveries(request: Request, session: Session, project: Viewed) -> Response:
    """What was told to whom, and what could not be."""
    page = history.list_notifications(
        session,
        project.id,
        state=_chosen(request, "state", NotificationState),
        channel_id=request.query_params.get("channel", "")[:36],
        limit=PER_PAGE,
        cursor=request.query_params.get("cursor", ""),
    )
    return _page(
        request,
        session,
        _frame(request, session, project),
        "deliveries",
        deliveries=page.items,
        next_cursor=page.next_cursor,
        state=_chosen(request, "state", NotificationState),
    )


@router.post("/{alert_id}/resolve")
def resolve_alert(
    request: Request,
    session: Session,
    project: Written,
    alert_id: str,
    back: Text = "",
) -> Response:
    """Say that an alert is over."""
    caller: Caller = request.state.caller
    for instance in instances_of_project(session, project.id):
        if firing.is_of(session, instance.id, alert_id):
            firing.resolve_by_hand(
                session,
                instance.id,
                alert_id,
                person_id=caller.person_id,
                name=caller.person_name,
                now=utc_now(),
            )
            page = "monitoring" if back == "monitoring" else "alerts"
            return redirect_with(_url(project, page, instance), "Resolved.")
    return redirect_with(_url(project, "alerts"), "There is no such alert any more.", "warn")


@router.post("/channels")
def add_channel(
    request: Request, session: Session, project: Written, form: Annotated[ChannelForm, Form()]
) -> Response:
    """Add a channel, and show its signing secret this once."""
    instance = _instance_of(session, project, form.instance_id)
    scope = instance.id if form.scope == "instance" else None
    back = _url(project, "alerts/channels", instance)
    try:
        with session.begin_nested():
            made = channels.create_channel(
                session,
                (project.organization_id, project.id, scope),
                form.kind,
                {KINDS[form.kind].CONFIG_KEY: form.target} if form.kind in KINDS else {},
                minimum_severity=form.minimum_severity,
                now=utc_now(),
            )
    except Problem as problem:
        return redirect_with(back, problem.detail, "critical")
    if not made.secret:
        return redirect_with(back, "Added. Send a test to see that it arrives.")
    return _channels_page(request, session, project, made=made)


@router.post("/channels/{channel_id}/change")
def change_channel(
    session: Session,
    project: Written,
    channel_id: str,
    instance: Text = "",
    enabled: Text = "",
    minimum_severity: Annotated[Severity | None, Form()] = None,
) -> Response:
    """Switch a channel on or off, or change from which severity on it is told."""
    channel = channels.get_channel(session, project.id, None, channel_id)
    channels.change_channel(
        session,
        channel,
        enabled={"on": True, "off": False}.get(enabled),
        minimum_severity=minimum_severity,
        now=utc_now(),
    )
    return redirect_with(_url(project, "alerts/channels", instance), "Changed.")


@router.post("/channels/{channel_id}/remove")
def remove_channel(
    session: Session, project: Written, channel_id: str, instance: Text = ""
) -> Response:
    """Remove a channel."""
    channel = channels.get_channel(session, project.id, None, channel_id)
    channels.remove_channel(session, channel, now=utc_now())
    return redirect_with(_url(project, "alerts/channels", instance), "Removed.")


@router.post("/channels/{channel_id}/test")
def send_test(session: Session, project: Written, channel_id: str, instance: Text = "") -> Response:
    """Send a test; the page shows what became of it."""
    channel = channels.get_channel(session, project.id, None, channel_id)
    return done_or_refused(
        session,
        lambda: notifications.send_test(session, channel, now=utc_now()),
        path=_url(project, "alerts/channels", instance),
        done="The test is on its way; its result appears beside the channel.",
    )


@router.post("/rules/{kind}")
def change_rule(
    session: Session,
    project: Written,
    kind: AlertType,
    form: Annotated[RuleForm, Form()],
) -> Response:
    """Change a rule for one instance, or for the whole project."""
    instance = _instance_of(session, project, form.instance_id)
    scope = instance.id if form.scope == "instance" else None
    about = (project.organization_id, project.id, scope)
    changes = form.change().model_dump(exclude_none=True)
    return done_or_refused(
        session,
        lambda: rules.change_rule(session, about, kind, changes, now=utc_now()),
        path=_url(project, "alerts/rules", instance),
        done=f"{WORDS[kind]}: saved.",
    )


@router.post("/deliveries/{notification_id}/resend")
def resend(
    session: Session, project: Written, notification_id: str, instance: Text = ""
) -> Response:
    """Send a dead letter again."""
    return done_or_refused(
        session,
        lambda: notifications.resend(
            session, notification_id, project_id=project.id, now=utc_now()
        ),
        path=_url(project, "alerts/deliveries", instance),
        done="On its way again.",
    )


def draw_panel(asked: PanelRequest) -> str:
    """The active alerts of an instance, what was resolved lately, and who is told."""
    active = history.active_alerts(asked.session, asked.instance.id)
    ended = history.list_alerts(
        asked.session,
        [asked.instance.id],
        history.AlertFilter(active=False, resolved_since=asked.now - RESOLVED_SHOWN_FOR),
        limit=PANEL_RESOLVED,
    ).items
    shown = [*active, *ended]
    return fragment(
        asked.request,
        "alerts/panel.html",
        **_words(),
        instance=asked.instance,
        base=f"/dashboard/projects/{asked.instance.project_slug}",
        active=active,
        active_count=sum(
            history.count_active(asked.session, [asked.instance.id])[asked.instance.id].values()
        ),
        ended=ended,
        names=history.names_of(asked.session, ended),
        deliveries=history.deliveries_of(asked.session, [alert.id for alert in shown]),
        channels=channels.list_channels(
            asked.session, asked.instance.project_id, asked.instance.id
        ),
        may_write=asked.may_write,
        now=asked.now,
    )


def tiles(session: Session, instance_ids: Sequence[str], now: datetime) -> Mapping[str, Tile]:
    """How many alerts are active on each instance, in the tone of the gravest."""
    _ = now
    made = {}
    for instance_id, counts in history.count_active(session, instance_ids).items():
        present = [severity for severity in reversed(Severity) if counts[severity]]
        made[instance_id] = Tile(
            label="Alerts",
            value=str(sum(counts.values())),
            tone=TONES[present[0]] if present else "ok",
            hint=", ".join(f"{counts[severity]} {severity}" for severity in present) or "all quiet",
            page="alerts",
        )
    return made


def summary(
    session: Session, instance_ids: Sequence[str], now: datetime
) -> Mapping[str, Mapping[str, Any]]:
    """Active alerts by severity, as REQUIREMENTS P12 asks."""
    _ = now
    counts = history.count_active(session, instance_ids)
    return {
        instance_id: {"activeAlerts": {severity.value: n for severity, n in by_severity.items()}}
        for instance_id, by_severity in counts.items()
    }


panel = Panel(page="monitoring", name="alerts", title="Alerts", order=10, draw=draw_panel)
menu = MenuEntry(label="Alerts", page="alerts", icon="alert", group="respond", order=10)


def _channels_page(
    request: Request, session: Session, project: ProjectRef, made: object = None
) -> Response:
    frame = _frame(request, session, project)
    found = channels.list_channels(session, project.id, frame["instance"].id)
    return _page(
        request,
        session,
        frame,
        "channels",
        channels=found,
        edited=next((c for c in found if c.id == request.query_params.get("edit")), None),
        made=made,
        tests=history.latest_tests(session, [channel.id for channel in found]),
    )


def _frame(request: Request, session: Session, project: ProjectRef) -> dict[str, Any]:
    return project_frame(request, session, project, page="alerts", now=utc_now())


def _page(
    request: Request,
    session: Session,
    frame: dict[str, Any],
    part: str,
    **context: Any,  # noqa: ANN401 - a template's names
) -> Response:
    project: ProjectRef = frame["project"]
    return render(
        request,
        f"alerts/{part}.html",
        **frame,
        **_words(),
        part=part,
        base=f"/dashboard/projects/{project.slug}",
        failed_count=history.count_failed(session, project.id),
        **context,
    )


def _words() -> dict[str, Any]:
    return {"KINDS": KINDS, "TONES": TONES, "WORDS": WORDS, "SEVERITIES": tuple(Severity)}


def _chosen(request: Request, name: str, kind: type[Choice]) -> Choice | None:
    given = request.query_params.get(name, "")
    return next((value for value in kind if value == given), None)


def _instance_of(session: Session, project: ProjectRef, instance_id: str) -> InstanceRef:
    instance = find_instance(session, instance_id)
    if instance is None or instance.project_id != project.id:
        raise Invalid("That instance is not one of this project; reload the page.")
    return instance


def _url(project: ProjectRef, page: str, instance: InstanceRef | str = "") -> str:
    environment = instance if isinstance(instance, str) else instance.environment
    query = f"?instance={quote(environment)}" if environment else ""
    return f"/dashboard/projects/{project.slug}/{page}{query}"

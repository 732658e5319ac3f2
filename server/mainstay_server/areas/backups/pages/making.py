"""Setting up a target and changing one: its form, a try of it, and what retention would do."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mainstay_server.areas.backups.models import BackupTarget
from mainstay_server.areas.backups.providers import ENGINES
from mainstay_server.areas.backups.service import (
    destinations,
    drill_places,
    keeping,
    retention,
    targets,
    trying,
)
from mainstay_server.areas.backups.service.retention import Kept, Policy
from mainstay_server.areas.backups.service.schedules import (
    checked_schedule,
    checked_zone,
    next_turn,
)
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid, NotFound, Problem
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.frame import redirect_with
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import fragment

from . import forms
from .frame import PREFIX, Administered, Viewed, frame_of, instance_of, page_of, target_of
from .sent import Sent

router = Router(prefix=PREFIX, include_in_schema=False)

A_YEAR = timedelta(days=365)
MOST_SIMULATED = 10_000
SHOWN_FATES = 12


@router.get("/new")
def show_new(request: Request, session: Session, project: Administered) -> Response:
    """Choose an engine, then fill in its form."""
    frame = frame_of(request, session, project)
    engine = request.query_params.get("engine", "")
    if engine not in ENGINES:
        return page_of(request, frame, "engines", engines=ENGINES)
    return _form(request, session, frame, engine)


@router.post("/new/{engine}")
def create_target(
    request: Request, session: Session, project: Administered, engine: str, form: Sent
) -> Response:
    """Set it up, and show a new secret key this once."""
    if engine not in ENGINES:
        raise NotFound("There is no such engine; go back to the list.")
    instance = instance_of(session, project, forms.text_of(form, "instance_id"))
    frame = frame_of(request, session, project) | {"instance": instance}
    try:
        choice = forms.choice_of(engine, form)
        if choice.config is None:
            raise Invalid(f"{forms.config_field(engine).label} is empty; fill it in.")
        with session.begin_nested():
            made = targets.create_target(
                session,
                instance,
                engine=engine,
                choice=choice,
                new_key=forms.new_key_of(form),
                now=utc_now(),
            )
    except Problem as problem:
        return _form(request, session, frame, engine, sent=form, problem=problem)
    return page_of(request, frame, "made", target=made.target, secret=made.identity, is_new=True)


@router.get("/targets/{target_id:id}/change")
def show_change(
    request: Request, session: Session, project: Administered, target_id: str
) -> Response:
    """The form of a target that is there."""
    instance, target = target_of(session, project, target_id)
    frame = frame_of(request, session, project) | {"instance": instance}
    return _form(request, session, frame, target.engine, target=target)


@router.post("/targets/{target_id:id}/change")
def change_target(
    request: Request, session: Session, project: Administered, target_id: str, form: Sent
) -> Response:
    """Keep what was changed; an empty place for a secret leaves that as it is."""
    instance, target = target_of(session, project, target_id)
    try:
        choice = forms.choice_of(target.engine, form)
        with session.begin_nested():
            targets.change_target(session, target, choice, now=utc_now())
    except Problem as problem:
        session.refresh(target)
        frame = frame_of(request, session, project) | {"instance": instance}
        return _form(
            request, session, frame, target.engine, target=target, sent=form, problem=problem
        )
    return redirect_with(
        instance.page(f"backups/targets/{target_id}"), "Saved. The next run does it this way."
    )


@router.post("/try/{engine}")
def try_target(request: Request, project: Administered, engine: str, form: Sent) -> Response:
    """Ask the database or folder in the form; answers with a part of the page."""
    try:
        config = forms.config_of(engine, form)
        if config is None:
            raise Invalid(f"{forms.config_field(engine).label} is empty; fill it in.")
        found = trying.try_config(engine, config)
    except Problem as problem:
        found = trying.Answered("", problem=problem.detail)
    part = fragment(
        request, "backups/tried.html", found=found, label=_label(engine), project=project
    )
    return HTMLResponse(str(part))


@router.get("/retention-preview")
def preview_retention(request: Request, session: Session, project: Viewed) -> Response:
    """What the rules in the form would keep: of the backups there are, or after a year."""
    asked, now = request.query_params, utc_now()
    context: dict[str, Any] = {"judged": (), "going": (), "problem": "", "simulated": None}
    try:
        zone = checked_zone(forms.schedule_of(asked).time_zone)
        policy = policy_of(forms.rules_of(asked), time_zone=zone)
        judged = _judged(session, project, asked.get("target", ""), policy, now=now)
        if judged:
            going = [each for each in judged if not each.decision.stays]
            context |= {"judged": judged, "going": going}
        else:
            context["simulated"] = _simulated(asked, policy, now=now)
    except Problem as problem:
        context["problem"] = problem.detail
    part = fragment(request, "backups/preview.html", **context, shown=SHOWN_FATES)
    return HTMLResponse(str(part))


def policy_of(rules: dict[str, int], *, time_zone: str) -> Policy:
    """The rules as retention takes them; its days, weeks and months are those of the time zone."""
    days, count, daily, weekly, monthly, yearly = (rules[name] for name in forms.RULES)
    return Policy(
        days=days,
        count=count,
        daily=daily,
        weekly=weekly,
        monthly=monthly,
        yearly=yearly,
        time_zone=time_zone,
    )


def _judged(
    session: Session, project: ProjectRef, target_id: str, policy: Policy, *, now: datetime
) -> list[keeping.Judged]:
    if not target_id:
        return []
    _, target = target_of(session, project, target_id)
    return keeping.preview(session, target, policy=policy, now=now)


def _simulated(asked: Any, policy: Policy, *, now: datetime) -> dict[str, Any]:  # noqa: ANN401 - the query
    """What of a year of backups by the schedule in the form would be there at its end."""
    moments = list(_a_year(asked, now=now))
    kept = [Kept(str(n), at, is_verified=True) for n, at in enumerate(moments)]
    stay = {each.id for each in retention.decide(kept, policy, now=now) if each.stays}
    staying = [each for each in kept if each.id in stay]
    return {
        "made": len(kept),
        "kept": len(staying),
        "oldest": min((each.finished_at for each in staying), default=None),
    }


def _a_year(asked: Any, *, now: datetime) -> Iterator[datetime]:  # noqa: ANN401 - the query
    schedule = checked_schedule(forms.schedule_of(asked))
    at = now - A_YEAR
    for _ in range(MOST_SIMULATED):
        at = next_turn(schedule, after=at, anchor=now - A_YEAR)
        if at > now:
            return
        yield at


def _form(  # noqa: PLR0913 - what a form is drawn from
    request: Request,
    session: Session,
    frame: dict[str, Any],
    engine: str,
    *,
    target: BackupTarget | None = None,
    sent: FormData | None = None,
    problem: Problem | None = None,
) -> Response:
    chosen = targets.destinations_of(session, target.id) if target else ()
    return page_of(
        request,
        frame,
        "form",
        engine=engine,
        label=_label(engine),
        config_field=forms.config_field(engine),
        tables_field=forms.TABLES if forms.asks_for_tables(engine) else None,
        target=target,
        values=_values(frame, target, sent),
        chosen=forms.texts_of(sent, "destinations") if sent else [each.id for each in chosen],
        destinations=destinations.list_destinations(session, frame["project"].id),
        problem=problem.detail if problem else "",
        SCHEDULES=[(name, label) for name, (label, _) in forms.SCHEDULES.items()],
        RETENTIONS=[(name, label) for name, (label, _) in forms.RETENTIONS.items()],
        RULES=forms.RULES,
        DRILLS=forms.DRILLS,
        NEW_KEYS=forms.NEW_KEYS,
        drill_place=drill_places.shown(target) if target else "",
        takes_drill_place=engine in drill_places.ENGINES_WITH_PLACES,
    )


def _values(
    frame: dict[str, Any], target: BackupTarget | None, sent: FormData | None
) -> dict[str, Any]:
    """What stands in the form: what was sent, or what holds, or what is best for most."""
    if sent is not None:
        return {name: forms.text_of(sent, name) for name in sent}
    if target is None:
        is_production = frame["instance"].environment == "production"
        preset = "production" if is_production else "staging"
        return {"schedule": "six-hourly", "retention": preset, "enabled": "on", "name": ""}
    return {
        "name": target.name,
        "enabled": "on" if target.is_enabled else "",
        "schedule": forms.schedule_preset_of(target),
        "cron": target.cron,
        "time_zone": target.time_zone,
        "retention": forms.retention_of(target),
        **{name: str(getattr(target, f"keep_{name}")) for name in forms.RULES},
        "recipients": "\n".join(target.recipients),
        "drills": target.drills,
        "too_small_percent": str(target.too_small_percent),
    }


def _label(engine: str) -> str:
    return ENGINES[engine].LABEL if engine in ENGINES else engine

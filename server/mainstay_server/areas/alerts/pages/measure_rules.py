"""Rules over measures as people write them: the form, and what its buttons do."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Form
from fastapi.responses import Response
from pydantic import Field, ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.alerts.models import Severity
from mainstay_server.areas.alerts.schemas.measure_rules import MeasureRuleValue
from mainstay_server.areas.alerts.service import runbooks
from mainstay_server.areas.alerts.service.measures import effective, measure_rules
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid, Problem
from mainstay_server.kernel.web import Body, Router
from mainstay_server.tenancy.frame import done_or_refused, redirect_with
from mainstay_server.tenancy.subjects import ProjectRef

from .frame import PREFIX, Text, Viewed, Written, frame_of, instance_of, page_of, url_of

router = Router(prefix=PREFIX, include_in_schema=False)

RANKS = (Severity.INFO, Severity.LOW, Severity.WARNING, Severity.HIGH, Severity.CRITICAL)
WINDOWS = (("60", "1 min"), ("300", "5 min"), ("900", "15 min"), ("3600", "1 h"))
DURATIONS = (
    ("0", "at once"),
    ("60", "1 min"),
    ("300", "5 min"),
    ("600", "10 min"),
    ("900", "15 min"),
    ("1800", "30 min"),
    ("3600", "1 h"),
)
COMPARISONS = (
    ("above", "is above"),
    ("below", "is below"),
    ("absent", "has no data for the whole window"),
)


class MeasureRuleForm(Body):
    """The form of a rule; a level without a number is none, a switch that is off is not sent."""

    csrf_token: str = Field("", alias="csrf_token")
    instance_id: str = Field(max_length=36)
    rule_id: str = Field("", max_length=40)
    scope: str = "project"
    switch: str = ""
    name: str = Field(max_length=100)
    measure: str = Field(max_length=60)
    part: str = Field("", max_length=500)
    compares: str = "above"
    window_seconds: int = 300
    for_seconds: int = 0
    clear_seconds: int = 300
    minimum_count: int = 0
    runbook: str = Field("", max_length=500)
    absent_severity: Severity = Severity.WARNING
    info: str = Field("", max_length=30)
    low: str = Field("", max_length=30)
    warning: str = Field("", max_length=30)
    high: str = Field("", max_length=30)
    critical: str = Field("", max_length=30)
    clear_margin: str = Field("", max_length=10)

    def value(self) -> MeasureRuleValue:
        """The rule that the form describes. Raises `Invalid`."""
        fields = MeasureRuleValue.model_fields.keys() & MeasureRuleForm.model_fields.keys()
        try:
            return MeasureRuleValue.model_validate(
                self.model_dump(include=fields)
                | {"levels": self._levels(), "enabled": self.switch == "on"}
            )
        except ValidationError as error:
            first = error.errors()[0]
            said = first["msg"].removeprefix("Value error, ")
            raise Invalid(f"{_place(first['loc'])}: {said}.") from error

    def _levels(self) -> list[dict[str, Any]]:
        if self.compares == "absent":
            return [{"severity": self.absent_severity}]
        levels = []
        for severity in RANKS:
            text = getattr(self, severity.value).strip().replace(",", ".")
            if text:
                levels.append({"severity": severity, "threshold": text, "clear": self._clear(text)})
        if not levels:
            raise Invalid("Give at least one severity a number from which on it holds.")
        return levels

    def _clear(self, threshold: str) -> float | None:
        """Where a level ends: so many percent of its threshold before it."""
        margin = self.clear_margin.strip()
        if not margin:
            return None
        try:
            share, value = float(margin) / 100, float(threshold)
        except ValueError:
            raise Invalid("The margin is a number of percent, such as 10.") from None
        distance = abs(value) * share
        return value - distance if self.compares == "above" else value + distance


@router.get("/measure-rules/{rule_id}")
def show_form(request: Request, session: Session, project: Viewed, rule_id: str) -> Response:
    """The form of a rule, or of a `new` one."""
    frame = frame_of(request, session, project)
    found = None if rule_id == "new" else measure_rules.get_rule(session, project.id, rule_id)
    return page_of(
        request,
        session,
        frame,
        "measure_rule",
        rule=found,
        value=found.value if found else None,
        thresholds=_thresholds(found.value) if found else {},
        margin=_margin(found.value) if found else "",
        measures=effective.measures(),
        windows=WINDOWS,
        durations=_durations(found.value if found else None),
        comparisons=COMPARISONS,
        ranks=RANKS,
        runbooks=runbooks.list_runbooks(session, project.id),
    )


@router.post("/measure-rules")
def save_rule(
    session: Session, project: Written, form: Annotated[MeasureRuleForm, Form()]
) -> Response:
    """Write a new rule, or let one be as the form says."""
    instance = instance_of(session, project, form.instance_id)
    scope = instance.id if form.scope == "instance" else None
    back = url_of(project, "alerts/rules", instance)
    try:
        with session.begin_nested():
            _save(session, project, scope, form)
    except Problem as problem:
        page = url_of(project, f"alerts/measure-rules/{form.rule_id or 'new'}", instance)
        return redirect_with(page, problem.detail, "critical")
    return redirect_with(back, f"{form.name}: saved.")


@router.post("/measure-rules/{rule_id}/remove")
def remove_rule(session: Session, project: Written, rule_id: str, instance: Text = "") -> Response:
    """Remove a rule, or what was changed about a default."""
    return done_or_refused(
        session,
        lambda: measure_rules.remove_rule(session, project, rule_id, now=utc_now()),
        path=url_of(project, "alerts/rules", instance),
        done="Removed. What fires by it ends within a minute.",
    )


@router.post("/measure-rules/{rule_id}/switch")
def switch_rule(
    session: Session, project: Written, rule_id: str, instance: Text = "", enabled: Text = ""
) -> Response:
    """Switch a rule on or off."""
    return done_or_refused(
        session,
        lambda: measure_rules.change_rule(
            session, project, rule_id, {"enabled": enabled == "on"}, now=utc_now()
        ),
        path=url_of(project, "alerts/rules", instance),
        done="Switched on." if enabled == "on" else "Switched off.",
    )


def _save(
    session: Session, project: ProjectRef, instance_id: str | None, form: MeasureRuleForm
) -> None:
    value, now = form.value(), utc_now()
    if not form.rule_id:
        measure_rules.create_rule(session, project, instance_id, value, now=now)
        return
    before = measure_rules.get_rule(session, project.id, form.rule_id)
    scope = None if before.default else instance_id
    measure_rules.write_rule(session, project, before, value, instance_id=scope, now=now)


def _place(loc: Sequence[int | str]) -> str:
    severities = [str(step) for step in loc if isinstance(step, str)]
    return severities[0].replace("_", " ") if severities else "severities"


def _thresholds(value: MeasureRuleValue) -> Mapping[str, str]:
    """The number of each severity, where medium stands for warning."""
    return {
        ("warning" if level.severity is Severity.MEDIUM else level.severity.value): (
            f"{level.threshold:.10g}"
        )
        for level in value.levels
    }


def _margin(value: MeasureRuleValue) -> str:
    """By how many percent of its threshold the first level ends before it."""
    level = value.levels[0]
    if level.clear is None or not level.threshold:
        return ""
    return f"{100 * abs(level.threshold - level.clear) / abs(level.threshold):.4g}"


def _durations(value: MeasureRuleValue | None) -> Sequence[tuple[str, str]]:
    """What the form offers, and what a rule has beside it."""
    used = set() if value is None else {value.for_seconds, value.clear_seconds}
    known = {int(seconds) for seconds, _ in DURATIONS}
    return (*DURATIONS, *((str(extra), f"{extra} s") for extra in sorted(used - known)))

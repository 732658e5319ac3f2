"""Rules over measures as people write them: the form, and what its buttons do."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Form
from fastapi.responses import HTMLResponse, Response
from pydantic import Field, ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.alerts.models import Severity
from mainstay_server.areas.alerts.schemas.measure_rules import MeasureRuleFields, MeasureRuleValue
from mainstay_server.areas.alerts.service import runbooks
from mainstay_server.areas.alerts.service.measures import effective, measure_rules, previews
from mainstay_server.areas.alerts.service.measures.measure_rules import RuleSeen
from mainstay_server.areas.alerts.service.measures.measuring import shown_value
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid, Problem
from mainstay_server.kernel.web import Body, Router
from mainstay_server.tenancy.frame import done_or_refused, redirect_with
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import fragment

from .frame import PREFIX, Text, Viewed, Written, frame_of, instance_of, page_of, url_of, words

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


Rule = TypeVar("Rule", bound=MeasureRuleFields)


class MeasureRuleForm(Body):
    """The form of a rule; a level without a number is none, a switch that is off is not sent."""

    csrf_token: str = Field("", alias="csrf_token")
    instance_id: str = Field(max_length=36)
    rule_id: str = Field("", max_length=40)
    scope: str = "project"
    switch: str = ""
    name: str = Field("", max_length=100)
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

    def threshold_of(self, severity: Severity) -> str:
        """The number that stands beside a severity, as it was typed."""
        return str(getattr(self, severity.value))

    def value(self) -> MeasureRuleValue:
        """The rule that the form describes. Raises `Invalid`."""
        return self._as(MeasureRuleValue)

    def fields(self) -> MeasureRuleFields:
        """The same without its name, which nobody may have thought of yet. Raises `Invalid`."""
        return self._as(MeasureRuleFields)

    def _as(self, kind: type[Rule]) -> Rule:
        fields = kind.model_fields.keys() & MeasureRuleForm.model_fields.keys()
        try:
            return kind.model_validate(
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
            text = self.threshold_of(severity).strip().replace(",", ".")
            if text:
                number = _number(severity.value, text)
                clear = self._clear(number)
                levels.append({"severity": severity, "threshold": number, "clear": clear})
        if not levels:
            raise Invalid("Give at least one severity a number from which on it holds.")
        return levels

    def _clear(self, threshold: float) -> float | None:
        """Where a level ends: so many percent of its threshold before it."""
        margin = self.clear_margin.strip().replace(",", ".")
        if not margin:
            return None
        distance = abs(threshold) * _number("clearMargin", margin) / 100
        return threshold - distance if self.compares == "above" else threshold + distance


TYPED_AT_FIRST = MeasureRuleForm(
    instance_id="", measure="requests.p95_ms", for_seconds=300, switch="on"
)


@router.get("/measure-rules/{rule_id}")
def show_form(request: Request, session: Session, project: Viewed, rule_id: str) -> Response:
    """The form of a rule, or of a `new` one."""
    frame = frame_of(request, session, project)
    found = None if rule_id == "new" else measure_rules.get_rule(session, project.id, rule_id)
    typed = TYPED_AT_FIRST if found is None else _typed(found.value, found.instance_id)
    return _form(request, session, frame, found, typed)


@router.post("/measure-rules/preview")
def preview_rule(
    request: Request, session: Session, project: Written, form: Annotated[MeasureRuleForm, Form()]
) -> Response:
    """How often the rule would have fired: a part of the page, or the page with all as typed."""
    instance = instance_of(session, project, form.instance_id)
    found, problem, now = None, "", utc_now()
    try:
        found = previews.preview(
            session, instance, form.fields(), of_instance=form.scope == "instance", now=now
        )
    except Problem as refused:
        problem = refused.detail
    shown = {"preview": found, "problem": problem, "shown_value": shown_value}
    if request.headers.get("hx-request") == "true":
        part = fragment(
            request, "alerts/measure_rule_preview.html", **words(), **shown, instance=instance
        )
        return HTMLResponse(part)
    frame = frame_of(request, session, project)
    rule = measure_rules.get_rule(session, project.id, form.rule_id) if form.rule_id else None
    return _form(request, session, frame | {"instance": instance}, rule, form, **shown)


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


def _form(
    request: Request,
    session: Session,
    frame: dict[str, Any],
    rule: RuleSeen | None,
    typed: MeasureRuleForm,
    **shown: Any,  # noqa: ANN401 - what a preview found
) -> Response:
    return page_of(
        request,
        session,
        frame,
        "measure_rule",
        rule=rule,
        typed=typed,
        measures=effective.measures(),
        windows=WINDOWS,
        durations=_durations(typed),
        comparisons=COMPARISONS,
        ranks=RANKS,
        runbooks=runbooks.list_runbooks(session, frame["project"].id),
        **(shown or {"preview": None, "problem": ""}),
    )


def _typed(value: MeasureRuleValue, instance_id: str | None) -> MeasureRuleForm:
    """A rule as somebody would have typed it."""
    fields = MeasureRuleValue.model_fields.keys() & MeasureRuleForm.model_fields.keys()
    is_absent = value.compares == "absent"
    return MeasureRuleForm.model_validate(
        {
            **value.model_dump(include=fields),
            **_thresholds(value),
            "instance_id": instance_id or "",
            "scope": "instance" if instance_id else "project",
            "switch": "on" if value.enabled else "",
            "absent_severity": value.levels[0].severity if is_absent else Severity.WARNING,
            "clear_margin": _margin(value),
        }
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


def _number(field: str, text: str) -> float:
    """What somebody typed as a number. Raises `Invalid`."""
    try:
        return float(text)
    except ValueError:
        raise Invalid(f"{field} must be a number, such as 10 or 2.5.") from None


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


def _durations(typed: MeasureRuleForm) -> Sequence[tuple[str, str]]:
    """What the form offers, and what a rule has beside it."""
    used = {typed.for_seconds, typed.clear_seconds}
    known = {int(seconds) for seconds, _ in DURATIONS}
    return (*DURATIONS, *((str(extra), f"{extra} s") for extra in sorted(used - known)))

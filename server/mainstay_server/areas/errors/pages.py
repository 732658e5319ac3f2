"""The pages of errors: the list that people triage, and everything known of one issue."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.area import MenuEntry, Tile
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Invalid, NotFound, Problem
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url, dsn
from mainstay_server.tenancy.frame import project_frame, redirect_with
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.service.projects import view_project
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import render

from .models import Issue, Status
from .service import issues, reading
from .service.figures import Figures, figures_of
from .service.issues import Decision, IssueInInstance, Listing
from .service.kinds import explanation_of
from .service.presenting import present
from .service.search import HELP, parse_search

router = Router(include_in_schema=False)

PER_PAGE = 50
SPANS = ((24, "24 h"), (14 * 24, "14 d"))
CHART_BUCKETS = 48
TABS = (*Status, "all")
DECISIONS = {
    "resolve": ("Resolved.", Status.RESOLVED, None, None),
    "reopen": ("Reopened.", Status.UNRESOLVED, None, None),
    "ignore": ("Ignored for good.", Status.IGNORED, None, None),
    "ignore-day": ("Ignored for a day.", Status.IGNORED, timedelta(days=1), None),
    "ignore-week": ("Ignored for a week.", Status.IGNORED, timedelta(days=7), None),
    "ignore-100": ("Ignored for 100 more events.", Status.IGNORED, None, 100),
}

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]


@router.get("/dashboard/projects/{slug}/errors")
def show_issues(request: Request, session: Session, project: Viewed) -> Response:
    """The issues of an instance: searched, sorted, with trends."""
    now = utc_now()
    frame = project_frame(request, session, project, page="errors", now=now)
    asked, instance = request.query_params, frame["instance"]
    status = asked.get("status", Status.UNRESOLVED)
    span = _span(asked.get("span", ""))
    try:
        found = _listed(session, instance, request, status=status, now=now)
        fault = ""
    except Invalid as problem:
        found, fault = page_of([], limit=PER_PAGE, key=lambda _: ()), problem.detail
    trends = reading.trends_of(
        project.id,
        [each.issue.id for each in found.items],
        instance_id=instance.id,
        hours=span,
        now=now,
    )
    counts = issues.count_by_status(session, instance)
    return render(
        request,
        "errors/list.html",
        **frame,
        found=[_line(each, trends.get(each.issue.id), project.slug) for each in found.items],
        next_cursor=found.next_cursor,
        fault=fault,
        search=asked.get("q", ""),
        search_help=HELP,
        sort=asked.get("sort", issues.SORTS[0]),
        status=status,
        tabs=[(tab, counts.get(tab)) for tab in TABS],
        span=span,
        spans=SPANS,
        anything=any(counts.values()),
        dsn=_dsn(request, session, project),
    )


@router.get("/dashboard/projects/{slug}/errors/{issue_id}")
def show_issue(
    request: Request, session: Session, project: Viewed, issue_id: str, event: str = "latest"
) -> Response:
    """One issue: how often, to whom, and one of its events with everything it carries."""
    now = utc_now()
    issue = _own(session, project, issue_id)
    frame = project_frame(request, session, project, page="errors", now=now)
    stored = reading.find_event(project.id, issue_id, event)
    if stored is None and event != "latest":
        raise NotFound("There is no such event; it may have been deleted after its retention.")
    older, newer = reading.neighbours(project.id, issue_id, stored) if stored else ("", "")
    span = _span(request.query_params.get("span", str(SPANS[-1][0])))
    environments = {each.id: each.environment for each in frame["instances"]}
    return render(
        request,
        "errors/issue.html",
        **frame,
        issue=issue,
        explanation=explanation_of(issue),
        short_id=issues.short_id(project.slug, issue.number),
        seen=[
            (environments.get(each.instance_id, "deleted"), each)
            for each in issues.instances_of_issue(session, issue_id)
        ],
        chart=_chart(project, issue, span=span, now=now),
        users=_users(project, issue, now=now),
        event=stored,
        shown=present(stored.payload) if stored else None,
        environment=environments.get(stored.instance_id, "") if stored else "",
        older=older,
        newer=newer,
        tags=reading.tag_shares(project.id, issue_id, now=now),
        span=span,
        spans=SPANS,
    )


@router.post("/dashboard/projects/{slug}/errors")
def decide_many(
    request: Request,
    session: Session,
    project: Written,
    issue: Annotated[Sequence[str], Form(max_length=issues.MOST_AT_ONCE)] = (),
    act: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Resolve, ignore or reopen the chosen issues."""
    done, decision = _decision(act, now=utc_now())
    path = f"/dashboard/projects/{project.slug}/errors"
    path += f"?{request.query_params}" if request.query_params else ""
    if not issue:
        return redirect_with(path, "Nothing was chosen; tick the issues first.", "warn")
    changed = issues.decide(session, project.id, issue, decision, now=utc_now())
    return redirect_with(path, f"{changed} issues: {done.lower()}")


@router.post("/dashboard/projects/{slug}/errors/{issue_id}")
def decide_one(
    session: Session,
    project: Written,
    issue_id: str,
    act: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Resolve, ignore or reopen one issue."""
    _own(session, project, issue_id)
    path = f"/dashboard/projects/{project.slug}/errors/{issue_id}"
    try:
        done, decision = _decision(act, now=utc_now())
    except Problem as problem:
        return redirect_with(path, problem.detail, "critical")
    issues.decide(session, project.id, [issue_id], decision, now=utc_now())
    return redirect_with(path, done)


def tiles(session: Session, instance_ids: Sequence[str], now: datetime) -> Mapping[str, Tile]:
    """The error events of the last 24 hours, and how many issues wait for somebody."""
    return {
        instance_id: Tile(
            label="Errors, 24 h",
            value=f"{sum(found.events):,}",
            tone=_tone(found),
            hint=f"{found.unresolved:,} unresolved" if found.unresolved else "nothing unresolved",
            page="errors",
            spark=found.events,
        )
        for instance_id, found in figures_of(session, instance_ids, now=now).items()
    }


def summary(
    session: Session, instance_ids: Sequence[str], now: datetime
) -> Mapping[str, Mapping[str, Any]]:
    """The same for programs."""
    return {
        instance_id: {
            "errors24h": sum(found.events),
            "unresolvedIssues": found.unresolved,
        }
        for instance_id, found in figures_of(session, instance_ids, now=now).items()
    }


menu = MenuEntry(label="Errors", page="errors", icon="bug", group="observe", order=20)


def _tone(found: Figures) -> str:
    if not found.unresolved:
        return "ok"
    return "critical" if sum(found.events) else "warn"


def _listed(
    session: Session, instance: InstanceRef, request: Request, *, status: str, now: datetime
) -> Page[IssueInInstance]:
    asked = request.query_params
    search = parse_search(asked.get("q", ""))
    if status in tuple(Status) and not any(term.key == "is" for term in search.of_issue):
        search = search.with_status(status)
    sort = asked.get("sort", issues.SORTS[0])
    listing = Listing(
        search=search,
        sort=sort,
        after=decode_cursor(asked.get("cursor", ""), parts=2),
        limit=PER_PAGE + 1,
    )
    found = issues.list_issues(session, instance, listing, now=now)
    return page_of(found, limit=PER_PAGE, key=lambda one: issues.sort_key(sort, one))


def _line(found: IssueInInstance, trend: reading.Trend | None, slug: str) -> dict[str, Any]:
    return {
        "issue": found.issue,
        "short_id": issues.short_id(slug, found.issue.number),
        "count": found.count,
        "first_seen": found.first_seen,
        "last_seen": found.last_seen,
        "spark": trend.values if trend else (),
        "users": trend.users if trend else 0,
    }


def _chart(project: ProjectRef, issue: Issue, *, span: int, now: datetime) -> dict[str, Any]:
    trend = reading.trends_of(
        project.id, [issue.id], hours=span, now=now, buckets=CHART_BUCKETS
    ).get(issue.id)
    return {
        "times": reading.times_of(span, now=now, buckets=CHART_BUCKETS),
        "series": [
            {
                "label": "Events",
                "values": list(trend.values) if trend else [0] * CHART_BUCKETS,
                "tone": "critical",
            }
        ],
    }


def _users(project: ProjectRef, issue: Issue, *, now: datetime) -> int:
    trend = reading.trends_of(project.id, [issue.id], hours=SPANS[-1][0], now=now).get(issue.id)
    return trend.users if trend else 0


def _own(session: Session, project: ProjectRef, issue_id: str) -> Issue:
    issue, _ = issues.get_issue(session, issue_id)
    if issue.project_id != project.id:
        raise NotFound("There is no such issue in this project; go back to the list.")
    return issue


def _decision(act: str, *, now: datetime) -> tuple[str, Decision]:
    if act not in DECISIONS:
        raise Invalid("That cannot be done with an issue; go back to the list.")
    done, status, lasting, events = DECISIONS[act]
    until = now + lasting if lasting is not None else None
    return done, Decision(status=status, ignored_until=until, ignored_for_events=events)


def _span(asked: str) -> int:
    return next((hours for hours, _ in SPANS if str(hours) == asked), SPANS[0][0])


def _dsn(request: Request, session: Session, project: ProjectRef) -> str:
    key = view_project(session, project).ingest_key
    return dsn(base_url(request), key, project.number)

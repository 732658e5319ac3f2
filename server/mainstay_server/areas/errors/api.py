"""The HTTP API of errors: issues of an instance, one issue, its events."""

from typing import Annotated

import msgspec
from fastapi import Query
from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import (
    DEFAULT_PER_PAGE,
    decode_cursor,
    decode_moment,
    page_of,
)
from mainstay_server.kernel.problems import NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.kernel.web.pagination import Cursor, Limit
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role

from . import schemas
from .models import Issue
from .service import issues, reading
from .service.issues import Decision, Listing
from .service.kinds import explanation_of
from .service.search import parse_search

router = Router()

USERS_HOURS = 14 * 24

Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
ViewedIssue = Annotated[str, access.via(issues.organization_of_issue, "issue_id", Role.VIEWER)]
WrittenIssue = Annotated[str, access.via(issues.organization_of_issue, "issue_id", Role.MEMBER)]


@router.get("/api/instances/{instance_id}/errors", summary="List errors")
def list_errors(
    session: Session, instance: Viewed, wanted: Annotated[schemas.ErrorsQuery, Query()]
) -> schemas.ErrorsAnswer:
    """The issues that an instance saw, with that instance's counts."""
    search = parse_search(wanted.query)
    if wanted.status is not None:
        search = search.with_status(wanted.status)
    listing = Listing(
        search=search,
        sort=wanted.sort,
        after=decode_cursor(wanted.cursor, parts=2),
        limit=wanted.limit + 1,
    )
    found = issues.list_issues(session, instance, listing, now=utc_now())
    page = page_of(found, limit=wanted.limit, key=lambda one: issues.sort_key(wanted.sort, one))
    return schemas.ErrorsAnswer(
        errors=[
            schemas.ErrorAnswer(
                id=each.issue.id,
                short_id=issues.short_id(instance.project_slug, each.issue.number),
                title=each.issue.title,
                culprit=each.issue.culprit,
                count=each.count,
                first_seen=each.first_seen,
                last_seen=each.last_seen,
                status=each.issue.status,
                level=each.issue.level,
            )
            for each in page.items
        ],
        next_cursor=page.next_cursor,
    )


@router.get("/api/errors/{issue_id}", summary="Show an error")
def get_error(session: Session, issue_id: ViewedIssue) -> schemas.ErrorDetailAnswer:
    """One issue, with its numbers in all instances."""
    return _detail(session, *issues.get_issue(session, issue_id))


@router.patch("/api/errors/{issue_id}", summary="Resolve, ignore or reopen an error")
def change_error(
    session: Session, issue_id: WrittenIssue, body: schemas.ErrorBody
) -> schemas.ErrorDetailAnswer:
    """Decide what becomes of an issue; a resolved one reopens by itself when it happens again."""
    issue, slug = issues.get_issue(session, issue_id)
    decision = Decision(
        status=body.status,
        ignored_until=body.ignored_until,
        ignored_for_events=body.ignored_for_events,
    )
    issues.decide(session, issue.project_id, [issue_id], decision, now=utc_now())
    return _detail(session, issue, slug)


@router.get(
    "/api/errors/{issue_id}/events",
    summary="List an error's events",
    operation_id="list_error_events",
)
def list_events(
    session: Session,
    issue_id: ViewedIssue,
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> schemas.EventsAnswer:
    """The events of an issue, the latest first."""
    issue, _ = issues.get_issue(session, issue_id)
    after = decode_cursor(cursor, parts=2)
    before = None if after is None else (decode_moment(after[0]), str(after[1]))
    found = reading.list_events(
        issue.project_id, issue_id, before=before, limit=limit + 1, now=utc_now()
    )
    page = page_of(found, limit=limit, key=lambda one: (one.received_at.isoformat(), one.event_id))
    return schemas.EventsAnswer(
        events=[schemas.EventAnswer.model_validate(event) for event in page.items],
        next_cursor=page.next_cursor,
    )


@router.get(
    "/api/errors/{issue_id}/events/{event_id}",
    summary="Show an event",
    operation_id="get_error_event",
)
def get_event(session: Session, issue_id: ViewedIssue, event_id: str) -> schemas.EventDetailAnswer:
    """One event with its payload as the SDK sent it; `latest` is the latest."""
    issue, _ = issues.get_issue(session, issue_id)
    event = reading.find_event(issue.project_id, issue_id, event_id)
    if event is None:
        raise NotFound("There is no such event; it may have been deleted after its retention.")
    older, newer = reading.neighbours(issue.project_id, issue_id, event)
    return schemas.EventDetailAnswer(
        **schemas.EventAnswer.model_validate(event).model_dump(),
        older_event_id=older or None,
        newer_event_id=newer or None,
        payload=msgspec.json.decode(event.payload),
    )


def _detail(session: Session, issue: Issue, slug: str) -> schemas.ErrorDetailAnswer:
    trend = reading.trends_of(issue.project_id, [issue.id], hours=USERS_HOURS, now=utc_now())
    return schemas.ErrorDetailAnswer(
        id=issue.id,
        short_id=issues.short_id(slug, issue.number),
        title=issue.title,
        culprit=issue.culprit,
        count=issue.count,
        first_seen=issue.first_seen,
        last_seen=issue.last_seen,
        status=issue.status,
        level=issue.level,
        project=slug,
        first_release=issue.first_release,
        last_release=issue.last_release,
        resolved_at=issue.resolved_at,
        ignored_until=issue.ignored_until,
        ignored_until_count=issue.ignored_until_count,
        explanation=explanation_of(issue),
        users=trend[issue.id].users if issue.id in trend else 0,
        instances=[
            schemas.InInstanceAnswer.model_validate(seen)
            for seen in issues.instances_of_issue(session, issue.id)
        ],
    )

"""Remediation over HTTP: what is allowed, what was done, and what probes fetch and report."""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Header, Query
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, page_within
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.web import Cursor, Limit, Router, example
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

from .models import RemediationAction, RemediationRun
from .schemas import (
    AN_ID,
    ActionAnswer,
    ActionBody,
    ActionsAnswer,
    CommandReport,
    NewActionAnswer,
    OrderedCommand,
    OrdersAnswer,
    ReportTaken,
    RunAnswer,
    RunBody,
    RunsAnswer,
    TryAnswer,
)
from .service import actions, commands, runs, starting

ALL = "/api/projects/{slug}/remediation-actions"
ONE = ALL + "/{action_id}"
MOST_WAIT_SECONDS = 25
LOOK_EVERY_SECONDS = 1.0
MOST_NAMES, LONGEST_NAME = 50, 60
A_TIME = "2026-11-26T12:00:00.000Z"
ACTION = {
    "id": AN_ID,
    "name": "restart-shop",
    "kind": "webhook",
    "target": "https://deployer.example.com/…",
    "matchers": '{alertname="instance_down"}',
    "automatic": True,
    "enabled": True,
    "dryRun": False,
    "mostTries": 3,
    "pauseSeconds": 30,
    "verifySeconds": 60,
    "cooldownSeconds": 300,
}
RUN = {
    "id": AN_ID,
    "actionId": AN_ID,
    "action": "restart-shop",
    "alertId": AN_ID,
    "alertTitle": "shop production is down",
    "state": "healed",
    "reason": "The alert is over.",
    "startedAt": A_TIME,
    "endedAt": "2026-11-26T12:00:41.000Z",
    "tries": [
        {
            "number": 1,
            "beganAt": A_TIME,
            "endedAt": "2026-11-26T12:00:01.000Z",
            "wentThrough": True,
            "said": "The receiver answered 200.",
        }
    ],
}
ORDER = {"runId": AN_ID, "number": 1, "command": "restart-shop", "timeoutSeconds": 60}
PROBE_TOKEN: dict[str, Any] = {"security": [{"probeToken": []}]}
BY_PROBE = access.public("the probe proves itself by a token of its own")

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]
Names = Annotated[
    str, Query(max_length=MOST_NAMES * (LONGEST_NAME + 1), description="With commas between.")
]
Token = Annotated[str, Header()]

router = Router()


@router.get(
    ALL,
    summary="List remediation actions",
    responses=example({"actions": [ACTION], "nextCursor": "Wzdd"}),
)
def list_remediation_actions(
    session: Session, project: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> ActionsAnswer:
    """What may be done by itself, by name."""
    page = page_within(
        actions.list_actions(session, project.id),
        limit=limit,
        cursor=cursor,
        key=lambda action: (action.name,),
    )
    return ActionsAnswer(
        actions=[_action(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.post(
    ALL,
    status_code=201,
    summary="Allow a remediation action",
    responses=example({**ACTION, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, 201),
)
def allow_remediation_action(
    session: Session, project: Administered, body: ActionBody
) -> NewActionAnswer:
    """Allow a webhook, or a command that a probe's own file names, for alerts that fit."""
    made = actions.allow_action(session, project, body, now=utc_now())
    return NewActionAnswer(**_action(made).model_dump(), secret=made.secret)


@router.get(ONE, summary="One remediation action", responses=example(ACTION))
def get_remediation_action(session: Session, project: Viewed, action_id: str) -> ActionAnswer:
    """What is allowed."""
    return _action(actions.get_action(session, project.id, action_id))


@router.put(ONE, summary="Change a remediation action", responses=example(ACTION))
def change_remediation_action(
    session: Session, project: Administered, action_id: str, body: ActionBody
) -> ActionAnswer:
    """Allow it otherwise from now on; its kind and its secret stay."""
    action = actions.get_action(session, project.id, action_id)
    actions.change_action(session, action, body, now=utc_now())
    return _action(action)


@router.delete(ONE, status_code=204, summary="Remove a remediation action")
def remove_remediation_action(session: Session, project: Administered, action_id: str) -> None:
    """Allow it no more."""
    action = actions.get_action(session, project.id, action_id)
    actions.remove_action(session, action, now=utc_now())


@router.post(
    ONE + "/runs", status_code=201, summary="Run a remediation action", responses=example(RUN, 201)
)
def run_remediation_action(
    session: Session, project: Written, action_id: str, body: RunBody
) -> RunAnswer:
    """Run it now for an active alert, within the limits; a run that they refuse says so."""
    action = actions.get_action(session, project.id, action_id)
    run = starting.start_by_hand(session, action, body.alert_id, now=utc_now())
    return _runs(session, [run])[0]


@router.get(
    "/api/projects/{slug}/remediation-runs",
    summary="List remediation runs",
    responses=example({"runs": [RUN], "nextCursor": "Wzdd"}),
)
def list_remediation_runs(
    session: Session,
    project: Viewed,
    *,
    alert: Annotated[str, Query(max_length=36, description="Only those of this alert.")] = "",
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> RunsAnswer:
    """What was done by itself, the newest first."""
    page = runs.list_runs(session, project.id, limit=limit, cursor=cursor, alert_id=alert)
    return RunsAnswer(runs=_runs(session, page.items), next_cursor=page.next_cursor)


@router.get(
    "/api/probe/commands",
    summary="What a probe is to run",
    responses=example({"orders": [ORDER]}),
    openapi_extra=PROBE_TOKEN,
    dependencies=[BY_PROBE],
)
async def fetch_probe_commands(
    names: Names = "",
    wait: Annotated[int, Query(description="Seconds to wait, at most 25.", examples=[25])] = 0,
    authorization: Token = "",
) -> OrdersAnswer:
    """Answer at once when a command waits, or else when the wait is over; each is told once."""
    allowed = sorted({name.strip() for name in names.split(",") if name.strip()})
    if len(allowed) > MOST_NAMES or any(len(name) > LONGEST_NAME for name in allowed):
        raise Invalid(f"names has at most {MOST_NAMES} of {LONGEST_NAME} characters.")
    deadline = time.monotonic() + min(max(wait, 0), MOST_WAIT_SECONDS)
    while True:
        orders = await run_in_threadpool(_fetch, authorization, allowed)
        if orders or time.monotonic() >= deadline:
            return OrdersAnswer(orders=orders)
        await asyncio.sleep(LOOK_EVERY_SECONDS)


@router.post(
    "/api/probe/commands/{run_id}",
    summary="Report how a command went",
    responses=example({"taken": True}),
    openapi_extra=PROBE_TOKEN,
    dependencies=[BY_PROBE],
)
def report_probe_command(
    session: Session, run_id: str, report: CommandReport, authorization: Token = ""
) -> ReportTaken:
    """Take the exit code and the end of the output; a report that is late changes nothing."""
    probe = commands.authenticate(session, authorization)
    taken = commands.take_report(session, probe, run_id, report, now=utc_now())
    return ReportTaken(taken=taken)


def _fetch(authorization: str, names: Sequence[str]) -> list[OrderedCommand]:
    now = utc_now()
    with reading() as session:
        probe = commands.authenticate(session, authorization)
        news = commands.has_news(session, probe, names, now=now)
    if not news:
        return []
    with transaction() as session:
        return commands.fetch(session, probe, names, now=now)


def _action(action: RemediationAction) -> ActionAnswer:
    return ActionAnswer(
        id=action.id,
        name=action.name,
        kind=action.kind,
        target=actions.target_of(action),
        matchers=action.matchers,
        automatic=action.automatic,
        enabled=action.enabled,
        dry_run=action.dry_run,
        most_tries=action.most_tries,
        pause_seconds=action.pause_seconds,
        verify_seconds=action.verify_seconds,
        cooldown_seconds=action.cooldown_seconds,
    )


def _runs(session: Session, found: Sequence[RemediationRun]) -> list[RunAnswer]:
    tries = runs.tries_of(session, [run.id for run in found])
    return [
        RunAnswer(
            id=run.id,
            action_id=run.action_id,
            action=session.get_one(RemediationAction, run.action_id).name,
            alert_id=run.alert_id,
            alert_title=run.alert_title,
            state=run.state,
            reason=run.reason,
            started_at=run.started_at,
            ended_at=run.ended_at,
            tries=[TryAnswer.model_validate(each) for each in tries[run.id]],
        )
        for run in found
    ]

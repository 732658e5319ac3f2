"""Runbooks: what to do when an alert fires; written by the project, elsewhere, or shipped."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, AlertType
from mainstay_server.areas.alerts.models.rules import Runbook
from mainstay_server.areas.alerts.schemas.rules import Rule
from mainstay_server.contracts.alerts.rules import (
    RunbookChanged,
    RunbookCreated,
    RunbookRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.markdown import document_to_html
from mainstay_server.kernel.problems import Conflict, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import ProjectRef

from .rules import rule_for
from .runbook_names import find_runbook, is_url

MOST_RUNBOOKS = 100
LONGEST_NAME = 100
LONGEST_BODY = 20_000
# A page may name one value thousands of times.
LONGEST_VALUE = 2_000
UNKNOWN = "(not known)"
FOLDER = Path(__file__).parent.parent / "templates" / "runbooks"
SHIPPED = {
    AlertType.INSTANCE_DOWN: "instance_down",
    AlertType.INSTANCE_DEGRADED: "instance_degraded",
    AlertType.HIGH_ERROR_RATE: "high_error_rate",
    AlertType.BACKUP_FAILED: "backup_failed",
    AlertType.STORAGE_LIMIT: "storage_limit",
    AlertType.CERTIFICATE_EXPIRING: "certificate_expiring",
    AlertType.DOMAIN_EXPIRING: "certificate_expiring",
    AlertType.QUOTA_REACHED: "quota_reached",
    AlertType.HEARTBEAT_MISSED: "heartbeat_missed",
    AlertType.NO_DATA: "no_data",
}
# What a rule over a measure is about is told by its measure.
BY_MEASURE = {
    "requests.error_rate": "high_error_rate",
    "errors.per_hour": "high_error_rate",
    "requests.p95_ms": "instance_degraded",
    "requests.p99_ms": "instance_degraded",
    "requests.average_ms": "instance_degraded",
    "health_checks.response_ms": "instance_degraded",
    "health_checks.failing": "instance_down",
    "health_checks.uptime": "instance_down",
    "backups.age": "backup_failed",
    "storage.used": "storage_limit",
    "quotas.used": "quota_reached",
}

_PLACEHOLDER = re.compile(r"\{\{ *([A-Za-z][A-Za-z0-9_.]{0,59}) *\}\}")
# Marks from the private use area stand for a value while Markdown is read, so that no value is
# read as Markdown; the text itself cannot hold them.
_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK = re.compile(f"{_OPEN}([A-Za-z0-9_.]+){_CLOSE}")


@dataclass(frozen=True, kw_only=True)
class RunbookShown:
    """A runbook with an alert's values filled in, or the address of one elsewhere."""

    source: Literal["project", "elsewhere", "shipped"]
    name: str
    html: str = ""
    url: str = ""
    runbook_id: str = ""


def get_runbook(session: Session, project_id: str, runbook_id: str) -> Runbook:
    """One runbook of a project. Raises `NotFound`."""
    found = session.get(Runbook, runbook_id)
    if found is None or found.project_id != project_id:
        raise NotFound(f"This project has no runbook {runbook_id!r}; GET …/runbooks lists them.")
    return found


def list_runbooks(session: Session, project_id: str) -> Sequence[Runbook]:
    """The runbooks that a project wrote, by name; at most 100."""
    return session.scalars(
        sa.select(Runbook)
        .where(Runbook.project_id == project_id)
        .order_by(Runbook.name)
        .limit(MOST_RUNBOOKS)
    ).all()


def write_runbook(
    session: Session,
    project: ProjectRef,
    runbook_id: str | None,
    *,
    name: str,
    body: str,
    now: datetime,
) -> Runbook:
    """Write a runbook, or change one.

    Raises:
        NotFound: the project has no such runbook.
        Conflict: the name is taken, or there are a hundred already.
    """
    found = None if runbook_id is None else get_runbook(session, project.id, runbook_id)
    taken = find_runbook(session, project.id, name)
    if taken is not None and taken is not found:
        raise Conflict(f"There is a runbook {name!r}; give this one another name.")
    if found is None and len(list_runbooks(session, project.id)) >= MOST_RUNBOOKS:
        raise Conflict(f"There are {MOST_RUNBOOKS} runbooks already; remove one first.")
    before = {} if found is None else {"name": found.name, "body": found.body}
    kind = RunbookCreated if found is None else RunbookChanged
    if found is None:
        found = Runbook(
            id=new_id(),
            organization_id=project.organization_id,
            project_id=project.id,
            created_at=now,
        )
        session.add(found)
    found.name, found.body, found.changed_at = name, body, now
    session.flush()
    changes = changes_between(before, {"name": name, "body": body})
    say(session, kind(**_named(found), changes=changes), now=now)
    return found


def remove_runbook(
    session: Session, project: ProjectRef, runbook_id: str, *, now: datetime
) -> None:
    """Remove a runbook; rules that name it show the shipped one, if there is one."""
    found = get_runbook(session, project.id, runbook_id)
    changes = changes_between({"name": found.name}, {})
    say(session, RunbookRemoved(**_named(found), changes=changes), now=now)
    session.delete(found)
    session.flush()


def runbook_of(session: Session, alert: Alert, instance: InstanceRef) -> RunbookShown | None:
    """What to do about an alert: as its rule says, else as its type says, else what is shipped."""
    rule = rule_for(session, instance.project_id, instance.id, AlertType(alert.type))
    named = named_by(alert, rule)
    if is_url(named):
        return RunbookShown(source="elsewhere", name=named, url=named)
    values = values_of(alert, instance)
    found = find_runbook(session, instance.project_id, named) if named else None
    if found is not None:
        shown = filled_in(found.body, values)
        return RunbookShown(source="project", name=found.name, html=shown, runbook_id=found.id)
    shipped = shipped_for(alert)
    if shipped is None:
        return None
    return RunbookShown(
        source="shipped", name=shipped, html=filled_in(shipped_body(shipped), values)
    )


def address_of(
    session: Session, alert: Alert, instance: InstanceRef, rule: Rule, *, page: str
) -> str:
    """Where the runbook of an alert is read: elsewhere, or on the page; "" when there is none.

    `rule` is that of its type which holds for the instance.
    """
    named = named_by(alert, rule)
    if is_url(named):
        return named
    own = bool(named) and find_runbook(session, instance.project_id, named) is not None
    return page if own or shipped_for(alert) else ""


def shipped_for(alert: Alert) -> str | None:
    """The name of the shipped runbook of an alert, by its type or else by its measure."""
    of_measure = BY_MEASURE.get(alert.labels.get("measure", ""))
    return SHIPPED.get(AlertType(alert.type), of_measure)


def named_by(alert: Alert, rule: Rule) -> str:
    """The runbook that an alert's own rule names, or else the rule of its type."""
    own = alert.annotations.get("runbook") or alert.annotations.get("runbook_url") or ""
    return own or rule.runbook


def values_of(alert: Alert, instance: InstanceRef) -> dict[str, str]:
    """What placeholders stand for: the alert's labels and annotations, and what it tells itself."""
    return {
        **alert.annotations,
        **alert.labels,
        "title": alert.title,
        "message": alert.message,
        "severity": alert.severity,
        "type": alert.type,
        "count": str(alert.count),
        "since": f"{alert.opened_at:%-d %b %Y, %H:%M} UTC",
        "project": instance.project_name,
        "environment": instance.environment,
        "url": instance.url or "the app",
    }


def filled_in(body: str, values: Mapping[str, str]) -> str:
    """Markdown as harmless HTML, with values in the place of `{{ name }}`.

    A value is put in as text after Markdown was read: whatever it holds, it is no markup.
    """
    text = body.replace(_OPEN, "").replace(_CLOSE, "")
    marked = _PLACEHOLDER.sub(rf"{_OPEN}\1{_CLOSE}", text)
    return _MARK.sub(
        lambda found: html.escape(values.get(found[1], UNKNOWN)[:LONGEST_VALUE]),
        document_to_html(marked),
    )


def shipped_body(name: str) -> str:
    """The Markdown of a runbook that ships with Mainstay."""
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def _named(runbook: Runbook) -> dict[str, str]:
    return {
        "organization_id": runbook.organization_id,
        "project_id": runbook.project_id,
        "runbook_id": runbook.id,
        "name": runbook.name,
    }

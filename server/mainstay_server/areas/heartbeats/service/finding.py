"""Finding the heartbeats that reports are for, all of a batch with a few statements."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.heartbeats.models import Heartbeat, HeartbeatKey
from mainstay_server.areas.heartbeats.schemas.reports import Outcome, Target
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_default_instance, find_instance

from .making import make_by_report, plan_anew


@dataclass(slots=True)
class Found:
    """The heartbeat that a report is for, or why there is none."""

    heartbeat: Heartbeat | None
    outcome: Outcome


# What a report asks of a heartbeat; the rest is read when a state changes, which is rare. Reading
# all sixty columns costs as much as everything else that is done with a report.
ASKED = sa.orm.load_only(
    Heartbeat.ping_id,
    Heartbeat.push_token,
    Heartbeat.slug,
    Heartbeat.organization_id,
    Heartbeat.project_id,
    Heartbeat.instance_id,
    Heartbeat.state,
    Heartbeat.schedule_kind,
    Heartbeat.period_seconds,
    Heartbeat.expression,
    Heartbeat.time_zone,
    Heartbeat.grace_seconds,
    Heartbeat.early_seconds,
    Heartbeat.start_grace_seconds,
    Heartbeat.min_duration_seconds,
    Heartbeat.max_duration_seconds,
    Heartbeat.most_reports,
    Heartbeat.manual_resume,
    Heartbeat.methods,
    Heartbeat.filter_subject,
    Heartbeat.filter_body,
    Heartbeat.filter_http_body,
    Heartbeat.pings_count,
    Heartbeat.last_ping_at,
    Heartbeat.last_signal,
    Heartbeat.counted_from,
    Heartbeat.due_at,
    Heartbeat.alert_at,
    Heartbeat.forgiven_until,
    Heartbeat.failures_in_row,
    Heartbeat.successes_in_row,
    Heartbeat.open_runs,
    Heartbeat.recent,
)
NOTHING = Found(None, Outcome.NOT_FOUND)


def find_targets(session: Session, targets: Sequence[Target], *, now: datetime) -> list[Found]:
    """The heartbeat of each target, locked; made where the target says so and there is none."""
    by_id = _by_column(session, Heartbeat.ping_id, {t.ping_id for t in targets if t.ping_id})
    tokens = {t.push_token for t in targets if t.push_token}
    by_token = _by_column(session, Heartbeat.push_token, tokens)
    by_slug = _Slugs(session, targets, now=now)
    found = []
    for target in targets:
        heartbeat = by_id.get(target.ping_id) or by_token.get(target.push_token)
        if heartbeat is not None:
            found.append(Found(heartbeat, Outcome.TAKEN))
        elif target.slug:
            found.append(by_slug.find(target))
        else:
            found.append(NOTHING)
    return found


def _by_column(
    session: Session,
    column: sa.orm.InstrumentedAttribute[str] | sa.orm.InstrumentedAttribute[str | None],
    values: set[str],
) -> dict[str, Heartbeat]:
    if not values:
        return {}
    rows = session.scalars(_locked(column.in_(values)))
    return {str(getattr(row, column.key)): row for row in rows}


def _locked(*conditions: sa.ColumnElement[bool]) -> sa.Select[Heartbeat]:
    """Rows in the order of their ids, so that two processes cannot wait for each other."""
    return (
        sa.select(Heartbeat)
        .where(*conditions)
        .order_by(Heartbeat.id)
        .with_for_update()
        .options(ASKED)
        .execution_options(populate_existing=True)
    )


class _Slugs:
    """What slugs stand for: within a ping key's project or instance, or within one instance."""

    def __init__(self, session: Session, targets: Iterable[Target], *, now: datetime) -> None:
        self._session = session
        self._now = now
        named = [target for target in targets if target.slug]
        self._keys = self._read_keys({t.ping_key for t in named if t.ping_key})
        slugs = {target.slug for target in named}
        projects = {key.project_id for key in self._keys.values()}
        projects |= {t.instance.project_id for t in named if t.instance is not None}
        self._rows: list[Heartbeat] = []
        if slugs and projects:
            self._rows = list(
                session.scalars(
                    _locked(Heartbeat.project_id.in_(projects), Heartbeat.slug.in_(slugs))
                )
            )

    def find(self, target: Target) -> Found:
        """The heartbeat of a slug; made with the first report when the target asks for it."""
        key = self._keys.get(target.ping_key)
        if key is None and target.instance is None:
            return NOTHING
        matching = [row for row in self._rows if _is_within(row, target, key)]
        if len(matching) > 1:
            return Found(None, Outcome.AMBIGUOUS)
        if matching:
            if target.plan is not None:
                plan_anew(self._session, matching[0], target.plan, now=self._now)
            return Found(matching[0], Outcome.TAKEN)
        instance = target.instance or self._instance_of(key)
        if not target.create or instance is None:
            return NOTHING
        try:
            made = make_by_report(self._session, instance, target, now=self._now)
        except Problem:
            return Found(None, Outcome.FULL)
        self._rows.append(made)
        return Found(made, Outcome.CREATED)

    def _read_keys(self, ping_keys: set[str]) -> dict[str, HeartbeatKey]:
        if not ping_keys:
            return {}
        rows = self._session.scalars(
            sa.select(HeartbeatKey).where(HeartbeatKey.ping_key.in_(ping_keys))
        )
        return {str(row.ping_key): row for row in rows}

    def _instance_of(self, key: HeartbeatKey | None) -> InstanceRef | None:
        if key is None:
            return None
        if key.instance_id is not None:
            return find_instance(self._session, key.instance_id)
        return find_default_instance(self._session, key.project_id)


def _is_within(row: Heartbeat, target: Target, key: HeartbeatKey | None) -> bool:
    if row.slug != target.slug:
        return False
    if target.instance is not None:
        return row.instance_id == target.instance.id
    assert key is not None, "a slug comes with a ping key or with an instance"
    return key.instance_id in (None, row.instance_id) and row.project_id == key.project_id

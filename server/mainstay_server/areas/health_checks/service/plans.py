"""Plans: what a probe elsewhere is told to ask, and how it learns of changes without a question."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import CheckPlace, HealthCheck, Probe
from mainstay_server.areas.health_checks.schemas.probes import AskNow, PlanAnswer, PlannedCheck
from mainstay_server.areas.health_checks.settings import HealthCheckSettings
from mainstay_server.kernel.settings import of

from . import configs
from .turns import is_watched

MOST_PLANNED = 10_000
ELSEWHERE_NEVER = frozenset({"browser"})
"""Kinds that only Mainstay itself asks: a browser is no small program."""


def version_of(probe: Probe) -> str:
    """The version of everything that the probe may have to be told."""
    return f"{probe.plan_version}.{probe.asked_version}"


def read_version(version: str) -> tuple[int, int]:
    """The two counters in a version that a probe gives; zeros for one that makes no sense."""
    plan, _, asked = version.partition(".")
    return (int(plan), int(asked)) if plan.isdecimal() and asked.isdecimal() else (0, 0)


def plan_of(session: Session, probe: Probe, *, after: str, with_secrets: bool) -> PlanAnswer:
    """What the probe is to ask, or only what is to be asked at once, if it knows the rest.

    Without `with_secrets` a check that has any is withheld: the connection would tell them.
    """
    settings = of(HealthCheckSettings)
    known_plan, known_asked = read_version(after)
    checks, withheld = None, 0
    if known_plan != probe.plan_version:
        rows = _planned(session, probe)
        open_rows = [row for row in rows if with_secrets or not has_secrets(row)]
        checks = [_told(row) for row in open_rows]
        withheld = len(rows) - len(open_rows)
    asked = session.execute(
        sa.select(CheckPlace.health_check_id, CheckPlace.asked_at)
        .where(
            CheckPlace.organization_id == probe.organization_id,
            CheckPlace.location == probe.location,
            CheckPlace.asked_version > known_asked,
        )
        .limit(MOST_PLANNED)
    )
    return PlanAnswer(
        version=version_of(probe),
        checks=checks,
        # A program that has just begun asks everything in its turn: old wishes are over.
        ask_now=[AskNow(id=id_, at=at) for id_, at in asked] if known_plan else [],
        withheld=withheld,
        confirm_seconds=settings.health_checks_confirm_seconds,
        at_once=settings.health_checks_at_once,
        per_host=settings.health_checks_per_host,
    )


def digest_of(check: configs.Asked) -> str:
    """What tells an answer to the present question from one to an older: not reversible.

    The secrets go into it as they lie, sealed.
    """
    asked = [check.kind, check.url, check.config, list(check.conditions)]
    asked += [check.interval_seconds, check.timeout_seconds, check.degraded_after_ms]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


def has_secrets(check: configs.Asked) -> bool:
    """Whether telling how the check is asked tells a secret; a URL may carry one as well."""
    return bool(configs.secrets_of(configs.config_of(check))) or "@" in check.url


def _planned(session: Session, probe: Probe) -> Sequence[HealthCheck]:
    return session.scalars(
        sa.select(HealthCheck)
        .join(CheckPlace, CheckPlace.health_check_id == HealthCheck.id)
        .where(
            CheckPlace.organization_id == probe.organization_id,
            CheckPlace.location == probe.location,
            HealthCheck.organization_id == probe.organization_id,
            HealthCheck.kind.not_in(ELSEWHERE_NEVER),
            is_watched(),
        )
        .order_by(HealthCheck.id)
        .limit(MOST_PLANNED)
    ).all()


def _told(check: HealthCheck) -> PlannedCheck:
    config: dict[str, Any] = configs.opened(check)
    return PlannedCheck(
        id=check.id,
        digest=digest_of(check),
        kind=check.kind,
        url=check.url,
        target=check.target,
        host=configs.host_of(check),
        config=config,
        conditions=list(check.conditions),
        interval_seconds=check.interval_seconds,
        timeout_seconds=check.timeout_seconds,
        degraded_after_ms=check.degraded_after_ms,
        state=str(check.state),
    )

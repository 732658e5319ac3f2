"""What people decide of findings: accept a risk until a day, call it false, take it back."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.vulnerabilities.models import Decision, Status, VulnerabilityFinding
from mainstay_server.contracts.vulnerabilities import VulnerabilityDecided
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef

from .settings import lock_settings
from .states import status_of
from .trends import record_open

FACTS = ("status", "decision", "decided_reason", "decided_until")
MOST_AT_ONCE = 1000


def get_finding(session: Session, instance_id: str, finding_id: str) -> VulnerabilityFinding:
    """A finding of an instance. Raises `NotFound`, also for one of another instance."""
    finding = session.get(VulnerabilityFinding, finding_id)
    if finding is None or finding.instance_id != instance_id:
        raise NotFound("There is no such finding of this instance; go back to the list.")
    return finding


def get_finding_of_any(
    session: Session, instances: Sequence[InstanceRef], finding_id: str
) -> tuple[VulnerabilityFinding, InstanceRef]:
    """A finding of one of some instances, and that one. Raises `NotFound`."""
    finding = session.get(VulnerabilityFinding, finding_id)
    for instance in instances:
        if finding is not None and finding.instance_id == instance.id:
            return finding, instance
    raise NotFound("There is no such finding of this project; go back to the list.")


def decide(  # noqa: PLR0913 - one decision, all of it
    session: Session,
    instance: InstanceRef,
    finding_id: str,
    decision: Decision,
    *,
    reason: str = "",
    until: datetime | None = None,
    now: datetime,
) -> VulnerabilityFinding:
    """Decide of a finding, or with `Decision.NONE` take a decision back; it is kept why.

    A decision outlives the finding: what was called false and comes back is false still, and nobody
    is told. What was accepted is open again by itself when its time is over.

    Raises:
        Invalid: no reason, or an end that is not ahead.
        NotFound: no such finding of this instance.
    """
    if decision is not Decision.NONE and not reason.strip():
        raise Invalid("reason: say why, for those who look at it later.")
    if decision is not Decision.ACCEPTED:
        until = None
    if until is not None and until <= now:
        raise Invalid("until: choose a time that lies ahead, or leave it out.")
    lock_settings(session, instance.id)
    finding = get_finding(session, instance.id, finding_id)
    before = facts_of(finding, FACTS)
    finding.decision = decision
    finding.decided_reason = reason.strip() if decision is not Decision.NONE else ""
    finding.decided_until = until
    finding.decided_at = now if decision is not Decision.NONE else None
    finding.status = _status(finding, now)
    session.flush()
    record_open(session, instance.id, now=now)
    decided = VulnerabilityDecided(
        **instance.ids,
        finding_id=finding.id,
        title=finding.title,
        changes=changes_between(before, facts_of(finding, FACTS)),
    )
    say(session, decided, now=now)
    return finding


def end_acceptances(session: Session, *, now: datetime) -> int:
    """Open again what was accepted until now; returns how many."""
    over = session.scalars(
        sa.select(VulnerabilityFinding)
        .where(
            VulnerabilityFinding.status == Status.ACCEPTED,
            VulnerabilityFinding.decided_until <= now,
        )
        .order_by(VulnerabilityFinding.instance_id)
        .limit(MOST_AT_ONCE)
        .with_for_update(skip_locked=True)
    ).all()
    for finding in over:
        finding.status = _status(finding, now)
    session.flush()
    for instance_id in dict.fromkeys(finding.instance_id for finding in over):
        record_open(session, instance_id, now=now)
    return len(over)


def _status(finding: VulnerabilityFinding, now: datetime) -> Status:
    return status_of(
        present=finding.present,
        was_on_main=finding.main_since is not None,
        decision=Decision(finding.decision),
        until=finding.decided_until,
        now=now,
    )

"""What vulnerabilities do at set times: end acceptances, forget what is over."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.kernel.jobs import job
from mainstay_server.kernel.settings import of

from .service import deciding, forgetting
from .settings import VulnerabilitySettingsOfServer


@job(every=timedelta(minutes=5))
def end_acceptances(session: Session, *, now: datetime) -> int:
    """Open again what was accepted until a time that is over."""
    return deciding.end_acceptances(session, now=now)


@job(cron="50 3 * * *", task="cleanup")
def forget_old_findings(session: Session, *, now: datetime) -> int:
    """Forget branches that nobody scans any more, and what was fixed or uploaded long ago."""
    settings = of(VulnerabilitySettingsOfServer)
    kept = timedelta(days=settings.vulnerabilities_keep_days)
    branches = timedelta(days=settings.vulnerabilities_keep_branch_days)
    forgotten = forgetting.forget_branches(session, before=now - branches)
    return forgotten + forgetting.forget_old(session, before=now - kept)

"""Remediation: an automatic action that may put right by itself what an alert is about."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.kernel.ports import port


@port
def start_remediation(session: Session, alert_id: str, *, action: str, now: datetime) -> bool:
    """Start an automatic action for an active alert; False when none fits, or none may run now.

    `action` names one that the project allows; "" is whichever fits the alert. Nothing is awaited:
    it is started after the commit, once, and what becomes of it shows as the alert ends or not.
    Whoever asks looks first whether the port is answered, and goes without it otherwise.
    """
    raise NotImplementedError

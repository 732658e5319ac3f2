"""What every change of a page has in common: it grows its version, and wakes who keeps it."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.status_pages.models import StatusPage
from mainstay_server.kernel import shared
from mainstay_server.kernel.database import after_commit

CHANNEL = "status_pages.changed"


def record_change(session: Session, page_id: str, *, now: datetime) -> None:
    """Note that something of a page is different from now on; told to all once it is committed.

    The telling is a hint: whoever keeps a page compares versions every second anyway.
    """
    session.flush()
    session.execute(
        sa.update(StatusPage)
        .where(StatusPage.id == page_id)
        .values(version=StatusPage.version + 1, changed_at=now)
        .execution_options(synchronize_session="fetch")
    )
    after_commit(
        session, f"status_page:{page_id}", lambda: shared.publish(CHANNEL, page_id.encode())
    )

"""How processes learn that projects, keys or instances changed, without reading them all."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.kernel.database import after_commit, insert

from .models import TenancyVersion

THE_ROW = 1


class _Here:
    """What this process itself changed: known at once, without asking the database."""

    changes = 0


def mark_changed(session: Session) -> None:
    """Have every process read projects, keys and instances again once this transaction is done.

    Call it last: on PostgreSQL all who change something wait here for each other.
    """
    new = insert(TenancyVersion).values(id=THE_ROW, number=1)
    session.execute(
        new.on_conflict_do_update(
            index_elements=[TenancyVersion.id], set_={"number": TenancyVersion.number + 1}
        )
    )
    after_commit(session, "tenancy", _note_change)


def version(session: Session) -> int:
    """The number to remember before reading what it stands for."""
    found = session.scalar(sa.select(TenancyVersion.number).where(TenancyVersion.id == THE_ROW))
    return found or 0


def changes_here() -> int:
    """How many transactions of this process have changed something."""
    return _Here.changes


def _note_change() -> None:
    _Here.changes += 1

"""How every process learns within a second that a policy changed."""

from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.kernel import shared
from mainstay_server.kernel.database import after_commit, insert

from .models import GuardVersion

CHANNEL = "guard-policy"


class _Here:
    """What this process itself changed: known at once, without asking anybody."""

    changes = 0


def touch_policies(session: Session, instance_ids: Sequence[str]) -> None:
    """Have every process make the policies of some instances anew once this transaction is done.

    The number in the database is the truth; the word through the shared store is only quicker.
    Call it last: on PostgreSQL all who change the same policy wait here for each other.
    """
    for instance_id in sorted(set(instance_ids)):
        new = insert(GuardVersion).values(instance_id=instance_id, number=1)
        session.execute(
            new.on_conflict_do_update(
                index_elements=[GuardVersion.instance_id],
                set_={"number": GuardVersion.number + 1},
            )
        )
        after_commit(session, f"guard:{instance_id}", partial(_tell, instance_id))


def policy_version(session: Session, instance_id: str) -> int:
    """The number of an instance's policy; read before what the policy is made of."""
    found = session.scalar(
        sa.select(GuardVersion.number).where(GuardVersion.instance_id == instance_id)
    )
    return found or 0


def changes_here() -> int:
    """How many policies the transactions of this process have changed."""
    return _Here.changes


def _tell(instance_id: str) -> None:
    _Here.changes += 1
    shared.publish(CHANNEL, instance_id.encode())

"""Groups, made where something joins them first, and held by whoever tells what they gathered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models.routing import AlertGroup
from mainstay_server.kernel.database import insert, new_id


@dataclass(frozen=True, kw_only=True)
class Joined:
    """What tells a group from others: its channel, the route by which that hears, and a key."""

    project_id: str
    channel_id: str
    route_id: str = ""
    key: str
    labels: Mapping[str, str] = field(default_factory=dict)


def hold_groups(
    session: Session, joined: Sequence[Joined], *, now: datetime
) -> Mapping[str, AlertGroup]:
    """Groups of different channels, by channel, locked until the commit in the order given."""
    statement = (
        insert(AlertGroup)
        .values([{"id": new_id(), "touched_at": now, **vars(one)} for one in joined])
        .on_conflict_do_update(
            index_elements=["channel_id", "route_id", "key"], set_={"touched_at": now}
        )
        .returning(AlertGroup)
    )
    groups = session.scalars(
        sa.select(AlertGroup).from_statement(statement).execution_options(populate_existing=True)
    )
    return {group.channel_id: group for group in groups}

"""Which document holds which thing."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.configuration.models import ConfigurationClaim
from mainstay_server.kernel.batching import batched
from mainstay_server.kernel.database import insert, new_id

AT_ONCE = 200

Thing = tuple[str, str]


def claims_of(session: Session, project_id: str) -> Mapping[Thing, str]:
    """The owner of each thing that a document holds, by the name of its kind and its id."""
    rows = session.execute(
        sa.select(
            ConfigurationClaim.kind, ConfigurationClaim.thing_id, ConfigurationClaim.owner
        ).where(ConfigurationClaim.project_id == project_id)
    )
    return {(kind, thing_id): owner for kind, thing_id, owner in rows}


def claim(
    session: Session, project_id: str, owner: str, things: Iterable[Thing], *, now: datetime
) -> None:
    """Let a document hold things, whoever did before."""
    rows = [
        {
            "id": new_id(),
            "project_id": project_id,
            "kind": kind,
            "thing_id": thing_id,
            "owner": owner,
            "claimed_at": now,
        }
        for kind, thing_id in things
    ]
    for some in batched(rows, AT_ONCE):
        session.execute(
            insert(ConfigurationClaim)
            .values(some)
            .on_conflict_do_update(
                index_elements=["project_id", "kind", "thing_id"],
                set_={"owner": owner, "claimed_at": now},
            )
        )


def let_go(session: Session, project_id: str, things: Iterable[Thing]) -> None:
    """Forget who held things that are gone."""
    by_kind: dict[str, list[str]] = {}
    for kind, thing_id in things:
        by_kind.setdefault(kind, []).append(thing_id)
    for kind, ids in by_kind.items():
        for some in batched(ids, AT_ONCE):
            session.execute(
                sa.delete(ConfigurationClaim).where(
                    ConfigurationClaim.project_id == project_id,
                    ConfigurationClaim.kind == kind,
                    ConfigurationClaim.thing_id.in_(some),
                )
            )

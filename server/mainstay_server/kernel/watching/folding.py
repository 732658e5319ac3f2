"""Everything that is watched, whichever area watches it."""

from collections.abc import Collection
from operator import attrgetter

from sqlalchemy.orm import Session

from mainstay_server.kernel.area import installed
from mainstay_server.kernel.subjects import Watched

MOST_WATCHED = 5_000


def list_watched(session: Session, project_id: str, *, limit: int = MOST_WATCHED) -> list[Watched]:
    """What is watched in a project, by name; at most so many."""
    found = [
        watched
        for area in installed()
        if area.watches is not None
        for watched in area.watches.list(session, project_id, limit=limit)
    ]
    return sorted(found, key=attrgetter("name", "id"))[:limit]


def find_watched(session: Session, ids: Collection[str]) -> dict[str, Watched]:
    """Those of the ids that are watched (still), by id. Callers check whose they are."""
    return {
        watched.id: watched
        for area in installed()
        if area.watches is not None and ids
        for watched in area.watches.find(session, ids)
    }

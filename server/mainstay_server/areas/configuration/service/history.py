"""When documents were applied, and by whom."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.configuration.models import ConfigurationApplied
from mainstay_server.kernel.pagination import Page, decode_cursor, decode_moment, page_of


def list_applied(
    session: Session, project_id: str, *, limit: int, cursor: str = ""
) -> Page[ConfigurationApplied]:
    """The times that documents were applied to a project, newest first."""
    statement = sa.select(ConfigurationApplied).where(ConfigurationApplied.project_id == project_id)
    position = decode_cursor(cursor, parts=2)
    if position is not None:
        order = sa.tuple_(ConfigurationApplied.applied_at, ConfigurationApplied.id)
        statement = statement.where(order < (decode_moment(position[0]), str(position[1])))
    found = session.scalars(
        statement.order_by(
            ConfigurationApplied.applied_at.desc(), ConfigurationApplied.id.desc()
        ).limit(limit + 1)
    ).all()
    return page_of(found, limit=limit, key=_position)


def _position(applied: ConfigurationApplied) -> tuple[str, str]:
    return (applied.applied_at.isoformat(), applied.id)

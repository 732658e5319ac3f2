"""Looking at results: uploads, series, and the cases of one."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.results.models import CaseStatus, Kind, ResultUpload
from mainstay_server.areas.results.schemas.parsed import Case, Parsed
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of

MOST_SERIES = 200
IN_CHART = 60


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Which uploads; an empty field stands for all."""

    kind: Kind | None = None
    name: str = ""
    branch: str = ""

    @property
    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """What is asked of rows."""
        asked = (
            (ResultUpload.kind, self.kind),
            (ResultUpload.name, self.name),
            (ResultUpload.branch, self.branch),
        )
        return [column == value for column, value in asked if value]


def list_uploads(
    session: Session, project_id: str, chosen: Chosen, *, limit: int, cursor: str = ""
) -> Page[ResultUpload]:
    """The uploads of a project, newest first."""
    statement = (
        sa.select(ResultUpload)
        .where(ResultUpload.project_id == project_id, *chosen.conditions)
        .order_by(ResultUpload.id.desc())
        .limit(limit + 1)
    )
    after = decode_cursor(cursor, parts=1)
    if after is not None:
        statement = statement.where(ResultUpload.id < str(after[0]))
    return page_of(session.scalars(statement).all(), limit=limit, key=lambda each: (each.id,))


def series_of(session: Session, project_id: str) -> Sequence[tuple[Kind, str, str]]:
    """The kinds, names and branches of a project, the newest first; at most 200."""
    columns = (ResultUpload.kind, ResultUpload.name, ResultUpload.branch)
    rows = session.execute(
        sa.select(*columns)
        .where(ResultUpload.project_id == project_id)
        .group_by(*columns)
        .order_by(sa.func.max(ResultUpload.id).desc())
        .limit(MOST_SERIES)
    )
    return [(Kind(kind), name, branch) for kind, name, branch in rows]


def history_of(session: Session, upload: ResultUpload) -> Sequence[ResultUpload]:
    """The newest uploads of the same series, oldest first; at most 60."""
    newest = session.scalars(
        sa.select(ResultUpload)
        .where(
            ResultUpload.project_id == upload.project_id,
            *Chosen(kind=upload.kind, name=upload.name).conditions,
            ResultUpload.branch == upload.branch,
        )
        .order_by(ResultUpload.id.desc())
        .limit(IN_CHART)
    )
    return list(newest)[::-1]


def list_cases(
    parsed: Parsed,
    *,
    status: CaseStatus | None = None,
    text: str = "",
    limit: int,
    cursor: str = "",
) -> Page[Case]:
    """A page of the cases by name."""
    after = decode_cursor(cursor, parts=1)
    last, wanted = str(after[0]) if after else "", text.casefold()
    found = [
        case
        for case in parsed.cases
        if case.name > last
        and (status is None or case.status is status)
        and wanted in case.name.casefold()
    ]
    return page_of(found[: limit + 1], limit=limit, key=lambda case: (case.name,))

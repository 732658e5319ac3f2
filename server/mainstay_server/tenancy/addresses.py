"""Where the server is reached from outside: the base of links and DSNs."""

from urllib.parse import urlsplit, urlunsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.kernel.settings import ServerSettings, of

from .models import IngestKey
from .subjects import ProjectRef


def base_url(request: Request) -> str:
    """The address that people and SDKs use, without a slash at its end.

    The setting counts; without it, the address by which this very request came.
    """
    return (of(ServerSettings).base_url or str(request.base_url)).rstrip("/")


def dsn(base: str, key: str, number: int) -> str:
    """What an SDK is given: `{scheme}://{key}@{host}{/path}/{number}`; empty without a key."""
    if not key:
        return ""
    parts = urlsplit(base)
    path = f"{parts.path.rstrip('/')}/{number}"
    return urlunsplit((parts.scheme, f"{key}@{parts.netloc}", path, "", ""))


def dsn_with_secret(session: Session, base: str, project: ProjectRef, secret: str) -> str:
    """The DSN for a project's own servers: `{scheme}://{key}:{secret}@{host}{/path}/{number}`."""
    return dsn(base, f"{_oldest_key(session, project.id)}:{secret}", project.number)


def project_dsn(request: Request, session: Session, *, project_id: str, number: int) -> str:
    """The DSN with a project's oldest enabled ingest key, for snippets; empty without one."""
    return dsn(base_url(request), _oldest_key(session, project_id), number)


def _oldest_key(session: Session, project_id: str) -> str:
    key = session.scalar(
        sa.select(IngestKey.key)
        .where(IngestKey.project_id == project_id, IngestKey.disabled_at.is_(None))
        .order_by(IngestKey.id)
        .limit(1)
    )
    return key or ""

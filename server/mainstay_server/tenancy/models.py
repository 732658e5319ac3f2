"""Who is asking and about what: organizations, people, keys, projects and their instances."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id

DEFAULT_INTERVAL_SECONDS = 300
DEFAULT_TIMEOUT_SECONDS = 10
DEFAULT_DEGRADED_AFTER_MS = 2000


class Role(StrEnum):
    """What a membership allows; each role may do all that the ones below it may."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"

    @property
    def rank(self) -> int:
        """How much the role allows, from 0 (viewer) up."""
        return (Role.VIEWER, Role.MEMBER, Role.ADMIN, Role.OWNER).index(self)

    def covers(self, needed: "Role") -> bool:
        """Whether this role may do what the needed one may."""
        return self.rank >= needed.rank


class Organization(Base):
    """Whom projects, plans and quotas belong to."""

    __tablename__ = "organizations"

    id: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    created_at: Mapped[datetime]


class Person(Base):
    """Somebody who signs in. The address is kept in lower case."""

    __tablename__ = "people"

    id: Mapped[Id] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(254), unique=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    password_hash: Mapped[str] = mapped_column(sa.String(200))
    created_at: Mapped[datetime]


class Membership(Base):
    """A person in an organization, with one role."""

    __tablename__ = "memberships"
    __table_args__ = (sa.UniqueConstraint("organization_id", "person_id"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    person_id: Mapped[str] = mapped_column(
        sa.ForeignKey("people.id", ondelete="CASCADE"), index=True
    )
    role: Mapped[Role] = mapped_column(sa.String(10))
    created_at: Mapped[datetime]


class SignInSession(Base):
    """One signed-in browser; the cookie holds the token, the table only its SHA-256."""

    __tablename__ = "sign_in_sessions"

    id: Mapped[Id] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(
        sa.ForeignKey("people.id", ondelete="CASCADE"), index=True
    )
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    address: Mapped[str] = mapped_column(sa.String(64))
    client: Mapped[str] = mapped_column(sa.String(300))


class AccessToken(Base):
    """Opens the API for a person or a machine of one organization, within its scopes."""

    __tablename__ = "access_tokens"

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    person_id: Mapped[str] = mapped_column(
        sa.ForeignKey("people.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(100))
    hint: Mapped[str] = mapped_column(sa.String(20))
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class OneTimeLink(Base):
    """A link that works once: the first set-up, or an invitation into an organization."""

    __tablename__ = "one_time_links"

    id: Mapped[Id] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(sa.String(20))
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    role: Mapped[Role] = mapped_column(sa.String(10))
    made_by: Mapped[str | None] = mapped_column(
        sa.ForeignKey("people.id", ondelete="CASCADE"), index=True
    )
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Project(Base):
    """One application. `number` is its id in a DSN, because SDKs read an integer there."""

    __tablename__ = "projects"

    id: Mapped[Id] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    slug: Mapped[str] = mapped_column(sa.String(60), unique=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    created_at: Mapped[datetime]


class IngestKey(Base):
    """The public key in a DSN: may send, may never read."""

    __tablename__ = "ingest_keys"

    id: Mapped[Id] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    key: Mapped[str] = mapped_column(sa.String(32), unique=True)
    label: Mapped[str] = mapped_column(sa.String(60))
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class Instance(Base):
    """One environment of a project, with the URL of what runs there and how it is asked."""

    __tablename__ = "instances"
    __table_args__ = (sa.UniqueConstraint("project_id", "environment"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    environment: Mapped[str] = mapped_column(sa.String(64))
    url: Mapped[str] = mapped_column(sa.String(2000), default="")
    health_path: Mapped[str] = mapped_column(sa.String(500), default="")
    interval_seconds: Mapped[int] = mapped_column(default=DEFAULT_INTERVAL_SECONDS)
    timeout_seconds: Mapped[int] = mapped_column(default=DEFAULT_TIMEOUT_SECONDS)
    degraded_after_ms: Mapped[int] = mapped_column(default=DEFAULT_DEGRADED_AFTER_MS)
    created_at: Mapped[datetime]


class TenancyVersion(Base):
    """One row whose number grows with every change to projects, keys and instances.

    What a process holds of them in memory is as fresh as the number it read before reading them.
    """

    __tablename__ = "tenancy_version"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]

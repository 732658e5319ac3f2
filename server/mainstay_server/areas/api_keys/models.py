"""API keys, of which only digests are kept, and what an instance asks of the bearers of keys."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id

DEFAULT_MOST_PER_OWNER = 100
DEFAULT_ROTATE_AFTER_DAYS = 90


class Status(StrEnum):
    """What a key is now. Active and rotating ones open something; the others open nothing.

    Rotating: it has a successor and works for the rest of its grace. Retired: that is over.
    """

    ACTIVE = "active"
    ROTATING = "rotating"
    DISABLED = "disabled"
    EXPIRED = "expired"
    RETIRED = "retired"
    REVOKED = "revoked"


class ApiKey(Base):
    """One key that a project gave to one of its users.

    `digest` is what the guard compares, under a pepper of the project; `fingerprint` finds a key
    of which nobody says whose it is, under a pepper of the server. Neither pepper is in the
    database. `expires_at` is the end that people chose, `retires_at` the end of the grace after a
    rotation, `ends_at` the earlier of them: the key dies then, whether or not any job runs.
    `replaced_by` and `replaces` are the keys after and before it. The two `…_reminded_at` say that
    people were told.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        sa.Index("ix_api_keys_instance_id_id", "instance_id", "id"),
        sa.Index("ix_api_keys_instance_id_owner", "instance_id", "owner"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    instance_id: Mapped[str] = mapped_column(sa.ForeignKey("instances.id", ondelete="CASCADE"))
    digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    fingerprint: Mapped[str] = mapped_column(sa.String(64), unique=True)
    prefix: Mapped[str] = mapped_column(sa.String(40))
    last_four: Mapped[str] = mapped_column(sa.String(4))
    name: Mapped[str] = mapped_column(sa.String(100))
    owner: Mapped[str] = mapped_column(sa.String(100), default="")
    plan: Mapped[str] = mapped_column(sa.String(40), default="")
    scopes: Mapped[list[str]]
    networks: Mapped[list[str]]
    limits: Mapped[list[Any]]
    extra: Mapped[dict[str, Any]] = mapped_column("metadata")
    enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    retires_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    leaked_at: Mapped[datetime | None]
    leaked_where: Mapped[str] = mapped_column(sa.String(500), default="")
    replaces: Mapped[str | None] = mapped_column(sa.String(36))
    replaced_by: Mapped[str | None] = mapped_column(sa.String(36))
    last_used_at: Mapped[datetime | None] = mapped_column(index=True)
    rotation_reminded_at: Mapped[datetime | None]
    expiry_reminded_at: Mapped[datetime | None]

    @property
    def hint(self) -> str:
        """How people tell it from others: its beginning and its last four characters."""
        return f"{self.prefix}…{self.last_four}"

    def status_at(self, now: datetime) -> Status:
        """What the key is at a moment."""
        if self.revoked_at is not None:
            return Status.REVOKED
        if self.retires_at is not None and self.retires_at <= now:
            return Status.RETIRED
        if self.ends_at is not None and self.ends_at <= now:
            return Status.EXPIRED
        if not self.enabled:
            return Status.DISABLED
        return Status.ACTIVE if self.retires_at is None else Status.ROTATING


class ApiKeySettings(Base):
    """What one instance asks of the bearers of keys; without a row it asks nothing.

    `scopes` are rules of the form `{"methods": […], "paths": […], "scopes": […]}`.
    """

    __tablename__ = "api_key_settings"

    instance_id: Mapped[Id] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True
    )
    required: Mapped[list[str]]
    public: Mapped[list[str]]
    scopes: Mapped[list[Any]]
    most_per_owner: Mapped[int] = mapped_column(default=DEFAULT_MOST_PER_OWNER)
    rotate_after_days: Mapped[int] = mapped_column(default=DEFAULT_ROTATE_AFTER_DAYS)
    changed_at: Mapped[datetime]

"""What somebody changed about the limits of an instance, and whom was spoken of lately."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base
from mainstay_server.kernel.limits import OnError


class By(StrEnum):
    """Whom a limit counts; what is not known of a request falls back to its caller.

    The caller is the API key, or without one the client's address.
    """

    CALLER = "caller"
    KEY = "key"
    ADDRESS = "address"
    OWNER = "owner"
    PLAN = "plan"
    INSTANCE = "instance"
    PERSON = "person"


class RateLimitPolicy(Base):
    """One limit of an instance; its name is what clients are told.

    Without a row of that name the default of that name in `schemas` holds, if there is one.
    """

    __tablename__ = "rate_limit_policies"

    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    methods: Mapped[list[str]]
    paths: Mapped[list[str]]
    plans: Mapped[list[str]]
    by: Mapped[By] = mapped_column(sa.String(10))
    quota: Mapped[int] = mapped_column(sa.BigInteger())
    window_seconds: Mapped[int]
    burst: Mapped[int] = mapped_column(sa.BigInteger())
    cost: Mapped[int]
    on_backend_error: Mapped[OnError] = mapped_column(sa.String(10))
    simulate: Mapped[bool]
    enabled: Mapped[bool]
    changed_at: Mapped[datetime]


class RateLimitTelling(Base):
    """When it was last said of an address that limits hold it back, so that it is said seldom."""

    __tablename__ = "rate_limit_tellings"

    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True
    )
    address: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    said_at: Mapped[datetime] = mapped_column(index=True)

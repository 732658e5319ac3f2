"""Buckets in the relational store, for several processes without a Redis."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base


class LimitBucket(Base):
    """One bucket that is not full; `tat_us` is in microseconds since 1970."""

    __tablename__ = "limit_buckets"

    key: Mapped[str] = mapped_column(sa.String(200), primary_key=True)
    tat_us: Mapped[int] = mapped_column(sa.BigInteger(), index=True)

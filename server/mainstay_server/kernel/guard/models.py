"""The version of each instance's policy, which grows in the transaction that changes it."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id


class GuardVersion(Base):
    """One row an instance; without one the version is 0."""

    __tablename__ = "guard_versions"

    instance_id: Mapped[Id] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(sa.BigInteger())

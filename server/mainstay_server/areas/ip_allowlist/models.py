"""The addresses and networks from which an instance may be called."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id


class AllowlistEntry(Base):
    """One address or network, in its one canonical form; an entry that is off lets nobody in."""

    __tablename__ = "ip_allowlist"
    __table_args__ = (sa.UniqueConstraint("instance_id", "network"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), index=True
    )
    network: Mapped[str] = mapped_column(sa.String(50))
    description: Mapped[str] = mapped_column(sa.String(200), default="")
    enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]

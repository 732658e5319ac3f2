"""The outbox: what was said, and what each reaction still has to hear."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.clock import LEASED, WAITS
from mainstay_server.kernel.database import Base, Id


class DeliveryStatus(StrEnum):
    """`waiting` until the reaction returned; `dead` after its last try or a refusal for good."""

    WAITING = "waiting"
    DONE = "done"
    DEAD = "dead"


class OutboxEvent(Base):
    """One event, in the order it was said, with who did it from where."""

    __tablename__ = "outbox_events"

    position: Mapped[int] = mapped_column(
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
    )
    name: Mapped[str] = mapped_column(sa.String(100))
    subject: Mapped[str] = mapped_column(sa.String(200))
    body: Mapped[str] = mapped_column(sa.Text())
    said_at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(sa.String(200), default="")
    actor_name: Mapped[str] = mapped_column(sa.String(100), default="", server_default="")
    actor_email: Mapped[str] = mapped_column(sa.String(254), default="", server_default="")
    address: Mapped[str] = mapped_column(sa.String(64), default="")
    client: Mapped[str] = mapped_column(sa.String(300), default="")


class OutboxDelivery(Base):
    """One event on its way to one reaction. `id` is the idempotency key that receivers see."""

    __tablename__ = "outbox_deliveries"
    __table_args__ = (
        sa.Index(
            "ix_outbox_deliveries_waiting",
            "reaction",
            "subject",
            "position",
            sqlite_where=sa.text("status = 'waiting'"),
            postgresql_where=sa.text("status = 'waiting'"),
        ),
        sa.Index(
            "ix_outbox_deliveries_due",
            "due_at",
            sqlite_where=sa.text("status = 'waiting'"),
            postgresql_where=sa.text("status = 'waiting'"),
        ),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(
        sa.ForeignKey("outbox_events.position", ondelete="CASCADE"), index=True
    )
    reaction: Mapped[str] = mapped_column(sa.String(150))
    subject: Mapped[str] = mapped_column(sa.String(200))
    status: Mapped[DeliveryStatus] = mapped_column(sa.String(10), default=DeliveryStatus.WAITING)
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = mapped_column(info=WAITS)
    done_at: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(sa.String(500), default="")
    owner: Mapped[str] = mapped_column(sa.String(120), default="")
    leased_until: Mapped[datetime | None] = mapped_column(info=LEASED)

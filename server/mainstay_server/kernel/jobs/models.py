"""One row per job: when it is due next, who holds it, how it went."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.clock import LEASED
from mainstay_server.kernel.database import Base


class JobState(Base):
    """The state of one job over all workers. `fence` grows with every claim."""

    __tablename__ = "jobs"

    name: Mapped[str] = mapped_column(sa.String(150), primary_key=True)
    due_at: Mapped[datetime]
    owner: Mapped[str] = mapped_column(sa.String(120), default="")
    fence: Mapped[int] = mapped_column(default=0)
    leased_until: Mapped[datetime | None] = mapped_column(info=LEASED)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(sa.String(500), default="")
    runs: Mapped[int] = mapped_column(default=0)
    failures_in_row: Mapped[int] = mapped_column(default=0)

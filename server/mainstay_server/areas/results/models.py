"""What is kept of an upload: what it was called, and how it went; what is in it lies in blobs."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id


class Kind(StrEnum):
    """What a file of results is: of tests, of the steps of a run, or numbers that were measured."""

    TEST_REPORT = "test-report"
    RUN_LEDGER = "run-ledger"
    ANALYSIS = "analysis"


class CaseStatus(StrEnum):
    """How one test or step went; an error is a failure."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class ResultUpload(Base):
    """One file of results. Uploads of one kind, name and branch are a series that is compared.

    The same file of the same commit is one upload, however often it is sent.
    """

    __tablename__ = "result_uploads"
    __table_args__ = (
        sa.UniqueConstraint("project_id", "kind", "name", "branch", "commit", "digest"),
        sa.Index("ix_result_uploads_series", "project_id", "kind", "name", "branch", "id"),
        sa.Index("ix_result_uploads_received", "received_at"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    kind: Mapped[Kind] = mapped_column(sa.String(20))
    name: Mapped[str] = mapped_column(sa.String(200))
    branch: Mapped[str] = mapped_column(sa.String(200))
    commit: Mapped[str] = mapped_column(sa.String(64))
    digest: Mapped[str] = mapped_column(sa.String(64))
    made_by: Mapped[str] = mapped_column(sa.String(200))
    bytes: Mapped[int]
    total: Mapped[int]
    passed: Mapped[int]
    failed: Mapped[int]
    skipped: Mapped[int]
    seconds: Mapped[float]
    metrics: Mapped[int]
    received_at: Mapped[datetime]

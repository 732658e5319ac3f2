"""when a renewal was first seen."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "health_checks_0006"
down_revision: str | None = "objectives_0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

COLUMNS = ("certificate_later_since", "domain_later_since")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("health_checks", sa.Column(name, sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_column("health_checks", name)

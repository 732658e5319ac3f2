"""one open spell per subject."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "kernel_0006"
down_revision: str | None = "maintenance_0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    is_open = sa.text("ended_at IS NULL")
    op.create_index(
        "uq_spells_open",
        "spells",
        ["subject_id"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def downgrade() -> None:
    op.drop_index("uq_spells_open", "spells")

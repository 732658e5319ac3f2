"""Find the new issues of a project."""

from collections.abc import Sequence

from alembic import op

revision: str = "errors_0002"
down_revision: str | None = "api_keys_0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_index("ix_error_issues_first_seen", "error_issues", ["project_id", "first_seen"])


def downgrade() -> None:
    op.drop_index("ix_error_issues_first_seen", "error_issues")

"""How long the audit log is kept, and where its checkpoints go."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from mainstay_server.kernel.settings import Settings


class AuditSettings(Settings):
    """`MAINSTAY_AUDIT_…`."""

    audit_keep_days: int = Field(
        90, ge=1, le=3660, description="Days until rows are removed, with a signed note of it."
    )
    audit_checkpoint_rows: int = Field(
        1000, ge=1, le=100_000, description="Rows until a checkpoint is signed, or a minute."
    )
    audit_checkpoint_folder: Path | None = Field(
        None,
        description="A folder that gets each checkpoint, such as a mount of another machine.",
    )
    audit_checkpoint_webhook_url: str = Field(
        "", description="Gets each checkpoint as a CloudEvent; empty means none does."
    )
    audit_former_keys: str = Field(
        "",
        description="Public keys from before MAINSTAY_SECRET_KEY was changed, separated by spaces.",
    )

    @field_validator("audit_checkpoint_webhook_url")
    @classmethod
    def _refuse_no_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("it must begin with https:// or http:// and name a host")
        return url

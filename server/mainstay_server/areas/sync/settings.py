"""Options of synced folders, for operators."""

from pydantic import Field

from mainstay_server.kernel.settings import Settings


class SyncSettings(Settings):
    """How much a project may keep in synced folders."""

    sync_mib_per_project: int = Field(
        20_480,
        ge=1,
        le=100_000_000,
        description="What the chunks of a project's synced folders may take together, packed.",
    )
    sync_folders_per_project: int = Field(
        100, ge=1, le=10_000, description="Synced folders of a project."
    )
    sync_entries_per_snapshot: int = Field(
        200_000, ge=1, le=1_000_000, description="Files, links and empty folders in one snapshot."
    )
    sync_manifest_mib: int = Field(
        64,
        ge=1,
        le=512,
        description="The largest push, and what all entries of a snapshot take, in MiB, unpacked.",
    )
    sync_grace_hours: int = Field(
        24,
        ge=1,
        le=8760,
        description="Hours that a chunk which no snapshot has is kept, for pushes under way.",
    )

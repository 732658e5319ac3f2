"""Options of storage, for operators."""

from pydantic import Field

from mainstay_server.kernel.settings import Settings


class StorageSettings(Settings):
    """How much the server itself carries."""

    storage_transfers: int = Field(
        100, ge=1, le=10_000, description="Uploads and downloads through the server at once."
    )
    storage_listed_objects: int = Field(
        1_000_000, ge=1000, description="Objects of a bucket that one reconciliation looks at."
    )

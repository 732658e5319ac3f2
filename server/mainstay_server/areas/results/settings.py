"""Options of results, for operators."""

from pydantic import Field

from mainstay_server.kernel.settings import Settings

MIB = 1 << 20


class ResultSettings(Settings):
    """How large results may be, how many, and how long they are kept."""

    results_upload_mib: int = Field(
        32, ge=1, le=256, description="The largest file of results that is taken, in MiB, unpacked."
    )
    results_uploads_per_hour: int = Field(
        300, ge=1, le=10_000, description="Results that may be uploaded to a project in an hour."
    )
    results_keep_days: int = Field(180, ge=1, le=3660, description="Days that results are kept.")
    results_per_series: int = Field(
        1000,
        ge=2,
        le=100_000,
        description="How many results of one name and branch are kept, the newest.",
    )

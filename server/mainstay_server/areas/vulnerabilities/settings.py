"""Options of the vulnerability scans, for operators."""

from pydantic import Field

from mainstay_server.kernel.settings import Settings

MIB = 1 << 20


class VulnerabilitySettingsOfServer(Settings):
    """How large scans may be, how many, and how long what they found is kept."""

    vulnerabilities_upload_mib: int = Field(
        32,
        ge=1,
        le=256,
        description="The largest scan that is taken, in MiB, unpacked.",
    )
    vulnerabilities_uploads_per_hour: int = Field(
        120,
        ge=1,
        le=10_000,
        description="Scans that may be uploaded for an instance in an hour.",
    )
    vulnerabilities_per_upload: int = Field(
        25_000,
        ge=1,
        le=100_000,
        description="The most findings that one scan may name.",
    )
    vulnerabilities_per_instance: int = Field(
        100_000,
        ge=1,
        le=1_000_000,
        description="The most findings that are kept for an instance, fixed ones too.",
    )
    vulnerabilities_keep_days: int = Field(
        400,
        ge=1,
        le=3660,
        description="Days after which fixed findings, uploads and the trend are forgotten.",
    )
    vulnerabilities_keep_branch_days: int = Field(
        30,
        ge=1,
        le=3660,
        description="Days after its last scan that a branch other than the main one is kept.",
    )

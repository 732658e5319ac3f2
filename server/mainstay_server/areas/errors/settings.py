"""What an operator may change about error events."""

from pydantic import Field

from mainstay_server.kernel.settings import Settings

MIB = 1 << 20


class ErrorsSettings(Settings):
    """Limits of the way in. How long events are kept is `MAINSTAY_RETENTION_DAYS`."""

    errors_envelope_mib: int = Field(
        20, ge=1, le=200, description="Largest Sentry envelope, unpacked."
    )
    errors_event_kib: int = Field(
        1024, ge=16, le=16_384, description="Largest error event, unpacked."
    )
    errors_waiting_mib: int = Field(
        64, ge=1, le=4096, description="Error events held in memory before answering 429."
    )
    errors_new_issues_per_hour: int = Field(
        500,
        ge=1,
        le=5_000,
        description="New issues of a project within an hour; the rest is counted in one issue.",
    )

"""Options of the API keys, for operators."""

from pydantic import Field

from mainstay_server.kernel.settings import Settings


class ApiKeyAreaSettings(Settings):
    """How many API keys there may be, and how long dead ones are kept."""

    api_keys_most_per_instance: int = Field(
        10_000,
        ge=1,
        le=100_000,
        description="How many living API keys an instance may have; those in grace beside them.",
    )
    api_keys_keep_days: int = Field(
        90,
        ge=1,
        le=3660,
        description="Days after which an API key that opens nothing any more is forgotten.",
    )
    api_keys_reports_per_minute: int = Field(
        60,
        ge=1,
        le=10_000,
        description="Reports of leaked API keys that one address may send in a minute.",
    )

"""Where the buckets of limits are kept, and how fast Mainstay itself may be asked."""

from typing import Literal

from pydantic import Field

from mainstay_server.kernel.settings import Settings


class LimitSettings(Settings):
    """`MAINSTAY_LIMIT…`: 0 switches a limit off."""

    limits_store: Literal["shared", "database"] = Field(
        "shared",
        description="Where limits are counted: `shared` is MAINSTAY_SHARED_URL, in memory or in"
        " Redis; `database` lets several processes share them without a Redis.",
    )
    limit_api_per_minute: int = Field(
        6_000,
        ge=0,
        le=600_000,
        description="Calls of the API per access token or session; 0 for no limit.",
    )
    limit_address_per_minute: int = Field(
        30_000,
        ge=0,
        le=600_000,
        description="Calls of the API per client address (IPv6: per /64), whoever signs in there.",
    )
    limit_entry_per_minute: int = Field(
        20,
        ge=0,
        le=600_000,
        description="Tries at passwords, set-up and invitation links per client address.",
    )
    limit_ingest_per_minute: int = Field(
        0,
        ge=0,
        le=600_000,
        description="Messages per ingest key; 0, the default, leaves them to the waiting room.",
    )

"""Options of watching, for operators."""

from pydantic import Field

from mainstay_server.kernel.settings import Settings


class WatchingSettings(Settings):
    """How long the past of what is watched is kept to the second."""

    spells_kept_days: int = Field(
        800,
        ge=62,
        le=3660,
        description="Days for which every change of a state is kept; months stay for good.",
    )

"""How long incidents are kept."""

from pydantic import Field

from mainstay_server.kernel.settings import Settings


class IncidentKeeping(Settings):
    """How long what is over can be looked up."""

    incidents_keep_days: int = Field(
        1096, ge=1, le=3660, description="Days after which resolved incidents are deleted."
    )

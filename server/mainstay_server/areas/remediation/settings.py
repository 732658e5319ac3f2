"""How much may be done by itself."""

from datetime import timedelta

from pydantic import Field

from mainstay_server.kernel.settings import Settings


class RemediationSettings(Settings):
    """The limiter over all actions of a project, and how long runs are kept."""

    remediation_most_runs: int = Field(
        3,
        ge=0,
        le=1000,
        description="Runs of a project's actions that may begin within the window.",
    )
    remediation_window_minutes: int = Field(
        10, ge=1, le=1440, description="The window of that limit, in minutes."
    )
    remediation_keep_days: int = Field(
        180, ge=1, le=3660, description="Days after which ended runs are deleted."
    )

    @property
    def window(self) -> timedelta:
        """The window of the limit."""
        return timedelta(minutes=self.remediation_window_minutes)

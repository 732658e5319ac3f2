"""Retention: how long each column table keeps its rows, settable per table."""

from pydantic import Field, field_validator

from .settings import Settings

MOST_DAYS = 3660


class RetentionSettings(Settings):
    """`MAINSTAY_RETENTION_DAYS`, a JSON object such as `{"request_metrics": 30}`."""

    days: dict[str, int] = Field(
        default_factory=dict,
        validation_alias="MAINSTAY_RETENTION_DAYS",
        description="Days to keep, by column table; tables not named keep their default.",
    )

    @field_validator("days")
    @classmethod
    def _refuse_nonsense(cls, days: dict[str, int]) -> dict[str, int]:
        for table, kept in days.items():
            if not 1 <= kept <= MOST_DAYS:
                raise ValueError(f"{table} must keep between 1 and {MOST_DAYS} days, not {kept}")
        return days

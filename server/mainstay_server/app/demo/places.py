"""Where the sample app runs."""

from dataclasses import dataclass
from pathlib import Path

SAMPLE = Path(__file__).parents[4] / "examples" / "inspections"


@dataclass(frozen=True)
class Place:
    """One environment of the sample app, and how busy it is."""

    environment: str
    per_second: float
    has_signing_key: bool


# Staging forgot an environment variable, as stagings do: its health document says so.
PLACES = (Place("production", 10, has_signing_key=True), Place("staging", 1, has_signing_key=False))

"""Points in time as people say them."""

from datetime import UTC, datetime

from mainstay_server.kernel.problems import Invalid

from .returning import LATEST


def checked_time(text: object) -> str:
    """A time with its zone as it is kept, in UTC; "latest" and "" stay. Raises `Invalid`."""
    if not text or text == LATEST:
        return str(text or "")
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Invalid(
            "toTime must be a time with its zone, such as 2026-11-26T01:02:03Z, or latest."
        )
    return found.astimezone(UTC).isoformat()

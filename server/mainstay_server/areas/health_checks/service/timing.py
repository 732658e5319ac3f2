"""How fast checks were answered, for whoever draws it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from mainstay_server.areas.health_checks.columns import ask_times
from mainstay_server.kernel.subjects import Watched


def response_times(
    checks: Sequence[Watched], *, since: datetime, until: datetime, step_seconds: int
) -> Mapping[str, Mapping[datetime, float]]:
    """The answer to the port of the same name."""
    instances = {check.id: check.instance_id for check in checks}
    found: dict[str, dict[datetime, float]] = defaultdict(dict)
    for row in ask_times(instances, since=since, until=until, step_seconds=step_seconds):
        start = datetime.fromtimestamp(row["time"], tz=UTC)
        found[row["health_check_id"]][start] = float(row["average"])
    return found

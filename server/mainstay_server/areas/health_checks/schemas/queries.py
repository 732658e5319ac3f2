"""What a check asks a database, and whether the answer is as it should be."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from mainstay_server.areas.health_checks.models import HealthState

from .orders import ProbeResult

Query = Annotated[str, Field(max_length=5_000)]
Expected = Annotated[str | None, Field(max_length=500)]
QueryLimit = Annotated[int | None, Field(ge=1, le=120_000)]

VALUES = frozenset({"CONNECTED", "RESPONSE_TIME", "IP", "BODY", "ROWS", "QUERY_TIME", "VERSION"})
MOST_ROWS = 100


def judged(
    result: ProbeResult,
    values: Mapping[str, Any],
    *,
    query: str,
    expect: str | None,
    degraded_after_ms: int | None,
) -> ProbeResult:
    """The result with what the query found: another first value, or too late (milliseconds)."""
    rows = values.get("BODY") or []
    if query and expect is not None:
        first = next(iter(rows[0].values()), None) if rows else None
        if not rows or str(first) != expect:
            about = f"answered {str(first)[:60]!r}" if rows else "answered no row"
            result = result.worsened(HealthState.UNHEALTHY, f"{about}, not {expect!r}")
    took = values.get("QUERY_TIME", 0.0)
    if degraded_after_ms is not None and took > degraded_after_ms:
        about = f"the query took {took:.0f} ms, longer than {degraded_after_ms} ms"
        result = result.worsened(HealthState.DEGRADED, about)
    return result

"""The rules over measures that hold for every instance until its project changes them.

They carry the thresholds that the requirement documents name (REQUIREMENTS D2, D4, T2 and O9).
Those that would tell twice what another alert tells already are off, and say which. Those whose
measure nobody declares yet wait for it.
"""

from dataclasses import dataclass

from mainstay_server.areas.alerts.models import Severity
from mainstay_server.areas.alerts.schemas.measure_rules import MeasureRuleValue, RuleLevel


@dataclass(frozen=True, kw_only=True)
class DefaultRule:
    """A rule that ships with Mainstay. `why_off` says why it is off, `waits_for` for which area."""

    key: str
    value: MeasureRuleValue
    why_off: str = ""
    waits_for: str = ""


def _rule(
    name: str,
    measure: str,
    *levels: tuple[Severity, float],
    enabled: bool = True,
    window_seconds: int = 300,
    for_seconds: int = 300,
    minimum_count: int = 0,
) -> MeasureRuleValue:
    return MeasureRuleValue(
        name=name,
        measure=measure,
        levels=[RuleLevel(severity=severity, threshold=least) for severity, least in levels],
        enabled=enabled,
        window_seconds=window_seconds,
        for_seconds=for_seconds,
        clear_seconds=300,
        minimum_count=minimum_count,
    )


WARNING, HIGH, CRITICAL = Severity.WARNING, Severity.HIGH, Severity.CRITICAL
METRICS = "resource metrics, which nothing measures yet"
TRACES = "traces, which nothing takes in yet"

DEFAULT_RULES: dict[str, DefaultRule] = {
    rule.key: rule
    for rule in (
        DefaultRule(
            key="slow-responses",
            value=_rule(
                "Responses are slow",
                "requests.p95_ms",
                (WARNING, 2000),
                (HIGH, 5000),
                minimum_count=20,
            ),
        ),
        DefaultRule(
            key="rising-error-rate",
            value=_rule(
                "More requests fail than usual",
                "requests.error_rate",
                (WARNING, 1),
                window_seconds=900,
                for_seconds=600,
                minimum_count=100,
            ),
        ),
        DefaultRule(
            key="strict-error-rate",
            value=_rule(
                "More than 1 % of requests fail",
                "requests.error_rate",
                (CRITICAL, 1),
                enabled=False,
                minimum_count=20,
            ),
            why_off="high_error_rate is critical above 5 %, and above 1 % there is a warning.",
        ),
        DefaultRule(
            key="many-errors",
            value=_rule(
                "Many error events",
                "errors.per_hour",
                (CRITICAL, 10),
                enabled=False,
                window_seconds=3600,
                for_seconds=0,
            ),
            why_off="new_issue and issue_regressed tell of each kind of error once.",
        ),
        DefaultRule(
            key="several-checks-failing",
            value=_rule(
                "Several health checks fail",
                "health_checks.failing",
                (HIGH, 1),
                for_seconds=60,
            ),
        ),
        DefaultRule(
            key="slow-pages",
            value=_rule(
                "Pages are slow",
                "health_checks.response_ms",
                (WARNING, 5000),
                enabled=False,
                window_seconds=900,
                for_seconds=0,
            ),
            why_off="instance_degraded tells of a check slower than its own limit, 2 s at first.",
        ),
        DefaultRule(
            key="storage-nearly-full",
            value=_rule(
                "Storage is nearly full",
                "storage.used",
                (WARNING, 90),
                enabled=False,
                for_seconds=0,
            ),
            why_off="storage_limit tells of a bucket at 80, 90 and 100 %.",
        ),
        DefaultRule(
            key="memory",
            value=_rule(
                "Memory runs out",
                "resources.memory",
                (WARNING, 75),
                (HIGH, 85),
                (CRITICAL, 90),
            ),
            waits_for=METRICS,
        ),
        DefaultRule(
            key="database-cpu",
            value=_rule("The database is busy", "resources.database_cpu", (WARNING, 80)),
            waits_for=METRICS,
        ),
        DefaultRule(
            key="slow-queries",
            value=_rule("Database queries are slow", "traces.query_ms", (WARNING, 1000)),
            waits_for=TRACES,
        ),
        DefaultRule(
            key="slow-generations",
            value=_rule(
                "AI generations are slow", "traces.generation_ms", (Severity.MEDIUM, 120_000)
            ),
            waits_for=TRACES,
        ),
    )
}

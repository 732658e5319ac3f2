"""Shapes of what the server says about itself."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from mainstay_server.kernel.web.bodies import Answer

Health = Literal["healthy", "degraded", "unhealthy"]


class PartHealth(Answer):
    """One part: a store tells its `responseTime` in milliseconds, others their `usage`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "healthy"}]})

    status: Health
    response_time: float | None = None
    usage: dict[str, float] | None = None


class HealthDocument(Answer):
    """The health of this server: the worst of its parts; `uptime` in seconds."""

    status: Health
    timestamp: str = Field(examples=["2026-11-21T09:41:45.001Z"], pattern="Z$")
    version: str = Field(examples=["0.1.0"])
    uptime: float = Field(examples=[86_400.25])
    checks: Annotated[
        dict[str, PartHealth],
        Field(
            examples=[
                {
                    "database": {"status": "healthy", "responseTime": 0.41},
                    "columns": {"status": "healthy", "responseTime": 1.12},
                    "shared": {"status": "healthy", "responseTime": 0.02},
                    "memory": {"status": "healthy", "usage": {"percentage": 41.0}},
                    "disk": {"status": "healthy", "usage": {"percentage": 18.3}},
                    "environment": {"status": "healthy"},
                    "scheduler": {"status": "healthy", "usage": {"lagSeconds": 0.004}},
                }
            ]
        ),
    ]


class LivenessAnswer(Answer):
    """The process runs; this says nothing of its stores."""

    status: Literal["healthy"]


class RanJob(Answer):
    """One job that was run; `running` when a worker is at it now."""

    job: str = Field(examples=["health_checks.watch"])
    status: Literal["done", "failed", "running"]


class CronAnswer(Answer):
    """What a task's jobs came to."""

    task: str = Field(examples=["health"])
    jobs: list[RanJob]


_UNHEALTHY = {
    "status": "unhealthy",
    "timestamp": "2026-11-21T09:41:45.001Z",
    "version": "0.1.0",
    "uptime": 86_400.25,
    "checks": {"database": {"status": "unhealthy", "responseTime": 5_000.1}},
}
HEALTH: dict[int | str, dict[str, Any]] = {
    200: {"model": HealthDocument, "description": "Healthy or degraded"},
    503: {
        "model": HealthDocument,
        "description": "A store does not answer",
        "content": {"application/json": {"example": _UNHEALTHY}},
    },
}

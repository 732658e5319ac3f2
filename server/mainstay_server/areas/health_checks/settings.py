"""Options of the health checks, for operators."""

from pydantic import Field

from mainstay_server.kernel.settings import Settings


class HealthCheckSettings(Settings):
    """How this process asks the apps it watches."""

    health_checks_at_once: int = Field(
        2_000, ge=1, le=10_000, description="How many health checks one process asks at once."
    )
    health_checks_per_host: int = Field(
        10,
        ge=1,
        le=1_000,
        description="How many of them at once to one host; those that hang for 2 s do not count.",
    )
    health_checks_confirm_seconds: float = Field(
        1.0,
        ge=0,
        le=60,
        description="Pause before a failure is asked again, at most a quarter of the interval.",
    )
    health_checks_grace_seconds: float = Field(
        15.0,
        ge=1,
        le=3600,
        description="How late a result may be before the time without one counts as unknown.",
    )
    browser_path: str = Field(
        "", description="The Chromium of browser checks; without it, the one that is installed."
    )
    browsers_at_once: int = Field(
        2, ge=1, le=32, description="How many browsers one process drives at once."
    )
    health_checks_probes_plain: bool = Field(
        default=False,
        description="Tell probes the secrets of checks without TLS; only on a network of yours.",
    )

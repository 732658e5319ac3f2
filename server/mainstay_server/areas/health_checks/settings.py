"""Options of the health checks, for operators."""

from pydantic import Field, SecretStr, field_validator

from mainstay_server.kernel.settings import Settings

MOST_UPLINK_TARGETS = 10


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
    health_checks_uplink: str = Field(
        "",
        description="`host:port` with commas between, asked when a check fails: if none of them"
        " answers either, our own uplink is down, and states are unknown.",
    )
    health_checks_rdap_bootstrap_url: str = Field(
        "https://data.iana.org/rdap/dns.json",
        description="The list of registries that tell by RDAP when domains end (RFC 9224).",
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
    health_checks_most_lag_seconds: float = Field(
        60.0,
        ge=1,
        le=3600,
        description="Beyond this lag of the watch the server is not ready, and pings nobody.",
    )
    health_checks_heartbeat_url: SecretStr = Field(
        SecretStr(""), description="Pinged while the watch keeps up: who watches the watcher."
    )
    health_checks_heartbeat_seconds: float = Field(
        60.0, ge=1, le=3600, description="How often that URL is pinged."
    )

    @field_validator("health_checks_uplink")
    @classmethod
    def _refuse_nonsense(cls, text: str) -> str:
        _targets_in(text)
        return text

    @property
    def uplink_targets(self) -> list[tuple[str, int]]:
        """The hosts and ports of `health_checks_uplink`."""
        return _targets_in(self.health_checks_uplink)


def _targets_in(text: str) -> list[tuple[str, int]]:
    """Hosts and ports; raises ValueError for anything else, and for more than ten."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        host, _, port = part.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
            raise ValueError(f"{part!r} is no host:port")
        found.append((host.strip("[]"), int(port)))
    if len(found) > MOST_UPLINK_TARGETS:
        raise ValueError(f"at most {MOST_UPLINK_TARGETS} targets")
    return found

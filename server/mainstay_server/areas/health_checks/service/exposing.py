"""Checks as Prometheus reads them, under the names that its blackbox exporter made usual."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from pydantic import ValidationError
from typing_extensions import override

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.providers import PROVIDERS
from mainstay_server.areas.health_checks.schemas.bodies import NewCheck, NewHealthCheck
from mainstay_server.areas.health_checks.schemas.orders import ProbeOrder, ProbeResult
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.watching import KNOWN, UP, State

MS = 1000.0
FNV_OFFSET, FNV_PRIME = 0x811C9DC5, 0x01000193

DEFAULT_TIMEOUT_SECONDS = 10
LONGEST_TIMEOUT_SECONDS = 110
# The scraper gives up at its own time-out: an answer has to be there before that.
SPARED_SECONDS = 0.5

# kind and config of each module of the exporter's own example file that there is a kind for
MODULES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "http_2xx": ("http", {"acceptedStatuses": ["200-299"], "healthDocument": False}),
    "http_post_2xx": (
        "http",
        {"method": "POST", "acceptedStatuses": ["200-299"], "healthDocument": False},
    ),
    "tcp_connect": ("tcp", {}),
    "ssh_banner": ("ssh", {}),
    "grpc": ("grpc", {"tls": True}),
    "grpc_plain": ("grpc", {"tls": False}),
    "icmp": ("icmp", {}),
}


@dataclass(frozen=True, kw_only=True)
class Latest:
    """A check with its newest result, as it lies in the columns; None without one."""

    check: HealthCheck
    environment: str
    row: Mapping[str, Any] | None


def wanted_of(module: str, target: str, *, timeout_seconds: float) -> NewCheck:
    """The check that a module of the exporter would be; raises `Invalid` for an unknown one."""
    if module not in MODULES or MODULES[module][0] not in PROVIDERS:
        known = ", ".join(name for name, (kind, _) in MODULES.items() if kind in PROVIDERS)
        raise Invalid(f"Unknown module {module[:40]!r}; there are {known}.")
    kind, config = MODULES[module]
    seconds = max(int(min(timeout_seconds - SPARED_SECONDS, LONGEST_TIMEOUT_SECONDS)), 1)
    common = {"timeout_seconds": seconds, "degraded_after_ms": seconds * 1000}
    try:
        if kind == "http":
            url = target if "://" in target else f"http://{target}"
            return NewHealthCheck(url=url, config=dict(config), **common)
        return NewCheck(kind=kind, config={**config, **_place_of(kind, target)}, **common)
    except ValidationError as error:
        raise Invalid(f"The target cannot be asked: {error.errors()[0]['msg']}.") from None


def _place_of(kind: str, target: str) -> dict[str, Any]:
    """Host and port of a target; a ping has no port."""
    if kind == "icmp":
        return {"host": target}
    host, mark, port = target.rpartition(":")
    if not mark or not port.isdecimal():
        raise Invalid("The target needs a port, as in db.example:5432.")
    return {"host": host, "port": int(port)}


def exposition_of(families: Iterable[Metric]) -> tuple[bytes, str]:
    """The body and content type of one scrape."""
    return generate_latest(_Given(list(families))), CONTENT_TYPE_LATEST


def not_asked() -> ProbeResult:
    """What a scraper is told when we could not ask: no success, and nothing else known."""
    return ProbeResult(state=State.UNHEALTHY, response_ms=0.0)


def families_of_result(order: ProbeOrder, result: ProbeResult) -> Iterator[Metric]:
    """What a probe that was asked for found, with the exporter's names and labels."""
    yield _gauge(
        "probe_dns_lookup_time_seconds",
        "Returns the time taken for probe dns lookup in seconds",
        result.resolve_ms / MS,
    )
    yield _gauge(
        "probe_duration_seconds",
        "Returns how long the probe took to complete in seconds",
        result.response_ms / MS,
    )
    yield _gauge("probe_failed_due_to_regex", "Indicates if probe failed due to regex", 0.0)
    address = str(result.values.get("IP") or "")
    yield _gauge(
        "probe_ip_addr_hash",
        "Specifies the hash of IP address. It's useful to detect if the IP address changes.",
        float(_fnv32(address)),
    )
    yield _gauge(
        "probe_ip_protocol",
        "Specifies whether probe ip protocol is IP4 or IP6",
        (6.0 if ":" in address else 4.0) if address else 0.0,
    )
    yield _gauge(
        "probe_success",
        "Displays whether or not the probe was a success",
        float(result.state in UP),
    )
    if order.kind == "http":
        yield from _of_http(result)
    yield from _of_tls(result)


def families_of_checks(latest: Sequence[Latest]) -> Iterator[Metric]:
    """The checks of a project as they stand; `instance` is what a check asks."""
    labels = ["check", "id", "kind", "environment", "instance"]
    success = GaugeMetricFamily(
        "probe_success", "Displays whether or not the probe was a success", labels=labels
    )
    duration = GaugeMetricFamily(
        "probe_duration_seconds",
        "Returns how long the probe took to complete in seconds",
        labels=labels,
    )
    status = GaugeMetricFamily("probe_http_status_code", "Response HTTP status code", labels=labels)
    phases = GaugeMetricFamily(
        "probe_http_duration_seconds",
        "Duration of http request by phase, summed over all redirects",
        labels=[*labels, "phase"],
    )
    ends = GaugeMetricFamily(
        "probe_ssl_earliest_cert_expiry",
        "Returns last SSL chain expiry in unixtime",
        labels=labels,
    )
    states = GaugeMetricFamily(
        "mainstay_health_check_state",
        "1 for the state that a health check is in, 0 for all others.",
        labels=[*labels, "state"],
    )
    for each in latest:
        told = _labels_of(each)
        if each.check.state in KNOWN:
            success.add_metric(told, float(each.check.state in UP))
        if each.check.last_response_ms is not None:
            duration.add_metric(told, each.check.last_response_ms / MS)
        if each.check.certificate_ends_at is not None:
            ends.add_metric(told, each.check.certificate_ends_at.timestamp())
        for state in State:
            states.add_metric([*told, state.value], float(each.check.state == state))
        if each.row is not None and each.row["status_code"]:
            status.add_metric(told, each.row["status_code"])
            for phase, took in _phases(each.row).items():
                phases.add_metric([*told, phase], took / MS)
    yield from (success, duration, status, phases, ends, states)


def _of_http(result: ProbeResult) -> Iterator[Metric]:
    answer = result.values
    phases = GaugeMetricFamily(
        "probe_http_duration_seconds",
        "Duration of http request by phase, summed over all redirects",
        labels=["phase"],
    )
    for phase, took in _phases(vars(result)).items():
        phases.add_metric([phase], took / MS)
    yield phases
    for name, about, value in (
        ("content_length", "Length of http content response", answer.get("CONTENT_LENGTH")),
        ("redirects", "The number of redirects", answer.get("REDIRECTS")),
        ("ssl", "Indicates if SSL was used for the final redirect", answer.get("TLS")),
        ("status_code", "Response HTTP status code", result.status_code),
        ("uncompressed_body_length", "Length of uncompressed response body", answer.get("SIZE")),
        (
            "version",
            "Returns the version of HTTP of the probe response",
            answer.get("HTTP_VERSION"),
        ),
    ):
        yield _gauge(f"probe_http_{name}", about, _number(value))


def _of_tls(result: ProbeResult) -> Iterator[Metric]:
    ends_at = result.facts.get("certificate_ends_at")
    if not isinstance(ends_at, int | float):
        return
    yield _gauge(
        "probe_ssl_earliest_cert_expiry", "Returns last SSL chain expiry in unixtime", ends_at
    )
    yield _gauge(
        "probe_ssl_last_chain_expiry_timestamp_seconds",
        "Returns last SSL chain expiry in timestamp",
        ends_at,
    )
    if fingerprint := result.values.get("CERTIFICATE_FINGERPRINT"):
        chain = GaugeMetricFamily(
            "probe_ssl_last_chain_info",
            "Contains SSL leaf certificate information",
            labels=["fingerprint_sha256"],
        )
        chain.add_metric([str(fingerprint)], 1.0)
        yield chain
    if version := result.values.get("TLS_VERSION"):
        spoken = GaugeMetricFamily(
            "probe_tls_version_info",
            "Returns the TLS version used or NaN when unknown",
            labels=["version"],
        )
        spoken.add_metric([str(version).replace("TLSv", "TLS ")], 1.0)
        yield spoken


def _phases(times: Mapping[str, Any]) -> dict[str, float]:
    return {
        "connect": times["connect_ms"],
        "processing": times["first_byte_ms"],
        "resolve": times["resolve_ms"],
        "tls": times["tls_ms"],
        "transfer": times["transfer_ms"],
    }


def _labels_of(each: Latest) -> list[str]:
    check = each.check
    return [check.name, check.id, check.kind, each.environment, check.target]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value)


def _fnv32(address: str) -> int:
    """The hash by which the exporter tells addresses apart (FNV-1a, 32 bits)."""
    if not address:
        return 0
    value = FNV_OFFSET
    for byte in ip_address(address).packed:
        value = ((value ^ byte) * FNV_PRIME) & 0xFFFFFFFF
    return value


class _Given(Collector):
    """Families that are there already, where the library expects to ask for them."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    @override
    def collect(self) -> Iterator[Metric]:
        yield from self._families

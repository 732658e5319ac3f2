"""The server's own metrics, in the Prometheus text format."""

from collections.abc import Iterator

import sqlalchemy as sa
from prometheus_client import (
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from typing_extensions import override

from mainstay_server.kernel import columns, limits
from mainstay_server.kernel.area import installed
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.events import DeliveryStatus, OutboxDelivery
from mainstay_server.kernel.jobs import job_states

from .connections import Crowd

TAKEN = ("head", "body", "answer", "idle", "memory")


class _Mainstay(Collector):
    """What the kernel can tell of itself, asked at scrape time."""

    @override
    def collect(self) -> Iterator[Metric]:
        yield from _columns(columns.stats())
        if _crowds:
            yield from _connections(_crowds[-1])
        yield from _limits(limits.limits_stats())
        yield from _vitals()
        with reading() as session:
            yield _outbox(dict(session.execute(_deliveries_by_status()).all()))
            failing = GaugeMetricFamily(
                "mainstay_job_failures_in_row", "Failures since the last success.", labels=["job"]
            )
            for job in job_states(session):
                failing.add_metric([job.name], job.failures_in_row)
            yield failing


def exposition() -> tuple[bytes, str]:
    """The body and content type of one scrape."""
    return generate_latest(_registry), CONTENT_TYPE_LATEST


def watch_connections(crowd: Crowd) -> None:
    """Tell of these connections from now on."""
    _crowds[:] = [crowd]


def _connections(crowd: Crowd) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "mainstay_http_connections", "Connections that are open.", len(crowd.connections)
    )
    yield GaugeMetricFamily("mainstay_http_connections_most", "Connections allowed.", crowd.most)
    yield GaugeMetricFamily(
        "mainstay_http_arriving_bytes", "Bodies that are not answered yet.", crowd.arriving_bytes
    )
    yield CounterMetricFamily(
        "mainstay_http_connections_refused", "Connections too many.", crowd.figures.refused
    )
    ended = CounterMetricFamily(
        "mainstay_http_connections_ended",
        "Connections ended because of the client, by what it took too much of.",
        labels=["of"],
    )
    for what in TAKEN:
        ended.add_metric([what], crowd.figures.ended[what])
    yield ended


def _columns(stats: columns.Stats) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "mainstay_waiting_bytes", "Received and not stored yet.", stats.waiting_bytes
    )
    rows = CounterMetricFamily("mainstay_rows_stored", "Rows stored.", labels=["table"])
    inserts = CounterMetricFamily("mainstay_inserts", "Inserts, of many rows.", labels=["table"])
    refused = CounterMetricFamily(
        "mainstay_appends_refused", "Appends not stored, by reason.", labels=["table", "reason"]
    )
    for table, counts in stats.tables.items():
        rows.add_metric([table], counts.rows)
        inserts.add_metric([table], counts.batches)
        refused.add_metric([table, "full"], counts.refused_full)
        refused.add_metric([table, "invalid"], counts.refused_invalid)
        refused.add_metric([table, "engine"], counts.refused_engine)
    yield from (rows, inserts, refused)


def _limits(stats: limits.Stats) -> Iterator[Metric]:
    degraded = GaugeMetricFamily(
        "mainstay_limits_degraded", "Whether the store of limits is away.", labels=["store"]
    )
    degraded.add_metric([stats.store], float(stats.degraded))
    verdicts = CounterMetricFamily(
        "mainstay_limits_verdicts", "Verdicts of the limiter.", labels=["verdict"]
    )
    verdicts.add_metric(["admitted"], stats.admitted)
    verdicts.add_metric(["refused"], stats.refused)
    alone = CounterMetricFamily(
        "mainstay_limits_degraded_verdicts",
        "Verdicts without the store, by what was declared for that.",
        labels=["declared"],
    )
    alone.add_metric(["local"], stats.local)
    alone.add_metric(["deny"], stats.denied)
    alone.add_metric(["allow"], stats.allowed)
    yield from (degraded, verdicts, alone)


def _vitals() -> Iterator[Metric]:
    """The figures of what areas run in this process."""
    for area in installed():
        for vital in area.vitals:
            found = vital.read()
            for figure in () if found is None else found.figures:
                family = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
                yield family(figure.name, figure.about, figure.value)


def _deliveries_by_status() -> sa.Select[str, int]:
    return (
        sa.select(OutboxDelivery.status, sa.func.count())
        .where(OutboxDelivery.status != DeliveryStatus.DONE)
        .group_by(OutboxDelivery.status)
    )


def _outbox(counts: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(
        "mainstay_outbox_deliveries", "Deliveries not done, by status.", labels=["status"]
    )
    for status in (DeliveryStatus.WAITING, DeliveryStatus.DEAD):
        family.add_metric([status.value], counts.get(status, 0))
    return family


_crowds: list[Crowd] = []
_registry = CollectorRegistry()
ProcessCollector(registry=_registry)
PlatformCollector(registry=_registry)
_registry.register(_Mainstay())

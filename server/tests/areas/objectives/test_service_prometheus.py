"""The same series judged by us and by a real Prometheus that runs the usual recording rules."""

import json
import shutil
import signal
import subprocess
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mainstay_server.areas.objectives.service.burning import RULES, burn_rate, burns, window_name
from mainstay_server.areas.objectives.service.measuring import RequestsMeasured
from mainstay_server.contracts.requests import RequestSlice
from tests.servers.processes import ServerProcess, free_port, required_program

from .worlds import DAY, HOUR, MINUTE

pytestmark = pytest.mark.slow

TARGET = 99.9
BEGIN = datetime(2026, 11, 20, tzinfo=UTC)
MINUTES = 5 * 24 * 60
STEP = 10 * MINUTE
# Requests a minute, and the share of them that fails: a deploy that breaks all for four minutes,
# one request in fifty for three hours, one in three hundred for a day, and nothing at all.
TROUBLES = (
    (BEGIN + 80 * HOUR, 4 * MINUTE, 1.0),
    (BEGIN + 86 * HOUR, 3 * HOUR, 0.02),
    (BEGIN + 94 * HOUR, DAY, 1 / 300),
)


def series() -> list[RequestSlice]:
    slices = []
    for number in range(MINUTES):
        at = BEGIN + number * MINUTE
        total = 600 + 300 * (number // 60 % 24 > 8)
        share = max((s for start, lasts, s in TROUBLES if start <= at < start + lasts), default=0)
        slices.append(RequestSlice(begins_at=at, total=total, bad=round(total * share)))
    return slices


def is_ready(url: str) -> None:
    """Raise until it has read its storage; before, it answers questions with 503."""
    with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
        pass


@pytest.fixture
def prometheus() -> Iterator[str]:
    """A Prometheus whose storage holds the series as two counters; its URL."""
    folder = Path(tempfile.mkdtemp(prefix="mainstay-prometheus-"))
    lines = {"requests": ["# TYPE requests counter"], "errors": ["# TYPE errors counter"]}
    totals = {"requests": 0, "errors": 0}
    for each in series():
        for name, value in (("requests", each.total), ("errors", each.bad)):
            lines[name].append(f"{name}_total {totals[name]} {each.begins_at.timestamp():.0f}")
            totals[name] += value
    (folder / "series.txt").write_text("\n".join([*lines["requests"], *lines["errors"], "# EOF\n"]))
    promtool = required_program("promtool", package="prometheus")
    made = subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", "series.txt", "data"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    (folder / "prometheus.yml").write_text("global: {}\n")
    port = free_port()
    server = ServerProcess(
        [
            required_program("prometheus", package="prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        log=folder / "prometheus.log",
        is_ready=lambda: is_ready(f"http://127.0.0.1:{port}"),
    )
    try:
        server.start()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(signal_number=signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)


def asked(url: str, query: str, *, since: datetime, until: datetime) -> dict[datetime, float]:
    """The values of an expression over a range, by moment; absent where there is none."""
    parameters = urllib.parse.urlencode(
        {
            "query": query,
            "start": since.timestamp(),
            "end": until.timestamp(),
            "step": STEP.total_seconds(),
        }
    )
    with urllib.request.urlopen(f"{url}/api/v1/query_range?{parameters}", timeout=60) as answer:
        result = json.load(answer)["data"]["result"]
    return {
        datetime.fromtimestamp(at, tz=UTC): float(value)
        for row in result
        for at, value in row["values"]
    }


def ratio(window: timedelta) -> str:
    name = window_name(window)
    return f"sum(rate(errors_total[{name}])) / sum(rate(requests_total[{name}]))"


def test_burn_rates_and_alerts_are_those_of_prometheus(prometheus: str) -> None:
    measured = RequestsMeasured([], series())
    since, until = BEGIN + 76 * HOUR, BEGIN + 119 * HOUR
    moments = [since + number * STEP for number in range((until - since) // STEP + 1)]
    period, budget = 30 * DAY, (100 - TARGET) / 100

    for window in sorted({window for rule in RULES for window in (rule.long, rule.short)}):
        theirs = asked(prometheus, ratio(window), since=since, until=until)
        assert len(theirs) == len(moments)
        for at in moments:
            ours = burn_rate(measured.between(at - window, at), TARGET) * budget
            assert ours == pytest.approx(theirs[at], rel=1e-6, abs=1e-9), (window, at)

    ours_fire = {
        at: [burn.fires for burn in burns(measured, target_percent=TARGET, period=period, now=at)]
        for at in moments
    }
    for place, rule in enumerate(RULES):
        limit = rule.factor(period) * budget
        # As Sloth writes it: both windows above factor * (1 - target).
        query = f"({ratio(rule.long)} > {limit:.12f}) and ({ratio(rule.short)} > {limit:.12f})"
        fires = asked(prometheus, query, since=since, until=until)
        fired = {at for at in moments if ours_fire[at][place]}
        assert fired == set(fires), rule.key
        assert fired, f"nothing was bad enough for {rule.key}"
        assert len(fired) < len(moments)


def test_sums_of_hours_lead_to_nearly_the_same(prometheus: str) -> None:
    """Beyond six hours only hours are kept: what cuts an hour counts by its share of it."""
    by_minutes = series()
    at = BEGIN + 118 * HOUR + 20 * MINUTE
    recent = at - timedelta(hours=6, minutes=20)
    sums: dict[datetime, list[int]] = {}
    for each in by_minutes:
        if each.begins_at < recent:
            hour = sums.setdefault(each.begins_at.replace(minute=0), [0, 0])
            hour[0] += each.total
            hour[1] += each.bad
    hours = [RequestSlice(begins_at=k, total=t, bad=b) for k, (t, b) in sums.items()]
    measured = RequestsMeasured(hours, [each for each in by_minutes if each.begins_at >= recent])
    for window in (DAY, 3 * DAY):
        theirs = asked(prometheus, ratio(window), since=at, until=at)[at]
        amount = measured.between(at - window, at)
        assert amount.bad_share == pytest.approx(theirs, rel=0.02)

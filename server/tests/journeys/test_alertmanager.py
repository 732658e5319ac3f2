"""Real clients of Alertmanager at our door: Prometheus, amtool, and Alertmanager itself."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import yaml
from tests.journeys.running import PROJECT, TOKEN, Mainstay, running_mainstay
from tests.servers.processes import ServerProcess, free_port, required_program
from tests.waiting import eventually

pytestmark = pytest.mark.slow

GUIDE = Path(__file__).parents[3] / "docs/guides/alerts-from-prometheus.md"
LABELS: list[dict[str, str]] = [
    {"alertname": "DiskFull"},
    {"alertname": "DiskFull", "instance": "db-1:9100", "severity": "critical"},
    {"alertname": "Grün", "place": "Zürich, 2. Stock", "Z": "1", "a": "2", "_b": "3"},
    {"alertname": "Quoted", "path": 'C:\\x\n"y"', "long": "x" * 3_000},
    {"alertname": "Empty", "nothing": "", "emoji": "🚢"},
    {"only": "one"},
]


@pytest.fixture(scope="module")
def mainstay() -> Iterator[Mainstay]:
    with running_mainstay() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def base(mainstay: Mainstay) -> str:
    return f"/alertmanager/{PROJECT}"


def shown(mainstay: Mainstay, **labels: str) -> list[dict[str, Any]]:
    """The active alerts with these labels."""
    found = mainstay.get(f"{base(mainstay)}/api/v2/alerts")
    return [alert for alert in found if labels.items() <= alert["labels"].items()]


def of_guide(name: str) -> str:
    """The file of that name in the guide."""
    found = re.search(rf"```yaml\n# {re.escape(name)}\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def is_ready(url: str) -> None:
    """Raise `OSError` until it answers."""
    try:
        httpx.get(url, timeout=5).raise_for_status()
    except httpx.HTTPError as error:
        raise OSError(str(error)) from error


@pytest.fixture
def alertmanager(mainstay: Mainstay, folder: Path) -> Iterator[str]:
    """A real Alertmanager that tells us as the guide says; its URL."""
    config = yaml.safe_load(of_guide("alertmanager.yml"))
    config["route"] |= {"group_wait": "0s", "group_interval": "1s", "group_by": ["..."]}
    hook = config["receivers"][0]["webhook_configs"][0]
    hook["url"] = f"{mainstay.url}{base(mainstay)}/webhook"
    hook["http_config"]["authorization"]["credentials"] = mainstay.project["ingestKey"]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    url = f"http://127.0.0.1:{free_port()}"
    server = ServerProcess(
        [
            required_program("prometheus-alertmanager", package="prometheus-alertmanager"),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={url.removeprefix('http://')}",
            "--cluster.listen-address=",
        ],
        log=folder / "alertmanager.log",
        is_ready=lambda: is_ready(f"{url}/-/ready"),
    )
    try:
        server.start()
        yield url
    finally:
        server.stop(signal_number=signal.SIGTERM)


def test_the_same_alerts_look_as_a_real_alertmanager_tells_them(
    mainstay: Mainstay, alertmanager: str
) -> None:
    now = datetime.now(UTC)
    times = {
        "startsAt": (now - timedelta(minutes=3)).isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
    }
    posted = [
        {"labels": labels | {"test": "equal"}, "annotations": {"summary": "S"}, **times}
        for labels in LABELS
    ]
    theirs = httpx.post(f"{alertmanager}/api/v2/alerts", json=posted)
    assert theirs.status_code == 200, theirs.text
    key = mainstay.project["ingestKey"]
    ours = mainstay.ask(
        "POST",
        f"{base(mainstay)}/api/v2/alerts",
        json=posted,
        headers={"authorization": f"Bearer {key}"},
    )
    assert ours.status_code == 200, ours.text

    def by_print(alerts: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        kept = ("labels", "annotations", "startsAt", "endsAt")
        return {
            each["fingerprint"]: {name: each[name] for name in kept}
            for each in alerts
            if each["labels"].get("test") == "equal"
        }

    told = httpx.get(f"{alertmanager}/api/v2/alerts").json()
    assert len(by_print(told)) == len(LABELS)
    assert by_print(shown(mainstay, test="equal")) == by_print(told)
    for alert in told:
        assert alert.keys() <= shown(mainstay, test="equal")[0].keys() | {"generatorURL"}


def test_an_alertmanager_that_stays_tells_of_beginning_and_end(
    mainstay: Mainstay, alertmanager: str
) -> None:
    labels = {"alertname": "ByWebhook"}
    httpx.post(f"{alertmanager}/api/v2/alerts", json=[{"labels": labels}])
    (alert,) = eventually(lambda: shown(mainstay, **labels))
    assert alert["labels"] == labels

    ended = datetime.now(UTC).isoformat()
    httpx.post(f"{alertmanager}/api/v2/alerts", json=[{"labels": labels, "endsAt": ended}])

    assert eventually(lambda: not shown(mainstay, **labels))


class Prometheus:
    """A real Prometheus, set up as the guide says, that looks at its rules every second.

    What fires it sends again after `resend`, with an end that is four times as far ahead.
    """

    def __init__(self, mainstay: Mainstay, folder: Path, resend: str) -> None:
        self._rules = folder / "rules.yml"
        self.says(of_guide("rules.yml"))
        config = yaml.safe_load(of_guide("prometheus.yml"))
        config["global"] = {"evaluation_interval": "1s"}
        config["rule_files"] = [str(self._rules)]
        (ours,) = config["alerting"]["alertmanagers"]
        ours["path_prefix"] = base(mainstay)
        ours["authorization"]["credentials"] = mainstay.project["ingestKey"]
        ours["static_configs"] = [{"targets": [mainstay.url.removeprefix("http://")]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.url = f"http://127.0.0.1:{free_port()}"
        self.server = ServerProcess(
            [
                required_program("prometheus", package="prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={self.url.removeprefix('http://')}",
                f"--rules.alert.resend-delay={resend}",
                "--web.enable-lifecycle",
            ],
            log=folder / "prometheus.log",
            is_ready=lambda: is_ready(f"{self.url}/-/ready"),
        )

    def says(self, rules: str) -> None:
        self._rules.write_text(rules)

    def reload(self) -> None:
        httpx.post(f"{self.url}/-/reload").raise_for_status()


@pytest.fixture
def prometheus(
    mainstay: Mainstay, folder: Path, request: pytest.FixtureRequest
) -> Iterator[Prometheus]:
    running = Prometheus(mainstay, folder, request.param)
    try:
        running.server.start()
        yield running
    finally:
        running.server.stop(signal_number=signal.SIGKILL)


@pytest.mark.parametrize("prometheus", ["6s"], indirect=True)
def test_a_rule_of_prometheus_fires_here_and_is_over_when_prometheus_is_gone(
    mainstay: Mainstay, prometheus: Prometheus
) -> None:
    (alert,) = eventually(lambda: shown(mainstay, alertname="DiskFull", environment="production"))
    assert alert["annotations"]["summary"] == "A disk is full"
    assert prometheus.url.rpartition(":")[2] in alert["generatorURL"]

    listed = f"/api/instances/{mainstay.instance_id}/alerts?type=external_alert"

    def ours() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = mainstay.get(listed)["alerts"]
        return [each for each in found if each["fingerprint"] == alert["fingerprint"]]

    kept, *before = ours()  # that of another Prometheus may have ended before
    assert (kept["severity"], kept["title"]) == ("critical", "A disk is full")
    # It is sent again and again, which opens nothing.
    eventually(lambda: ours()[0]["lastSeenAt"] > kept["lastSeenAt"])
    assert len(ours()) == 1 + len(before)

    prometheus.server.stop(signal_number=signal.SIGKILL)

    assert eventually(lambda: not shown(mainstay, alertname="DiskFull", environment="production"))
    ended = ours()[0]
    assert ended["id"] == kept["id"]
    assert (ended["status"], ended["count"]) == ("resolved", 1)
    assert ended["resolution"] == "Its sender has stopped sending it."


@pytest.mark.parametrize("prometheus", ["20s"], indirect=True)
def test_a_rule_that_holds_no_more_ends_its_alert(
    mainstay: Mainstay, prometheus: Prometheus
) -> None:
    here = {"alertname": "DiskFull", "environment": "production"}
    (alert,) = eventually(lambda: shown(mainstay, **here))
    prometheus.says(of_guide("rules.yml").replace("vector(1) > 0", "vector(1) > 2"))
    prometheus.reload()

    assert eventually(lambda: not shown(mainstay, **here))
    listed = f"/api/instances/{mainstay.instance_id}/alerts?type=external_alert"
    ended = [
        each
        for each in mainstay.get(listed)["alerts"]
        if each["fingerprint"] == alert["fingerprint"]
    ]
    assert ended[0]["resolution"] == "Its sender says that it is over."


def amtool(mainstay: Mainstay, *arguments: str, token: str = TOKEN, fails: bool = False) -> str:
    """What amtool says of its arguments."""
    server = mainstay.url.replace("http://", f"http://me:{token}@")
    done = subprocess.run(
        [
            required_program("amtool", package="prometheus-alertmanager"),
            f"--alertmanager.url={server}{base(mainstay)}",
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_amtool_sends_shows_silences_extends_and_expires(mainstay: Mainstay, folder: Path) -> None:
    amtool(mainstay, "alert", "add", "ByAmtool", "severity=warning", "--annotation=summary=Hi")
    assert "ByAmtool" in amtool(mainstay, "alert", "query")
    assert "ByAmtool" in amtool(mainstay, "alert", "query", "alertname=~By.*", "severity=warning")
    assert "ByAmtool" not in amtool(mainstay, "alert", "query", "severity=critical")

    made = amtool(
        mainstay, "silence", "add", "alertname=ByAmtool", "--duration=1h", "--comment=Moving"
    ).strip()
    query = amtool(mainstay, "--output=json", "silence", "query")
    (silence,) = [each for each in json.loads(query) if each["id"] == made]
    assert (silence["comment"], silence["status"]["state"]) == ("Moving", "active")
    assert "ByAmtool" not in amtool(mainstay, "alert", "query", "--active")
    assert "ByAmtool" in amtool(mainstay, "alert", "query", "--silenced")
    assert made in amtool(mainstay, "silence", "query", "alertname=ByAmtool")
    assert made not in amtool(mainstay, "silence", "query", "alertname=Other")
    page = mainstay.get(f"/api/projects/{PROJECT}/alert-silences?state=active")["silences"]
    assert [each["matchers"] for each in page if each["id"] == made] == ['{alertname="ByAmtool"}']

    assert made in amtool(mainstay, "silence", "update", "--duration=3h", "--comment=Still", made)
    amtool(mainstay, "silence", "expire", made)
    assert made not in amtool(mainstay, "silence", "query")
    assert made in amtool(mainstay, "silence", "query", "--expired")
    assert "ByAmtool" in amtool(mainstay, "alert", "query", "--active")

    exported = folder / "silences.json"
    exported.write_text(amtool(mainstay, "--output=json", "silence", "query", "--expired"))
    amtool(mainstay, "silence", "import", str(exported))

    (folder / "config.yml").write_text(amtool(mainstay, "config", "show"))
    assert "SUCCESS" in amtool(mainstay, "check-config", str(folder / "config.yml"))
    assert "mainstay" in amtool(mainstay, "config", "routes", "show")
    assert "disabled" in amtool(mainstay, "cluster", "show")


def test_amtool_is_told_why_it_may_not(mainstay: Mainstay) -> None:
    key = mainstay.project["ingestKey"]

    assert "403" in amtool(mainstay, "alert", "query", token=key, fails=True)
    assert "401" in amtool(mainstay, "alert", "query", token="wrong", fails=True)
    refused = amtool(
        mainstay, "silence", "add", "a=~.*", "--duration=1h", "--comment=x", fails=True
    )
    assert "would hold every alert" in refused


def test_ten_thousand_alerts_come_in_one_request_and_again_without_a_change(
    mainstay: Mainstay,
) -> None:
    posted = [
        {"labels": {"alertname": "Storm", "instance": f"node-{n}:9100"}} for n in range(10_000)
    ]
    body = json.dumps(posted).encode()
    key = mainstay.project["ingestKey"]
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    for _ in range(2):
        answer = httpx.post(
            f"{mainstay.url}{base(mainstay)}/api/v2/alerts",
            content=body,
            headers=headers,
            timeout=300,
        )
        assert answer.status_code == 200, answer.text

    storm = shown(mainstay, alertname="Storm")
    assert len({alert["fingerprint"] for alert in storm}) == len(storm)
    assert len(storm) > 9_000

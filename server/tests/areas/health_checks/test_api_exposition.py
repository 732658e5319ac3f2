"""Health checks for Prometheus: what the real blackbox exporter says of a target, we say too."""

import json
import re
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trustme
import uvicorn
from mainstay_server.areas.health_checks import area
from mainstay_server.areas.health_checks.service import by_hand
from tests import world as worlds
from tests.servers.http import Answer, HttpReceiver, running_http
from tests.servers.processes import free_port
from tests.waiting import eventually
from tests.world import World

EXPORTER = "prometheus-blackbox-exporter"
NAME = re.compile(r"^([a-z_]+)(\{[^}]*\})? (\S+)$", re.MULTILINE)
MODULES = """
modules:
  http_2xx: {prober: http, http: {tls_config: {insecure_skip_verify: true}}}
  tcp_connect: {prober: tcp}
"""


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area)


@pytest.fixture
def app() -> Iterator[HttpReceiver]:
    with running_http() as receiver:
        receiver.answer_at("/down", Answer(status=503))
        yield receiver


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's own exporter on a free port; its address."""
    config = tmp_path_factory.mktemp("exporter") / "blackbox.yml"
    config.write_text(MODULES)
    url = f"127.0.0.1:{free_port()}"
    with running([EXPORTER, f"--config.file={config}", f"--web.listen-address={url}"]):
        eventually(lambda: fetched(f"http://{url}/-/healthy"))
        yield f"http://{url}"


@contextmanager
def running(command: list[str]) -> Iterator[None]:
    try:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        pytest.fail(f"{command[0]} is missing: run scripts/install_test_packages")
    try:
        yield
    finally:
        process.kill()
        process.wait()


def fetched(url: str) -> str:
    try:
        with urllib.request.urlopen(url) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def samples(text: str) -> dict[str, float]:
    """Each sample by its name and labels, the labels in one order."""
    return {
        name + ",".join(sorted((labels or "").strip("{}").split(","))): float(value)
        for name, labels, value in NAME.findall(text)
    }


@pytest.mark.parametrize(
    ("module", "path"), [("http_2xx", "/health"), ("http_2xx", "/down"), ("tcp_connect", "")]
)
def test_a_target_is_told_as_the_exporter_tells_it(
    world: World, app: HttpReceiver, exporter: str, module: str, path: str
) -> None:
    target = f"{app.url}{path}" if path else f"127.0.0.1:{app.port}"
    theirs = samples(fetched(f"{exporter}/probe?module={module}&target={target}"))
    answer = world.bob.get("/probe", params={"module": module, "target": target})
    ours = samples(answer.text)

    assert answer.headers["content-type"].startswith("text/plain")
    assert set(ours) == set(theirs)
    exact = {name for name in theirs if "seconds" not in name}
    assert {name: ours[name] for name in exact} == {name: theirs[name] for name in exact}
    assert all(value >= 0 for value in ours.values())


def test_over_tls_the_certificate_is_told_too(world: World, exporter: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with running_http(tls=context) as shop:
        theirs = samples(fetched(f"{exporter}/probe?module=http_2xx&target={shop.url}"))
        ours = samples(world.bob.get("/probe", params={"target": shop.url}).text)

    # We check the certificate, which the exporter was told not to do: it is not trusted.
    assert theirs["probe_success"] == 1
    assert ours["probe_success"] == 0
    assert ours["probe_http_status_code"] == 0


def test_a_target_that_is_away_is_an_answer(world: World) -> None:
    answer = world.bob.get("/probe", params={"target": "http://127.0.0.1:1/"})

    assert answer.status_code == 200
    assert samples(answer.text)["probe_success"] == 0


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({}, "Target parameter is missing"),
        ({"target": "x", "module": "nope"}, "Unknown module"),
        ({"target": "db.example", "module": "tcp_connect"}, "needs a port"),
        ({"target": "ftp://x"}, "cannot be asked"),
    ],
)
def test_what_cannot_be_asked_is_refused(world: World, query: dict[str, str], why: str) -> None:
    answer = world.bob.get("/probe", params=query)

    assert answer.status_code == 400
    assert why in answer.json()["detail"]


def test_nobody_asks_through_us_without_a_key(world: World) -> None:
    assert world.stranger.get("/probe", params={"target": "http://x"}).status_code == 401
    metrics = f"/api/projects/{world.project}/health-checks/metrics"
    assert world.stranger.get(metrics).status_code == 401
    assert world.charlie.get(metrics).status_code == 404


def test_the_checks_of_a_project_are_told_as_they_stand(world: World, app: HttpReceiver) -> None:
    for name, path in (("shop", "/health"), ('odd "name"\\', "/down")):
        made = world.bob.post(
            f"/api/instances/{world.instance.id}/health-checks",
            json={"name": name, "url": f"{app.url}{path}"},
        )
        world.bob.post(f"/api/instances/{world.instance.id}/health-checks/{made.json()['id']}/run")

    text = world.bob.get(f"/api/projects/{world.project}/health-checks/metrics").text

    found = {labels: value for name, labels, value in NAME.findall(text) if name == "probe_success"}
    told = {
        json.loads(re.findall(r'check=("(?:[^"\\]|\\.)*")', key)[0]): v for key, v in found.items()
    }
    assert told == {"shop": "1.0", 'odd "name"\\': "0.0"}
    assert f'instance="{app.url}/health"' in text
    assert 'phase="connect"' in text
    assert re.search(r'mainstay_health_check_state\{.*state="unhealthy".*\} 1\.0', text)


def test_a_real_prometheus_scrapes_it(world: World, app: HttpReceiver, tmp_path: Path) -> None:
    made = world.bob.post(
        f"/api/instances/{world.instance.id}/health-checks",
        json={"name": "shop", "url": f"{app.url}/health"},
    )
    world.bob.post(f"/api/instances/{world.instance.id}/health-checks/{made.json()['id']}/run")
    wanted = {"name": "prometheus", "scopes": ["project:read", "project:write"]}
    token = world.alice.post("/api/tokens", json=wanted).json()["token"]
    with serving() as ours:
        port = free_port()
        config = tmp_path / "prometheus.yml"
        config.write_text(
            CONFIG.format(ours=ours, token=token, target=app.url, project=world.project)
        )
        storage = f"--storage.tsdb.path={tmp_path / 'data'}"
        listen = f"--web.listen-address=127.0.0.1:{port}"
        with running(["prometheus", f"--config.file={config}", storage, listen]):
            query = f"http://127.0.0.1:{port}/api/v1/query?query=probe_success"
            found = eventually(lambda: jobs_in(fetched(query), {"checks", "probes"}))

    assert found == {"checks": ("shop", "1"), "probes": ("", "1")}


CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: checks
    honor_labels: true
    metrics_path: /api/projects/{project}/health-checks/metrics
    authorization: {{credentials: "{token}"}}
    static_configs: [{{targets: ["{ours}"]}}]
  - job_name: probes
    metrics_path: /probe
    params: {{module: [http_2xx]}}
    authorization: {{credentials: "{token}"}}
    static_configs: [{{targets: ["{target}/health"]}}]
    relabel_configs:
      - {{source_labels: [__address__], target_label: __param_target}}
      - {{source_labels: [__param_target], target_label: instance}}
      - {{target_label: __address__, replacement: "{ours}"}}
"""


def jobs_in(text: str, wanted: set[str]) -> dict[str, tuple[str, str]] | None:
    """The check and the value of each job that was scraped, once all of them were."""
    if not text:
        return None
    found = {
        one["metric"]["job"]: (one["metric"].get("check", ""), one["value"][1])
        for one in json.loads(text)["data"]["result"]
    }
    return found if set(found) == wanted else None


@contextmanager
def serving() -> Iterator[str]:
    """The world's app on a real port."""
    port = free_port()
    config = uvicorn.Config(worlds._app(), port=port, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def test_asking_by_hand_leaves_threads_to_everybody_else(world: World) -> None:
    path = f"/api/instances/{world.instance.id}/health-checks"
    body = {"url": "http://127.0.0.1:9/", "name": "x"}
    check = world.bob.post(path, json=body).json()["id"]

    with ExitStack() as busy:
        for _ in range(by_hand.MOST_AT_ONCE):
            busy.enter_context(by_hand.a_place())
        answers = [
            world.bob.get("/probe?target=http://127.0.0.1:9/"),
            world.bob.post(f"{path}/{check}/run"),
        ]

    assert [answer.status_code for answer in answers] == [429, 429]
    assert answers[0].headers["retry-after"] == "2"
    assert world.bob.get("/probe?target=http://127.0.0.1:9/").status_code == 200

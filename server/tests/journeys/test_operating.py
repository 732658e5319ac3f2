"""What operators do: start it wrongly, probe it, trigger its tasks, read its contract, end it."""

import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from tests.journeys.running import PROGRAM, Mainstay, running_mainstay
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

SECRET = "cron-secret-of-the-journeys"


@pytest.fixture(scope="module")
def mainstay() -> Iterator[Mainstay]:
    with running_mainstay({"CRON_SECRET": SECRET}) as server:
        yield server


def cron(
    mainstay: Mainstay, task: str, *, secret: str = SECRET, method: str = "GET"
) -> httpx.Response:
    headers = {"authorization": f"Bearer {secret}"}
    return mainstay.ask(method, f"/api/cron?task={task}", headers=headers)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("task", ["health", "backup", "cleanup", "all"])
def test_tasks_are_run_from_outside_with_the_secret(
    mainstay: Mainstay, task: str, method: str
) -> None:
    answer = cron(mainstay, task, method=method)
    assert answer.status_code == 200
    assert answer.json()["task"] == task
    assert {job["status"] for job in answer.json()["jobs"]} <= {"done", "running"}


def test_a_wrong_secret_is_401_and_an_unknown_task_400(mainstay: Mainstay) -> None:
    assert cron(mainstay, "health", secret="wrong").status_code == 401
    assert mainstay.ask("GET", "/api/cron?task=health").status_code == 401
    refused = cron(mainstay, "lunch")
    assert refused.status_code == 400
    assert "use one of health, backup, cleanup, all" in refused.json()["detail"]


def test_nobody_else_on_the_machine_can_read_the_data(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir(mode=0o755)  # made by somebody else, as volumes are
    with running_mainstay(data_dir=tmp_path / "volume") as server:
        assert server.project["slug"] == "inspections"
        modes = {path: path.stat().st_mode & 0o077 for path in (tmp_path / "volume").iterdir()}
    assert "mainstay.db" in {path.name for path in modes}
    assert not any(modes.values()), modes


def test_a_data_dir_that_cannot_be_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = subprocess.run(
        [PROGRAM, "up", "--port", "0", "--data-dir", tmp_path / "file"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 78
    assert "MAINSTAY_DATA_DIR" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_health_is_told_part_by_part(mainstay: Mainstay) -> None:
    answer = mainstay.ask("GET", "/api/health")
    assert answer.status_code == 200
    document = answer.json()
    assert set(document) == {"status", "timestamp", "version", "uptime", "checks"}
    assert {"database", "columns", "memory"} <= set(document["checks"])
    assert mainstay.ask("GET", "/api/health/live").json() == {"status": "healthy"}


def test_its_own_metrics_are_in_the_prometheus_format(mainstay: Mainstay) -> None:
    text = mainstay.ask("GET", "/metrics").text
    assert "# TYPE mainstay_outbox_deliveries gauge" in text
    assert 'mainstay_limits_degraded{store="memory"} 0.0' in text
    assert "process_resident_memory_bytes" in text


def test_every_operation_of_the_contract_is_described_with_an_example(mainstay: Mainstay) -> None:
    document = mainstay.ask("GET", "/api/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation.get("summary"), f"{method} {path}"
            assert operation.get("description"), f"{method} {path}"


def test_answers_carry_the_security_headers(mainstay: Mainstay) -> None:
    for path in ("/login", "/api/projects", "/nowhere"):
        headers = mainstay.ask("GET", path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MAINSTAY_LEASE_SECONDS", "soon", "MAINSTAY_LEASE_SECONDS"),
        ("MAINSTAY_SECRET_KEY", "short", "MAINSTAY_SECRET_KEY"),
        ("MAINSTAY_BOOTSTRAP_TOKEN", "admin-token", "MAINSTAY_BOOTSTRAP_TOKEN is shorter than 20"),
        ("MAINSTAY_DATABASE_URL", "postgresql+psycopg://x/y", "MAINSTAY_SECRET_KEY is missing"),
        ("MAINSTAY_SECRET_KEY_FILE", "/nowhere", "MAINSTAY_SECRET_KEY_FILE cannot be read"),
    ],
)
def test_an_unsafe_start_is_refused_in_words(
    tmp_path: Path, name: str, value: str, words: str
) -> None:
    ended = subprocess.run(
        [str(PROGRAM), "up", "--port", "0", "--data-dir", str(tmp_path)],
        env={"PATH": "/usr/bin:/bin", name: value},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 78
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_is_refused_in_words(mainstay: Mainstay, tmp_path: Path) -> None:
    port = mainstay.url.rsplit(":", 1)[1]
    ended = subprocess.run(
        [str(PROGRAM), "up", "--port", port, "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 78
    assert f"port {port}" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("line", [b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_head_that_never_ends_is_given_up(mainstay: Mainstay, line: bytes) -> None:
    port = int(mainstay.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(line)
        with pytest.raises(ConnectionError):
            for _ in range(200):
                connection.sendall(b"a" * 65_536)


def test_it_ends_in_order_when_asked_to() -> None:
    with running_mainstay() as server:
        assert server.stop() == 0
        assert not [line for line in server.lines if "Traceback" in line]


def test_an_end_in_order_counts_every_event_before_it_is_over(tmp_path: Path) -> None:
    with running_mainstay(data_dir=tmp_path) as server:
        project = server.project
        door = f"/api/{project['number']}/store/?sentry_key={project['ingestKey']}"
        for _ in range(20):
            assert server.call("POST", door, json={"message": "x"}).status_code == 200
        assert server.stop() == 0

    with sqlite3.connect(tmp_path / "mainstay.db") as database:
        assert database.execute("SELECT count FROM error_issues").fetchall() == [(20,)]
    database.close()

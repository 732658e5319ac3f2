"""Whoever is told of alerts is told of a backup that failed, and that there is a new one again."""

import json
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pyrage
import pytest
from tests.journeys.crashing import tell
from tests.journeys.running import running_mainstay
from tests.servers.http import HttpReceiver, running_http
from tests.servers.postgres import running_postgres
from tests.servers.processes import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.slow


def told(receiver: HttpReceiver) -> list[tuple[str, str, str]]:
    """What arrived: opened or resolved, the severity, and the title."""
    bodies = [json.loads(each.body) for each in receiver.requests if each.path == "/hook"]
    return [(each["type"], each["alert"]["severity"], each["alert"]["title"]) for each in bodies]


def test_a_failed_backup_is_told_and_so_is_its_end(tmp_path: Path) -> None:
    with ExitStack() as stack:
        receiver = stack.enter_context(running_http())
        postgres = stack.enter_context(running_postgres())
        mainstay = stack.enter_context(running_mainstay(data_dir=tmp_path / "data"))
        dsn = postgres.dsn_of(postgres.new_database())
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE orders AS SELECT generate_series(1, 1000) AS id")
        tell(mainstay, mainstay.instance_id, receiver)
        path = f"/api/instances/{mainstay.instance_id}/backup-targets"
        made = mainstay.call(
            "POST",
            path,
            json={
                "name": "orders",
                "engine": "postgresql",
                "config": {"url": f"postgresql://postgres@127.0.0.1:{free_port()}/orders"},
                "recipients": [str(pyrage.x25519.Identity.generate().to_public())],
                "enabled": False,
                "drills": "off",
                "heartbeatUrl": f"{receiver.url}/ping",
            },
        ).json()
        mainstay.call("POST", f"/api/backup-targets/{made['id']}/backups")

        eventually(lambda: len(told(receiver)) == 1)
        mainstay.call("PATCH", f"{path}/{made['id']}", json={"config": {"url": dsn}})
        mainstay.call("POST", f"/api/backup-targets/{made['id']}/backups")
        eventually(lambda: len(told(receiver)) == 2)

        title = "inspections production: the backup of orders failed"
        assert told(receiver) == [
            ("alert.opened", "critical", title),
            ("alert.resolved", "critical", title),
        ]
        eventually(lambda: [each.path for each in receiver.requests].count("/ping") == 1)
        assert mainstay.stop() == 0
